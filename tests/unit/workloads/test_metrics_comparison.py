"""Paired statistics against scipy and statsmodels, and what they say where there is little to say."""

from __future__ import annotations

import gc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.examples import examples

from fabula_workloads.metrics.bootstrap import estimate
from fabula_workloads.metrics.statistics.effect import samples_needed, standardized
from fabula_workloads.metrics.statistics.paired import compare, corrected, holm
from fabula_workloads.metrics.statistics.permutation import EXACT_UP_TO, sign_flip_p

FIGURES = st.lists(st.floats(-100, 100).map(lambda value: round(value, 3)), min_size=2, max_size=9)


@settings(max_examples=examples(15), deadline=None)
@given(FIGURES)
def test_few_pairs_have_the_exact_p_value_that_scipy_has(differences: list[float]) -> None:
    from scipy import stats

    found = stats.permutation_test(
        (differences, np.zeros(len(differences))), lambda x, y, axis: np.mean(x - y, axis=axis),
        permutation_type="samples", vectorized=True, n_resamples=np.inf,
    )  # fmt: skip
    assert sign_flip_p(differences) == pytest.approx(found.pvalue)


@pytest.mark.parametrize(("shift", "count"), [(0.0, 40), (0.3, 60), (0.5, 50)])
def test_many_pairs_have_a_p_value_near_the_t_tests(shift: float, count: int) -> None:
    from scipy import stats

    differences = np.random.default_rng(3).normal(shift, 1, count)
    expected = stats.ttest_1samp(differences, 0).pvalue
    assert sign_flip_p(list(differences)) == pytest.approx(expected, abs=0.012)


def test_a_p_value_is_never_zero_and_the_same_twice() -> None:
    differences = [1.0 + index / 100 for index in range(40)]
    assert sign_flip_p(differences) == sign_flip_p(differences) == 1 / 10_000
    assert sign_flip_p([1.0] * EXACT_UP_TO) == 2 / 2**EXACT_UP_TO
    assert sign_flip_p([0.0] * 5) == sign_flip_p([0.0] * 50) == 1
    assert sign_flip_p([3.0]) is None


def test_without_a_difference_one_test_in_twenty_is_below_five_percent() -> None:
    dice = np.random.default_rng(5)
    below = sum((sign_flip_p(list(dice.standard_t(2, 10))) or 0) < 0.05 for _ in range(400))
    assert 8 <= below <= 40


@settings(max_examples=examples(20))
@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=12))
def test_holm_is_statsmodels(p_values: list[float | None]) -> None:
    from statsmodels.stats.multitest import multipletests

    gc.freeze()  # it collects garbage in each call, which takes a second where much is loaded
    known = [value for value in p_values if value is not None]
    expected = list(multipletests(known, method="holm")[1]) if known else []
    found = holm(p_values)
    assert [value for value in found if value is not None] == pytest.approx(expected)
    assert [value is None for value in found] == [value is None for value in p_values]


@pytest.mark.parametrize("effect", [0.15, 0.3, 0.5, 0.8, 1.2, -0.5])
def test_the_samples_needed_are_statsmodels(effect: float) -> None:
    from statsmodels.stats.power import TTestPower

    exact = TTestPower().solve_power(effect_size=abs(effect), alpha=0.05, power=0.8, alternative="two-sided")
    found = samples_needed(effect)
    assert found is not None
    assert abs(found - np.ceil(exact)) <= 1


def test_an_effect_is_in_units_of_the_scatter() -> None:
    assert standardized([1.0, 2.0, 3.0]) == 2.0
    assert standardized([0.0, 0.0]) == 0.0
    assert standardized([2.0, 2.0, 2.0]) is None, "it has no scatter to be measured by"
    assert standardized([5.0]) is None
    assert samples_needed(0.0) is samples_needed(None) is samples_needed(1e-9) is None


def test_the_interval_is_scipys() -> None:
    from scipy import stats

    values = list(np.random.default_rng(1).gamma(2, 3, 60))
    expected = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=9_999, rng=1).confidence_interval
    found = estimate(values, resamples=9_999)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=0.02)


def test_seeds_of_a_sample_are_one_piece_of_evidence() -> None:
    """Ten answers to each of five samples say no more of other samples than their five means do."""
    few = compare({f"s{index}": float(index % 2) for index in range(5)}, dict.fromkeys((f"s{i}" for i in range(5)), 0))
    assert few.estimate.count == 5
    assert few.p_value == 0.5


def test_a_difference_is_seen_only_if_it_stands_beside_all_others() -> None:
    base = {f"s{index}": 0.0 for index in range(8)}
    clear = compare({sample: 1.0 + index / 10 for index, sample in enumerate(base)}, base)
    chance = compare({sample: (-1.0) ** index * (index + 1) for index, sample in enumerate(base)}, base)
    assert clear.p_value == 2 / 256
    assert clear.seen and not chance.seen
    assert [one.seen for one in corrected([clear, chance])] == [True, False]
    many = corrected([clear, *[chance] * 9])
    assert (many[0].adjusted, many[0].seen) == (pytest.approx(20 / 256), False)


def test_without_a_pair_there_is_nothing_to_say() -> None:
    found = compare({"a": 1.0}, {"b": 2.0})
    assert (found.estimate.count, found.p_value, found.effect, found.needed, found.seen) == (0, None, None, None, False)
