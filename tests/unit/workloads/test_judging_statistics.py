"""What is concluded from a judge's verdicts: against scipy and textbooks, and for simulated judges of known bias."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from fabula_api.rubrics import Criterion, Rubric, Scale
from fabula_workloads.judging import length_control as lc
from fabula_workloads.judging.agreement import agreement, cohens_kappa
from fabula_workloads.judging.ballots import FIRST, OVERALL, SECOND, TIE, Ballot, pair_verdicts, scored_verdicts
from fabula_workloads.judging.calls import pair_calls
from fabula_workloads.judging.habits import habits
from fabula_workloads.judging.proportions import outcomes, wilson, win_rate
from fabula_workloads.judging.questions import scrambled
from fabula_workloads.judging.reply import read_reply
from fabula_workloads.judging.self_test import DAMAGED, ORIGINAL, PADDED, SCRAMBLED, self_test
from fabula_workloads.judging.strengths import fit, strengths
from fabula_workloads.recipes.podcast.answers.form import blind

A, B = "tuned", "base"


def ballot(sample: str, shown: tuple[str, ...], mark: float | None, **fields: Any) -> Ballot:
    return Ballot(sample, fields.pop("seed", 0), shown, None if mark is None else {OVERALL: mark}, **fields)


@pytest.mark.parametrize(
    ("straight", "turned", "value"),
    [
        (FIRST, SECOND, 1.0),
        (SECOND, FIRST, 0.0),
        (FIRST, FIRST, 0.5),
        (FIRST, TIE, 0.5),
        (TIE, TIE, 0.5),
        (None, FIRST, None),
    ],
)
def test_both_orders_have_to_agree_and_what_cannot_be_read_is_no_verdict(
    straight: float | None, turned: float, value: float | None
) -> None:
    (found,) = pair_verdicts([ballot("s", (A, B), straight), ballot("s", (B, A), turned)], A, B)
    assert found.value == value


def test_tries_are_averaged_and_probes_are_none_of_the_samples() -> None:
    told = [
        ballot("s", (A, B), FIRST), ballot("s", (B, A), SECOND),
        ballot("s", (A, B), FIRST, attempt=1), ballot("s", (B, A), FIRST, attempt=1),
        ballot("s", (A, B), SECOND, probe=PADDED),
    ]  # fmt: skip
    (found,) = pair_verdicts(told, A, B)
    assert found.value == 0.75
    assert found.outcome == "win"


def test_points_imply_verdicts() -> None:
    told = [ballot("s", (A,), 4), ballot("s", (B,), 3), ballot("t", (A,), 2), ballot("t", (B,), None)]
    assert [(one.sample, one.value) for one in scored_verdicts(told, A, B)] == [("s", 1.0), ("t", None)]


@pytest.mark.parametrize(("successes", "count"), [(0, 10), (10, 10), (37, 50), (1, 3)])
def test_wilson_is_scipys(successes: int, count: int) -> None:
    from scipy import stats

    found, theirs = wilson(successes, count), stats.binomtest(successes, count).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_a_win_rate_is_over_samples_and_not_over_seeds() -> None:
    told = [
        one
        for seed in range(4)
        for one in (ballot("s", (A, B), FIRST, seed=seed), ballot("s", (B, A), SECOND, seed=seed))
    ]
    told += [ballot("t", (A, B), SECOND), ballot("t", (B, A), FIRST)]
    verdicts = pair_verdicts(told, A, B)
    assert len(verdicts) == 5
    assert win_rate(verdicts) == wilson(1, 2)
    assert outcomes(verdicts) == {"win": 1, "tie": 0, "loss": 1}


def test_kappa_is_the_textbooks() -> None:
    # Fleiss, Levin and Paik, "Statistical Methods for Rates and Proportions", table 18.1: kappa 0.676, s.e. 0.088.
    counts = {("p", "p"): 75, ("p", "n"): 1, ("p", "o"): 4, ("n", "p"): 5, ("n", "n"): 4, ("n", "o"): 1,
              ("o", "o"): 10}  # fmt: skip
    ours, theirs = zip(*(pair for pair, times in counts.items() for _ in range(times)), strict=True)
    found = cohens_kappa(ours, theirs)
    assert found.low is not None
    assert found.mean is not None
    assert found.mean == pytest.approx(0.676, abs=5e-4)
    assert (found.mean - found.low) / 1.96 == pytest.approx(0.088, abs=1e-3)
    assert cohens_kappa(["win"] * 5, ["win"] * 5).mean is None
    assert agreement("j", {}, "k", {}) is None


def test_the_regression_is_the_maximum_of_its_likelihood() -> None:
    from scipy import optimize

    generator = np.random.default_rng(3)
    design = np.column_stack([np.ones(200), generator.choice([-0.5, 0.5], 200), generator.normal(size=200)])
    target = (generator.random(200) < 1 / (1 + np.exp(-design @ np.array([0.6, 0.4, -0.8])))).astype(float)

    def loss(effects: np.ndarray) -> float:
        odds = design @ effects
        return float(np.logaddexp(0, odds).sum() - target @ odds + effects @ effects / (2 * 2.5**2))

    theirs = optimize.minimize(loss, np.zeros(3), method="BFGS", tol=1e-10)
    ours, covariance = lc.logistic(design, target, np.arange(200))
    assert ours == pytest.approx(theirs.x, abs=1e-4)
    bend = [
        optimize.approx_fprime(theirs.x, lambda at, i=i: optimize.approx_fprime(at, loss, 1e-5)[i], 1e-5)
        for i in range(3)
    ]
    assert np.sqrt(np.diag(covariance)) == pytest.approx(np.sqrt(np.diag(np.linalg.inv(bend))), rel=0.1)


def simulated(
    generator: np.random.Generator, rate: float, place: float, length: float, samples: int
) -> tuple[list[Ballot], dict[tuple[str, str, int], int]]:
    """A judge that prefers the tuned arm at `rate` where nothing misleads it, with biases in log odds."""
    told, words = [], {}
    longer = generator.normal(60, 90, samples)  # the tuned arm says more, so that the bias misleads
    tilt = np.tanh(longer / longer.std()) * length
    quality = math.log(rate / (1 - rate))
    for order, sign in enumerate((1, -1)):
        prefers = generator.random(samples) < 1 / (1 + np.exp(-(quality + tilt + sign * place / 2)))
        for index, ours in enumerate(prefers):
            shown = (A, B) if order == 0 else (B, A)
            told.append(ballot(f"s{index}", shown, FIRST if ours == (order == 0) else SECOND))
    for index, more in enumerate(longer):
        words |= {(A, f"s{index}", 0): 800 + int(more), (B, f"s{index}", 0): 800}
    return told, words


@pytest.mark.parametrize(
    ("rate", "place", "length"), [(0.7, 0.0, 0.0), (0.7, 1.0, 1.0), (0.5, 1.5, 2.0), (0.85, -1.0, 0.5)]
)
def test_planted_biases_do_not_move_the_length_controlled_win_rate(rate: float, place: float, length: float) -> None:
    generator, covered, found_out = np.random.default_rng(17), 0, 0
    for _ in range(200):
        told, words = simulated(generator, rate, place, length, 60)
        found = lc.length_control(told, A, B, words)
        assert found is not None
        assert found.win_rate.low is not None
        assert found.win_rate.high is not None
        assert found.length.low is not None
        covered += found.win_rate.low <= rate <= found.win_rate.high
        found_out += found.length.low > 0
    assert covered >= 180
    # 95 % intervals: a judge without a bias is blamed for one now and then, and one with a strong bias is found out.
    assert found_out <= 12 if length == 0 else found_out >= (190 if length >= 2 else 0)


@pytest.mark.parametrize("place", [0.0, 0.5, 1.0])
def test_both_orders_keep_a_judge_that_looks_at_the_place_within_the_interval(place: float) -> None:
    generator, covered = np.random.default_rng(5), 0
    for _ in range(200):
        told, _ = simulated(generator, 0.7, place, 0.0, 60)
        found = win_rate(pair_verdicts(told, A, B))
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 0.7 <= found.high
    assert covered >= 180


def habitual(
    generator: np.random.Generator, rate: float, place: float, length: float, samples: int, more: float = 0.75
) -> tuple[list[Ballot], dict[tuple[str, str, int], int]]:
    """A judge that in some of its calls looks at nothing but the place (below 0: takes the second), or the length."""
    told, better = [], generator.random(samples) < rate
    longer = generator.random(samples) < more
    for shown, first in (((A, B), True), ((B, A), False)):
        drawn = generator.random(samples)
        place_says = first if place > 0 else not first
        prefers = np.where(drawn < abs(place), place_says, np.where(drawn < abs(place) + length, longer, better))
        told += [ballot(f"s{i}", shown, FIRST if ours == first else SECOND) for i, ours in enumerate(prefers)]
    return told, lengths(longer)


@pytest.mark.parametrize(("place", "length"), [(0.1, 0.1), (0.2, 0.1), (0.0, 0.2)])
def test_habits_in_a_part_of_the_calls_leave_the_truth_within_the_interval(place: float, length: float) -> None:
    generator, covered = np.random.default_rng(11), 0
    for _ in range(200):
        told, _ = habitual(generator, 0.7, place, length, 50)
        found = win_rate(pair_verdicts(told, A, B))
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 0.7 <= found.high
    assert covered >= 180


def lengths(longer: np.ndarray) -> dict[tuple[str, str, int], int]:
    """Words of both answers where the tuned arm's is longer, or not."""
    return {(arm, f"s{i}", 0): 800 + 90 * int(arm == A and more) + 45 * int(arm == B) for arm in (A, B)
            for i, more in enumerate(longer)}  # fmt: skip


