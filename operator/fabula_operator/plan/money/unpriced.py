"""Models that a run pays for and whose price nobody knows, an application inference profile say.

With a budget such a run is refused: no call could be held against it. Without one it may go on, and says that its
dollars are not known; zero would be a lie.
"""

from __future__ import annotations

from fabula_api.fine_tune_run import FineTuneRunSpec
from fabula_api.pricing import price_of
from fabula_api.worker import Spec
from fabula_operator.plan.money.paid import payers

REASON = "PriceUnknown"
_REMEDY = (
    "give inputPerMillion, outputPerMillion and outputQuotaWeight (perImage of pictures) in spec.prices under this name"
)


def unpriced(spec: Spec | None) -> dict[str, str]:
    """Stages that pay for a model without a price, each with the field that names it and the model."""
    if spec is None or isinstance(spec, FineTuneRunSpec):
        return {}
    return {
        name: f"{payer.model_field} {payer.model}"
        for name, payer in payers(spec).items()
        if price_of(payer.model, spec.prices) is None
    }


def without_budget(spec: Spec | None) -> str:
    """What an accepted build is told; empty where every price is known."""
    if not (found := unpriced(spec)):
        return ""
    return f"no price of {_listed(found)} is known, so costUsd is not given; {_REMEDY}"


def over_budget(spec: Spec) -> str | None:
    """Why a build is refused whose budget could not be kept; None where it can, and for a dry run."""
    if isinstance(spec, FineTuneRunSpec) or spec.budget.usd is None or getattr(spec, "dry_run", False):
        return None
    if not (found := unpriced(spec)):
        return None
    return (
        f"spec.budget.usd is {spec.budget.usd:g}, but no price of {_listed(found)} is known, so it could not be kept; "
        f"{_REMEDY}, or leave the budget out"
    )


def _listed(found: dict[str, str]) -> str:
    return " and ".join(found.values())
