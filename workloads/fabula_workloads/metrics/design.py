"""What an evaluation compares, and how: the part of a spec that measuring needs, wherever the answers come from."""

from __future__ import annotations

from dataclasses import dataclass

from fabula_api.base import value_at
from fabula_api.eval_measures import Measures
from fabula_api.eval_run import EvalRunSpec
from fabula_api.metrics import Metric
from fabula_api.recipes import asked_of, metrics_of


@dataclass(frozen=True, slots=True)
class Design:
    """Arms that are compared, with what is measured of them."""

    recipe: str
    arms: tuple[str, ...]
    baseline: str
    """The arm that the others are compared with."""
    measures: Measures
    """Its `asked` is what the prompt asked for, be it said by the spec or the recipe."""

    def metrics(self) -> list[Metric]:
        """Those that are computed, each once."""
        known = metrics_of(self.recipe)
        return [known[name] for name in dict.fromkeys(self.measures.metrics)]

    def lacks(self, metric: Metric) -> str | None:
        """The spec field that the metric needs and that is not given."""
        if metric.needs is None:
            return None
        path = "".join(f"_{char.lower()}" if char.isupper() else char for char in metric.needs)
        return None if value_at(self.measures, path) else metric.needs


def design_of(spec: EvalRunSpec) -> Design:
    """That of an EvalRun."""
    asked = asked_of(spec.recipe, spec.asked, own_prompt=spec.prompt is not None)
    return Design(
        recipe=spec.recipe,
        arms=tuple(arm.name for arm in spec.arms),
        baseline=spec.baseline or spec.arms[0].name,
        measures=spec.replace(asked=asked),
    )