@pytest.mark.parametrize(
    ("rate", "place", "length", "longer"),
    [
        (0.7, 0.0, 0.0, 0.75), (0.7, 0.2, 0.2, 0.75), (0.7, 0.4, 0.0, 0.75), (0.7, 0.0, 0.4, 0.75),
        (0.7, 0.3, 0.3, 0.75), (0.85, 0.5, 0.2, 0.6), (0.5, 0.3, 0.3, 0.9), (0.7, -0.4, 0.2, 0.5),
        (0.95, 0.3, 0.2, 0.75),
    ],
)  # fmt: skip
def test_without_habits_the_truth_is_within_the_interval_however_many_calls_follow_them(
    rate: float, place: float, length: float, longer: float
) -> None:
    generator, covered, found_out = np.random.default_rng(23), 0, 0
    for _ in range(200):
        told, words = habitual(generator, rate, place, length, 50, longer)
        found = habits(told, A, B, words)
        assert found is not None
        low, high = found.win_rate.low, found.win_rate.high
        covered += low is not None and high is not None and low <= rate <= high
        low, high = found.place.low, found.place.high
        found_out += low is not None and high is not None and not low <= 0 <= high
    assert covered >= 180
    assert found_out <= 20 if place == 0 else abs(place) < 0.3 or found_out >= 180, "and so is the habit itself"


