"""The whole evaluation as one pure function: answers in; means, intervals, comparisons, gates and self-tests out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from fabula_api.eval_measures import Gate
from fabula_api.eval_results import GateStatus
from fabula_api.eval_run import EvalRunSpec
from fabula_api.metrics import Metric, ProfileName
from fabula_api.recipes import metrics_of
from fabula_workloads.metrics.answer_form import PLAIN, AnswerForm
from fabula_workloads.metrics.answers import ClipFigures, Measured, measure_answer
from fabula_workloads.metrics.bootstrap import Estimate, estimate, paired_difference, per_sample
from fabula_workloads.metrics.gates import judge
from fabula_workloads.metrics.materials import Computed
from fabula_workloads.metrics.records import GivenAnswer, Tried
from fabula_workloads.metrics.self_tests import compare_arms, distrusted, probe_text_metrics


@dataclass(frozen=True, slots=True)
class ArmFigures:
    """One arm: how its answers ended, and its means by (profile, metric)."""

    name: str
    done: int
    failed: int
    unparseable: dict[str, int]
    """Answers that the recipe could not read, by profile."""
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

    profiles: list[ProfileName]
    metrics: list[Metric]
    baseline: str
    arms: list[ArmFigures]
    differences: list[Difference]
    gates: list[tuple[Gate, GateStatus]]
    self_tests: list[Tried]
    answers: list[Measured]
    computed: Sequence[Computed]
    """What was measured over all answers at once."""
    form: AnswerForm = PLAIN
    """How answers were read."""

    @property
    def profile(self) -> ProfileName:
        """The profile that status, summary and gates use."""
        return self.profiles[0]

    @property
    def clip(self) -> ClipFigures | None:
        """What CLIP says, which has more to tell than its score."""
        return next((one for one in self.computed if isinstance(one, ClipFigures)), None)

    def metrics_under(self, profile: ProfileName) -> list[Metric]:
        """The metrics that the profile defines."""
        return [metric for metric in self.metrics if profile in metric.definitions]

    def label(self, metric: Metric) -> str | None:
        """What to know before believing the metric."""
        return next((one.label for one in self.computed if one.metric == metric.name), None)

    def difference(self, profile: str, arm: str, metric: str) -> Estimate | None:
        """The arm's difference from the baseline; None for the baseline itself."""
        return next(
            (d.estimate for d in self.differences if (d.profile, d.arm, d.metric) == (profile, arm, metric)), None
        )


def evaluate(
    spec: EvalRunSpec, answers: Sequence[GivenAnswer], computed: Sequence[Computed] = (), form: AnswerForm = PLAIN
) -> Evaluation:
    """Evaluate all arms' answers, read as the recipe's `form` has it. `computed` are the figures of those metrics that
    look at all answers at once."""
    profiles = list(dict.fromkeys(spec.profiles))
    known = metrics_of(spec.recipe)
    metrics = [known[name] for name in dict.fromkeys(spec.metrics)]
    measured = [measure_answer(answer, form, profiles, metrics, computed) for answer in answers]
    defined = [(profile, metric) for profile in profiles for metric in metrics if profile in metric.definitions]
    clip = next((one for one in computed if isinstance(one, ClipFigures)), None)
    arms = [_arm(arm.name, measured, profiles, defined, clip) for arm in spec.arms]
    baseline = spec.baseline or spec.arms[0].name
    tests = _self_tests(form, profiles, metrics, defined, arms, measured)
    tests += [test for one in computed for test in one.tests]
    first = profiles[0]
    shown = [metric.name for profile, metric in defined if profile == first]
    figures = {(arm.name, name): arm.samples[first, name] for arm in arms for name in shown}
    means = {(arm.name, name): arm.means[first, name] for arm in arms for name in shown}
    refused = distrusted(tests, first)
    return Evaluation(
        profiles=profiles,
        metrics=metrics,
        baseline=baseline,
        arms=arms,
        differences=_differences(arms, baseline, defined),
        gates=[(gate, judge(gate, figures, means, refused)) for gate in spec.gates],
        self_tests=tests,
        answers=measured,
        computed=computed,
        form=form,
    )


Defined = Sequence[tuple[ProfileName, Metric]]
"""Each profile with each metric that it defines."""


def _arm(
    name: str, measured: Sequence[Measured], profiles: Sequence[str], defined: Defined, clip: ClipFigures | None
) -> ArmFigures:
    own = [m for m in measured if m.answer.arm == name]
    given = [m for m in own if m.answer.text is not None]
    samples: dict[tuple[str, str], dict[str, float]] = {
        (profile, metric.name): per_sample(
            {(m.answer.sample, m.answer.seed): m.values[profile][metric.name] for m in own}
        )
        for profile, metric in defined
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


def _differences(arms: Sequence[ArmFigures], baseline: str, defined: Defined) -> list[Difference]:
    base = next(arm for arm in arms if arm.name == baseline)
    return [
        Difference(profile, arm.name, baseline, metric.name, paired_difference(arm.samples[key], base.samples[key]))
        for arm in arms
        if arm.name != baseline
        for profile, metric in defined
        for key in [(profile, metric.name)]
    ]


def _self_tests(
    form: AnswerForm,
    profiles: Sequence[ProfileName],
    metrics: Sequence[Metric],
    defined: Defined,
    arms: Sequence[ArmFigures],
    measured: Sequence[Measured],
) -> list[Tried]:
    texts: dict[str, dict[str, str]] = {arm.name: {} for arm in arms}
    for m in measured:
        texts[m.answer.arm][m.answer.sample] = texts[m.answer.arm].get(m.answer.sample, "") + (m.answer.text or "")
    probes = chain.from_iterable(probe_text_metrics(form, profile, metrics) for profile in profiles)
    compared = (
        compare_arms(metric, profile, {arm.name: arm.samples[profile, metric.name] for arm in arms}, texts)
        for profile, metric in defined
    )
    return [*probes, *(test for test in compared if test is not None)]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
