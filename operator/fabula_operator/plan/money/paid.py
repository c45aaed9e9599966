"""Which stages of a run pay a provider, as its recipe says."""

from __future__ import annotations

import math

from fabula_api.base import camel, value_at
from fabula_api.provider import longest_reply_seconds
from fabula_api.recipes import Paid, stages_of
from fabula_api.specs import Spec, kind_of

_SECONDS_TO_COMMIT = 10


def paid_stages(spec: Spec) -> dict[str, Paid]:
    """The run's stages that pay with this spec, in their order."""
    found = {stage.name: stage.paid for stage in stages_of(spec.recipe, kind_of(spec)) or () if stage.paid}
    return {name: paid for name, paid in found.items() if value_at(spec, paid.when[0]) in paid.when[1]}


def shards_of(spec: Spec, stage: str) -> int:
    """How many shards a stage has."""
    field = next(one.shards for one in stages_of(spec.recipe, kind_of(spec)) or () if one.name == stage)
    return 1 if field is None else int(value_at(spec, field))


def model_of(spec: Spec, paid: Paid) -> tuple[str, str]:
    """The field that names what is paid for, as a person writes it, and the model."""
    return f"spec.{camel(paid.model)}", str(value_at(spec, paid.model))


def last_call_seconds(spec: Spec, stage: str) -> int:
    """Seconds that a stage's pods need at most to end the paid calls in hand and keep the answers; 0 without such."""
    paid = paid_stages(spec).get(stage)
    if paid is None:
        return 0
    tokens = (value_at(spec, paid.reply_tokens),) if paid.reply_tokens else ()
    return math.ceil(longest_reply_seconds(*tokens)) + _SECONDS_TO_COMMIT