def test_habits_are_told_by_their_share_and_nothing_is_concluded_from_a_judge_that_has_nothing_else() -> None:
    told, words = habitual(np.random.default_rng(1), 0.7, 0.3, 0.2, 2_000, 0.6)
    found = habits(told, A, B, words)
    assert found is not None
    assert (found.place.mean, found.length.mean) == (pytest.approx(0.3, abs=0.04), pytest.approx(0.2, abs=0.04))
    assert found.win_rate.mean == pytest.approx(0.7, abs=0.04)
    told, words = habitual(np.random.default_rng(1), 0.7, 1.0, 0.0, 50, 0.6)
    only = habits(told, A, B, words)
    assert only is not None
    assert (only.win_rate.mean, only.place.mean) == (None, pytest.approx(1))
    always = habits(habitual(np.random.default_rng(1), 0.7, 0.2, 0.0, 50)[0], A, B, lengths(np.ones(50)))
    assert always is not None
    assert always.length.mean is None, "an arm whose answers are all longer cannot be told from one that is better"


def test_a_fit_is_finite_and_unsure_where_all_verdicts_are_alike() -> None:
    told = [one for i in range(20) for one in (ballot(f"s{i}", (A, B), FIRST), ballot(f"s{i}", (B, A), SECOND))]
    words = {(arm, f"s{i}", 0): 100 + i for i in range(20) for arm in (A, B)}
    found = lc.length_control(told, A, B, words)
    assert found is not None
    assert found.win_rate.low is not None
    assert found.win_rate.mean is not None
    assert found.win_rate.low < 0.95 < found.win_rate.mean < 1
    assert found.length.mean is None
    assert lc.length_control(told[:8], A, B, words) is None


