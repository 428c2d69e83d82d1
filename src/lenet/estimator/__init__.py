"""LeNet as a scikit-learn classifier: `LeNetClassifier`.

Kept here: features as pictures, rows with weights, and the network that is fitted to them.  It may
know everything from training down; it is the only room that knows scikit-learn, which comes with
the extra `sklearn`.

    classifier = LeNetClassifier().fit(images, labels)
    classifier.predict(images)
"""

from lenet.estimator.classifier import LeNetClassifier

__all__ = ["LeNetClassifier"]
