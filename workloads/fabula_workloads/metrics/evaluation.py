"""The whole evaluation as one pure function: answers in; means, intervals, comparisons, gates and self-tests out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain

from fabula_api.eval_measures import Gate
from fabula_api.eval_results import GateStatus
from fabula_api.eval_run import EvalRunSpec
from fabula_api.metrics import Metric, ProfileName
from fabula_workloads.metrics.answer_form import PLAIN, AnswerForm
from fabula_workloads.metrics.answers import ClipFigures, Measured, measure_answer
from fabula_workloads.metrics.bootstrap import Estimate, estimate, per_sample
from fabula_workloads.metrics.design import Design, design_of
from fabula_workloads.metrics.gates import Evidence, judge
from fabula_workloads.metrics.materials import Computed
from fabula_workloads.metrics.records import GivenAnswer, Tried
from fabula_workloads.metrics.self_tests import compare_arms, distrusted, probe_text_metrics
from fabula_workloads.metrics.statistics.paired import Paired, compare, corrected


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
    lacking: dict[tuple[str, str], str]
    """(profile, metric) -> why no answer has a figure, where none has."""
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
    paired: Paired
    reason: str | None
    """Why there is no pair, where there is none."""

    @property
    def estimate(self) -> Estimate:
        """Mean of the differences and its interval."""
        return self.paired.estimate


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
        return next((figures for figures in self.computed if isinstance(figures, ClipFigures)), None)

    def metrics_under(self, profile: ProfileName) -> list[Metric]:
        """The metrics that the profile defines."""
        return [metric for metric in self.metrics if profile in metric.definitions]

    def label(self, metric: Metric) -> str | None:
        """What to know before believing the metric."""
        return next((figures.label for figures in self.computed if figures.metric == metric.name), None)

    def difference(self, profile: str, arm: str, metric: str) -> Difference | None:
        """The arm against the baseline; None for the baseline itself."""
        return next((d for d in self.differences if (d.profile, d.arm, d.metric) == (profile, arm, metric)), None)


def evaluate(
    of: EvalRunSpec | Design,
    answers: Sequence[GivenAnswer],
    computed: Sequence[Computed] = (),
    form: AnswerForm = PLAIN,
) -> Evaluation:
    """Evaluate all arms' answers, read as the recipe's `form` has it. `computed` are the figures of those metrics that
    look at all answers at once."""
    design = of if isinstance(of, Design) else design_of(of)
    profiles, metrics = list(dict.fromkeys(design.measures.profiles)), design.metrics()
    measured = [measure_answer(answer, form, profiles, metrics, computed, design.measures.asked) for answer in answers]
    defined = [(profile, metric) for profile in profiles for metric in metrics if profile in metric.definitions]
    clip = next((figures for figures in computed if isinstance(figures, ClipFigures)), None)
    arms = [_arm(name, design, measured, profiles, defined, clip) for name in design.arms]
    tests = _self_tests(
        form, profiles, [metric for metric in metrics if not design.lacks(metric)], defined, arms, measured
    )
    tests += [test for figures in computed for test in figures.tests]
    evaluation = Evaluation(
        profiles=profiles,
        metrics=metrics,
        baseline=design.baseline,
        arms=arms,
        differences=_differences(arms, design.baseline, defined),
        gates=[],
        self_tests=tests,
        answers=measured,
        computed=computed,
        form=form,
    )
    return replace(
        evaluation, gates=[(gate, judge(gate, _evidence(evaluation, gate))) for gate in design.measures.gates]
    )


def _evidence(evaluation: Evaluation, gate: Gate) -> Evidence:
    """What a gate on a metric of the first profile rests on."""
    profile, arms = evaluation.profile, {arm.name: arm for arm in evaluation.arms}
    key, ours = (profile, gate.metric), arms[gate.arm]
    if key not in ours.means:
        return Evidence(None, f"profile {profile} does not define {gate.metric}")
    broken = distrusted(evaluation.self_tests, profile)
    distrust = "the metric failed a self-test" if gate.metric in broken else None
    if gate.versus is None:
        return Evidence(ours.means[key], ours.lacking.get(key), distrust)
    difference = _difference(ours, arms[gate.versus], profile, gate.metric)
    return Evidence(difference.estimate, difference.reason, distrust)


Defined = Sequence[tuple[ProfileName, Metric]]
"""Each profile with each metric that it defines."""


def _arm(
    name: str,
    design: Design,
    measured: Sequence[Measured],
    profiles: Sequence[str],
    defined: Defined,
    clip: ClipFigures | None,
) -> ArmFigures:
    answers = [m for m in measured if m.answer.arm == name]
    given = [m for m in answers if m.answer.text is not None]
    samples: dict[tuple[str, str], dict[str, float]] = {
        (profile, metric.name): per_sample(
            {(m.answer.sample, m.answer.seed): m.values[profile][metric.name] for m in answers}
        )
        for profile, metric in defined
    }
    groundings = [clip.v2[m.answer.key] for m in given if clip and m.answer.key in clip.v2]
    return ArmFigures(
        name=name,
        done=len(given),
        failed=len(answers) - len(given),
        unparseable={profile: sum(not m.parseable[profile] for m in given) for profile in profiles},
        violations=dict(sorted(Counter(m.violation for m in given if m.violation).items())),
        means={key: estimate(list(values.values())) for key, values in samples.items()},
        samples=samples,
        lacking={
            (profile, metric.name): _why_none(answers, profile, design.lacks(metric))
            for profile, metric in defined
            if not samples[profile, metric.name]
        },
        control=_mean([g.control for g in groundings]),
        coverage=_mean([g.coverage for g in groundings]),
    )


def _why_none(answers: Sequence[Measured], profile: str, lacks: str | None) -> str:
    """Why none of an arm's answers has a figure."""
    if lacks is not None:
        return f"it needs {lacks}"
    counts = {
        "not generated": sum(m.answer.text is None for m in answers),
        "unparseable": sum(m.answer.text is not None and not m.parseable[profile] for m in answers),
    }
    counts["without what it measures"] = len(answers) - sum(counts.values())
    return ", ".join(f"{count} {what}" for what, count in counts.items() if count) or "no answers"


def _differences(arms: Sequence[ArmFigures], baseline: str, defined: Defined) -> list[Difference]:
    """Each arm against the baseline, corrected for how many comparisons a profile has."""
    base = next(arm for arm in arms if arm.name == baseline)
    differences = []
    for profile in dict.fromkeys(profile for profile, _ in defined):
        names = [metric.name for of, metric in defined if of == profile]
        some = [_difference(arm, base, profile, name) for arm in arms if arm.name != baseline for name in names]
        several = corrected([difference.paired for difference in some])
        differences += [replace(difference, paired=paired) for difference, paired in zip(some, several, strict=True)]
    return differences


def _difference(ours: ArmFigures, theirs: ArmFigures, profile: str, metric: str) -> Difference:
    key = (profile, metric)
    paired = compare(ours.samples[key], theirs.samples[key])
    reason = None
    if not paired.estimate.count:
        reasons = [f"{arm.name}: {arm.lacking[key]}" for arm in (ours, theirs) if key in arm.lacking]
        reason = "; ".join(reasons) or "no sample has a figure of both"
    return Difference(profile, ours.name, theirs.name, metric, paired, reason)


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
