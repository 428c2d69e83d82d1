import numpy as np
import pytest
from conftest import need_torch

from lenet.prediction import metrics

LOGITS = np.array([[2.0, 0.0, -1.0], [0.0, 1.0, 0.5], [3.0, 2.9, 0.0]], np.float32)
LABELS = np.array([0, 2, 0])


def test_misses_count_wrong_predictions():
    assert metrics.misses(LOGITS, LABELS) == 1


def test_cross_entropy_equals_pytorchs():
    torch = need_torch()
    expected = torch.nn.functional.cross_entropy(torch.tensor(LOGITS), torch.tensor(LABELS)).item()
    assert metrics.cross_entropy(LOGITS, LABELS) == pytest.approx(expected, rel=1e-6)


def test_cross_entropy_of_huge_logits_is_finite():
    logits = np.array([[1e30, -1e30]], np.float32)
    assert metrics.cross_entropy(logits, np.array([0])) == 0.0


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"),
    [
        # Wilson intervals published in Newcombe 1998, table I (method 3).
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_the_interval_equals_published_values(hits, count, low, high):
    assert metrics.wilson_interval(hits, count) == pytest.approx((low, high), abs=5e-5)


def test_the_interval_on_10000_images_is_as_wide_as_expected():
    low, high = metrics.wilson_interval(9_900, 10_000)
    assert (high - low) / 2 == pytest.approx(0.002, abs=2e-4)


def test_scores_per_class_follow_from_the_confusion_matrix():
    scores = metrics.score(LOGITS, LABELS)
    assert scores.confusion.tolist() == [[2, 0, 0], [0, 0, 0], [0, 1, 0]]
    assert scores.accuracy == pytest.approx(2 / 3)
    assert scores.error_rate == pytest.approx(1 / 3)
    np.testing.assert_allclose(scores.recall, [1.0, np.nan, 0.0])
    np.testing.assert_allclose(scores.precision, [1.0, 0.0, np.nan])
    np.testing.assert_allclose(scores.f1, [1.0, 0.0, 0.0])


def test_an_interval_of_no_trials_is_refused():
    with pytest.raises(ValueError, match="at least one trial, not 0"):
        metrics.wilson_interval(0, 0)