def test_strengths_are_the_maximum_of_their_likelihood() -> None:
    from scipy import optimize

    won = np.array([[0, 30, 12], [10, 0, 20], [8, 20, 0]], dtype=float)

    def loss(powers: np.ndarray) -> float:
        return float((won * np.logaddexp(0, powers[None, :] - powers[:, None])).sum())

    theirs = optimize.minimize(loss, np.zeros(3), tol=1e-12).x
    assert fit(won[None])[0] == pytest.approx(theirs - theirs.mean(), abs=1e-4)


def test_strengths_order_arms_and_want_them_linked() -> None:
    generator, verdicts = np.random.default_rng(0), []
    power = {"a": 1.0, "b": 0.0, "c": -1.0}
    for index in range(60):
        for one, other in (("a", "b"), ("a", "c"), ("b", "c")):
            wins = generator.random() < 1 / (1 + math.exp(power[other] - power[one]))
            told = [ballot(f"s{index}", (one, other), float(wins)), ballot(f"s{index}", (other, one), 1 - float(wins))]
            verdicts += pair_verdicts(told, one, other)
    found = strengths(verdicts, ["a", "b", "c"])
    assert found is not None
    for arm, true in power.items():
        assert found[arm].low <= true <= found[arm].high  # type: ignore[operator]
    assert strengths([one for one in verdicts if "c" not in (one.arm, one.versus)], ["a", "b", "c"]) is None


def probes(judge: Any, samples: int = 6) -> list[Ballot]:
    """What a judge says of pairs; `judge(better, longer)` names the place (0 or 1) that it takes."""
    told = []
    for probe in (PADDED, SCRAMBLED):
        for index in range(samples):
            for shown in ((ORIGINAL, DAMAGED), (DAMAGED, ORIGINAL)):
                longer = shown.index(DAMAGED) if probe == PADDED else 0
                taken = judge(shown.index(ORIGINAL), longer)
                told.append(ballot(f"s{index}", shown, FIRST if taken == 0 else SECOND, probe=probe))
    return told


def test_judges_that_do_not_judge_are_found_out_and_named() -> None:
    assert self_test(probes(lambda better, longer: better)).passed
    first = self_test(probes(lambda better, longer: 0))
    assert not first.passed
    assert first.message.startswith("it takes the first answer in 100% of its calls")
    longer = self_test(probes(lambda better, longer: longer))
    assert not longer.passed
    assert "the longer answer" in longer.message
    generator = np.random.default_rng(1)
    guesses = [self_test(probes(lambda better, longer: int(generator.integers(2)))) for _ in range(200)]
    assert sum(one.passed for one in guesses) <= 2
    assert "guess" in guesses[0].message
    ties = self_test([ballot(one.sample, one.shown, TIE, probe=one.probe) for one in probes(lambda b, x: b)])
    assert not ties.passed
    assert "the same of everything" in ties.message
    assert not self_test([]).passed


def test_a_constant_scorer_is_found_out() -> None:
    def scored(original: float, damaged: float) -> list[Ballot]:
        return [
            ballot(f"s{index}", (shown,), points, probe=SCRAMBLED)
            for index in range(6)
            for shown, points in ((ORIGINAL, original), (DAMAGED, damaged))
        ]

    assert self_test(scored(4, 1)).passed
    assert "the same of everything" in self_test(scored(3, 3)).message
    assert not self_test(scored(1, 4)).passed


