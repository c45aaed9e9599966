"""The answers that stage `infer` left, as later stages read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from fabula_api.eval_run import EvalRunSpec
from fabula_workloads.metrics.records import GivenAnswer
from fabula_workloads.runtime.context import StageContext
from fabula_workloads.runtime.failures import InputInvalid
from fabula_workloads.runtime.outcomes import Outcome, Outcomes
from fabula_workloads.samples.sample_set import EvaluationSample


class AnswerOutcome(Outcome):
    """What became of one sample under one seed."""

    text: str = ""
    tokens: int = 0
    seconds: float = 0.0
    finish: Literal["stop", "length"] = "stop"
    """Whether the model ended it, or `maxNewTokens` did."""
    readable: bool = True
    """Whether the recipe can read it."""
    by: str = ""
    """Shard that made it, as `Holder.place`."""


def read_answers(
    context: StageContext, spec: EvalRunSpec, arm: str, samples: Sequence[EvaluationSample]
) -> list[GivenAnswer]:
    """The arm's outcome for every sample and seed. Raises InputInvalid naming what is missing."""
    store = context.open_input(f"infer/{arm}")
    outcomes = dict(Outcomes(store, AnswerOutcome).items())
    items = {f"{sample.id}-{seed}": (sample.id, seed) for sample in samples for seed in spec.generation.seeds}
    if missing := [key for key in items if key not in outcomes]:
        named = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        raise InputInvalid(
            f"arm {arm}: {len(missing)} answers are missing in {store.uri}: {named}; run the stage infer again"
        )
    return [_answer(arm, sample, seed, outcomes[key]) for key, (sample, seed) in items.items()]


def _answer(arm: str, sample: str, seed: int, outcome: AnswerOutcome) -> GivenAnswer:
    if not outcome.ok:
        return GivenAnswer(arm, sample, seed, None, reason=outcome.reason or "Unknown")
    return GivenAnswer(arm, sample, seed, outcome.text, outcome.tokens, outcome.seconds, outcome.finish)
