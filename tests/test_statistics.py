"""The statistics of studies, against published or exact values."""

import numpy as np
import pytest

from lenet.studies.statistics import (
    compare,
    holm,
    mean_interval,
    sign_flip_probability,
    smallest_probability,
    superiority,
)

DARWIN = np.array([49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]) / 8
"""Crossed minus self-fertilised plants, inches (Darwin 1876; Fisher 1935, section 17)."""


def test_the_sign_flip_test_tries_all_patterns():
    assert sign_flip_probability(np.array([1.0, 2.0, 3.0])) == pytest.approx(2 / 8)
    assert sign_flip_probability(np.full(10, 0.01)) == pytest.approx(2 / 1024)
    assert sign_flip_probability(np.array([1.0, -1.0])) == 1.0
    assert sign_flip_probability(np.zeros(10)) == 1.0
    assert sign_flip_probability(np.array([0.3])) == 1.0


def test_the_sign_flip_test_finds_fishers_p_on_darwins_plants():
    # Fisher's exact count over 2^15 patterns gives 0.0529; here 9,999 of them are drawn.
    assert sign_flip_probability(DARWIN) == pytest.approx(0.0529, abs=0.008)


def test_holm_on_his_own_kind_of_example():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_superiority_counts_ties_half():
    assert superiority(np.array([3.0, 4.0]), np.array([1.0, 2.0])) == 1.0
    assert superiority(np.array([1.0, 2.0]), np.array([1.0, 2.0])) == 0.5
    assert superiority(np.array([0.0, 2.0]), np.array([1.0, 1.0])) == 0.5


def test_an_interval_leans_towards_the_long_tail_and_repeats_itself():
    skewed = np.random.default_rng(0).exponential(1.0, 40)
    low, high = mean_interval(skewed, seed=1)
    assert low < skewed.mean() < high
    assert high - skewed.mean() > skewed.mean() - low
    assert mean_interval(skewed, seed=1) == (low, high)


def test_intervals_without_spread_or_without_enough_values():
    assert mean_interval(np.full(5, 0.1)) == (0.1, 0.1)
    assert np.isnan(mean_interval(np.array([0.1]))).all()
    rounded = np.full(7, 1 / 9)
    assert rounded.mean() > 1 / 9
    assert mean_interval(rounded) == (rounded.mean(), rounded.mean())
    low, high = mean_interval(np.array([0.1, 0.1, 0.1, 0.1, 0.18]))
    assert 0.1 <= low < high <= 0.18


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(200):
        low, high = mean_interval(rng.normal(0.0, 1.0, 20))
        held += low <= 0.0 <= high
    # 95 % of 200 is 190; with 20 values BCa is known to be somewhat too narrow.
    assert 176 <= held <= 199


@pytest.mark.thorough
def test_no_difference_is_shown_more_often_than_the_level_says():
    rng = np.random.default_rng(1)
    shown = 0
    for _ in range(400):
        control, *arms = rng.normal(0.87, 0.007, (4, 10))
        shown += any(pair.is_shown for pair in compare(arms, control))
    # Family-wise 5 % of 400 is 20; a binomial exceeds 32 once in 200 such tests.
    assert shown <= 32


def test_a_planted_point_is_found_and_named():
    rng = np.random.default_rng(2)
    control = rng.normal(0.87, 0.005, 10)
    planted, same = control + rng.normal(0.01, 0.005, 10), control + rng.normal(0.0, 0.005, 10)
    first, second = compare([planted, same], control)
    assert first.is_shown
    assert first.low < 0.01 < first.high
    assert not second.is_shown


def test_so_few_pairs_that_nothing_can_be_shown():
    assert smallest_probability(10, 4) == pytest.approx(4 * 2 / 1024)
    assert smallest_probability(3, 4) == 1.0
