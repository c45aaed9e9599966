"""The whole evaluation as one pure function: answers in; means, intervals, comparisons, gates and self-tests out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from fabula_api.eval_run import EvalRunSpec, Gate, GateStatus
from fabula_workloads.metrics.answers import ClipFigures, GivenAnswer, Measured, measure_answer
from fabula_workloads.metrics.bootstrap import Estimate, estimate, paired_difference, per_sample
from fabula_workloads.metrics.gates import judge
from fabula_workloads.metrics.profiles import PROFILES
from fabula_workloads.metrics.self_tests import Tried, compare_arms, distrusted, probe_text_metrics


@dataclass(frozen=True, slots=True)
class ArmFigures:
    """One arm: how its answers ended, and its means by (profile, metric)."""

    name: str
    done: int
    failed: int
    unparseable: dict[str, int]
    """Answers without a turn, by profile."""
    violations: dict[str, int]
    """Answers by the format rule that they break."""
    means: dict[tuple[str, str], Estimate]
    samples: dict[tuple[str, str], dict[str, float]]
    """(profile, metric) -> sample -> mean over seeds."""
    control: float | None
    """CLIPScore of the texts on other samples' pictures."""
    coverage: float | None
    """Share of pictures that the text fits better than 95 % of the control."""


@dataclass(frozen=True, slots=True)
class Difference:
    """An arm against the baseline, by pairs of samples."""

    profile: str
    arm: str
    versus: str
    metric: str
    estimate: Estimate


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Everything a report tells."""

    profiles: list[str]
    metrics: list[str]
    baseline: str
    arms: list[ArmFigures]
    differences: list[Difference]
    gates: list[tuple[Gate, GateStatus]]
    self_tests: list[Tried]
    answers: list[Measured]
    clip: ClipFigures | None

    @property
    def profile(self) -> str:
        """The profile that status, summary and gates use."""
        return self.profiles[0]

    def difference(self, profile: str, arm: str, metric: str) -> Estimate | None:
        """The arm's difference from the baseline; None for the baseline itself."""
        return next(
            (d.estimate for d in self.differences if (d.profile, d.arm, d.metric) == (profile, arm, metric)), None
        )


def evaluate(
    spec: EvalRunSpec, answers: Sequence[GivenAnswer], clip: ClipFigures | None, clip_tests: Sequence[Tried] = ()
) -> Evaluation:
    """Evaluate all arms' answers. `clip` is None when `clip-score` was not asked for."""
    profiles = list(dict.fromkeys(spec.profiles))
    metrics: list[str] = [*dict.fromkeys(spec.metrics)]
    measured = [measure_answer(answer, list(profiles), metrics, clip) for answer in answers]
    arms = [_arm(arm.name, measured, list(profiles), metrics, clip) for arm in spec.arms]
    baseline = spec.baseline or spec.arms[0].name
    tests = [*_self_tests(profiles, metrics, arms, measured), *clip_tests]
    first = profiles[0]
    figures = {(arm.name, metric): arm.samples[first, metric] for arm in arms for metric in metrics}
    means = {(arm.name, metric): arm.means[first, metric] for arm in arms for metric in metrics}
    refused = distrusted(tests, first)
    return Evaluation(
        profiles=list(profiles),
        metrics=metrics,
        baseline=baseline,
        arms=arms,
        differences=_differences(arms, baseline, list(profiles), metrics),
        gates=[(gate, judge(gate, figures, means, refused)) for gate in spec.gates],
        self_tests=tests,
        answers=measured,
        clip=clip,
    )


def _arm(
    name: str, measured: Sequence[Measured], profiles: list[str], metrics: list[str], clip: ClipFigures | None
) -> ArmFigures:
    own = [m for m in measured if m.answer.arm == name]
    given = [m for m in own if m.answer.text is not None]
    samples = {
        (profile, metric): per_sample({(m.answer.sample, m.answer.seed): m.values[profile][metric] for m in own})
        for profile in profiles
        for metric in metrics
    }
    groundings = [clip.v2[m.answer.key] for m in given if clip and m.answer.key in clip.v2]
    return ArmFigures(
        name=name,
        done=len(given),
        failed=len(own) - len(given),
        unparseable={profile: sum(not m.parseable[profile] for m in given) for profile in profiles},
        violations=dict(sorted(Counter(m.violation for m in given if m.violation).items())),
        means={key: estimate(list(values.values())) for key, values in samples.items()},
        samples=samples,
        control=_mean([g.control for g in groundings]),
        coverage=_mean([g.coverage for g in groundings]),
    )


def _differences(
    arms: Sequence[ArmFigures], baseline: str, profiles: list[str], metrics: list[str]
) -> list[Difference]:
    base = next(arm for arm in arms if arm.name == baseline)
    return [
        Difference(profile, arm.name, baseline, metric, paired_difference(arm.samples[key], base.samples[key]))
        for arm in arms
        if arm.name != baseline
        for profile in profiles
        for metric in metrics
        for key in [(profile, metric)]
    ]


def _self_tests(
    profiles: Sequence[str], metrics: list[str], arms: Sequence[ArmFigures], measured: Sequence[Measured]
) -> list[Tried]:
    texts: dict[str, dict[str, str]] = {arm.name: {} for arm in arms}
    for m in measured:
        texts[m.answer.arm][m.answer.sample] = texts[m.answer.arm].get(m.answer.sample, "") + (m.answer.text or "")
    probes = chain.from_iterable(probe_text_metrics(PROFILES[profile], metrics) for profile in profiles)
    compared = (
        compare_arms(metric, profile, {arm.name: arm.samples[profile, metric] for arm in arms}, texts)
        for profile in profiles
        for metric in metrics
    )
    return [*probes, *(test for test in compared if test is not None)]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
