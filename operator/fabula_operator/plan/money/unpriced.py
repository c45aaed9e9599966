"""Models that a run pays for and whose price nobody knows, an application inference profile say.

With a budget such a run is refused: no call could be held against it. Without one it may go on, and says that its
dollars are not known; zero would be a lie.
"""

from __future__ import annotations

from fabula_api.worker import Spec
from fabula_operator.plan.money.paid import payers

REASON = "PriceUnknown"
_REMEDY = (
    "give inputPerMillion, outputPerMillion and outputQuotaWeight (perImage of pictures) in spec.prices under this name"
)


def unpriced(spec: Spec | None) -> dict[str, str]:
    """Stages that pay for a model without a price, each with the field that names it and the model."""
    known = payers(spec) if spec is not None else {}
    return {name: f"{payer.model_field} {payer.model}" for name, payer in known.items() if payer.price is None}


def without_budget(spec: Spec | None) -> str:
    """What an accepted build is told; empty where every price is known."""
    if not (stages := unpriced(spec)):
        return ""
    return f"no price of {_listed(stages)} is known, so costUsd is not given; {_REMEDY}"


def over_budget(spec: Spec) -> str | None:
    """Why a run that pays is refused whose budget could not be kept; None where it can."""
    budgets = [payer.budget_usd for payer in payers(spec).values() if payer.price is None]
    if not budgets or budgets[0] is None:
        return None
    return (
        f"spec.budget.usd is {budgets[0]:g}, but no price of {_listed(unpriced(spec))} is known, so it could not be "
        f"kept; {_REMEDY}, or leave the budget out"
    )


def _listed(stages: dict[str, str]) -> str:
    return " and ".join(stages.values())
