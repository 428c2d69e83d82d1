"""scikit-learn's face of lenet.

It may know everything from training down; it is the only room that knows scikit-learn, which comes
with the extra `sklearn`.

    classifier = LeNetClassifier().fit(images, labels)
    classifier.predict(images)
"""

from lenet.estimator.classifier import LeNetClassifier

__all__ = ["LeNetClassifier"]
