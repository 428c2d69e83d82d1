from conftest import need_native
from sklearn.utils.estimator_checks import parametrize_with_checks

from lenet.estimator import LeNetClassifier

need_native()


@parametrize_with_checks([LeNetClassifier()])
def test_scikit_learns_check(estimator, check):
    check(estimator)