def test_a_dialogue_is_blinded_by_speakers_alike_and_without_headers() -> None:
    text = "Sample: s1\nWord count: 9\n====\n\n**Host 1 (Alex):** Hello *there*.\n\nJamie: Hi.\n\nAlex: So."
    assert blind(text) == "Speaker 1: Hello *there*.\n\nSpeaker 2: Hi.\n\nSpeaker 1: So."
    assert blind("no label at all") == "no label at all"


def test_scrambling_keeps_labels_lines_and_words() -> None:
    text = "Speaker 1: one two three\n\nSpeaker 2: four five six seven"
    found = scrambled(text, "seed")
    assert sorted(found.split()) == sorted(text.split()) and found != text
    assert [line.split()[:2] for line in found.splitlines()] == [["Speaker", "1:"], [], ["Speaker", "2:"]]


@pytest.mark.parametrize(
    ("text", "marks"),
    [
        ('{"reason": "r", "flow": "A", "overall": "tie"}', {"flow": 1.0, "overall": 0.5}),
        ('{"flow": "?"} or\n```json\n{"flow": "answer B", "overall": "b"}```', {"flow": 0.0, "overall": 0.0}),
        ('{"reason": "r", "overall": "A"}', None),
        ('{"reason": "r", "flow": "A", "overall": "C"}', None),
        ("I like the first.", None),
        ("{" * 10_000, None),
    ],
)  # fmt: skip
def test_a_reply_is_read_or_not_and_never_guessed(text: str, marks: dict[str, float] | None) -> None:
    rubric = Rubric(name="r", task="t", criteria=[Criterion(name="flow", about="f")])
    found = read_reply(text, rubric)
    assert (found.marks if found else None) == marks


@pytest.mark.parametrize(
    ("points", "mark"), [("4", 4.0), ('"4"', 4.0), ("4.5", 4.5), ("6", None), ("true", None), ("null", None)]
)
def test_points_are_on_the_scale(points: str, mark: float | None) -> None:
    found = read_reply(f'{{"overall": {points}}}', Rubric(name="r", task="t", scale=Scale()))
    assert (found.marks["overall"] if found else None) == mark


@pytest.mark.parametrize("seed", range(4))
def test_kappa_and_its_interval_are_statsmodels(seed: int) -> None:

    from statsmodels.stats.inter_rater import cohens_kappa as published

    generator = np.random.default_rng(seed)
    names = ["win", "tie", "loss"]
    ours = generator.choice(names, 60, p=[0.6, 0.1, 0.3])
    theirs = np.where(generator.random(60) < 0.7, ours, generator.choice(names, 60))
    table = np.array([[((ours == one) & (theirs == two)).sum() for two in names] for one in names])
    expected, found = published(table), cohens_kappa(list(ours), list(theirs))
    assert found.low is not None and found.high is not None
    assert (found.mean, found.low, found.high) == pytest.approx(
        (expected.kappa, expected.kappa_low, expected.kappa_upp), abs=1e-9
    )


def test_habits_are_the_least_squares_of_statsmodels_with_errors_by_clusters() -> None:
    import statsmodels.api as sm

    told, words = habitual(np.random.default_rng(4), 0.7, 0.3, 0.2, 60, 0.6)
    calls, found = pair_calls(told, A, B, words), habits(told, A, B, words)
    assert calls is not None and found is not None
    design = sm.add_constant(np.column_stack([calls.place, np.sign(calls.longer) / 2]))
    # The published correction also divides by the coefficients' degrees of freedom, ours by the samples' alone.
    expected = sm.OLS(calls.preferred, design).fit(
        cov_type="cluster", cov_kwds={"groups": calls.group, "use_correction": False}
    )
    assert (found.place.mean, found.length.mean) == pytest.approx(tuple(expected.params[1:]))
    assert found.place.high is not None and found.place.mean is not None
    error = (found.place.high - found.place.mean) / 1.959963984540054
    assert error == pytest.approx(expected.bse[1] * math.sqrt(60 / 59))
