"""Which stages of a run pay a provider, as its recipe says: each by its name, with the judge where it is one's."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fabula_api.base import EACH, camel, value_at, value_of
from fabula_api.entries import Entry, entries, instance
from fabula_api.named_function import named_function
from fabula_api.once import once
from fabula_api.pricing import Price, price_of
from fabula_api.provider import longest_reply_seconds
from fabula_api.recipes import Paid, Stage, stages_of
from fabula_api.specs import Spec, kind_of

_SECONDS_TO_COMMIT = 10


@dataclass(frozen=True, slots=True)
class Payer:
    """One stage that pays, for one entry of a list where it runs for each of them."""

    spec: Spec
    stage: Stage
    paid: Paid
    entry: Entry | None = None

    @property
    def name(self) -> str:
        """As in `status.stages`."""
        return instance(self.stage.name, self.entry.name if self.entry else None)

    def value(self, path: str) -> Any:
        """What stands in one of the fields that `Paid` names."""
        return value_of(self.spec, path, self.entry)

    @property
    def shards(self) -> int:
        """How many shards it has."""
        return 1 if self.stage.shards is None else int(self.value(self.stage.shards))

    @property
    def model(self) -> str:
        """What is paid for."""
        return str(self.value(self.paid.model))

    @property
    def price(self) -> Price | None:
        """What it costs; None where nobody knows."""
        return price_of(self.model, self.value("prices"))

    @property
    def budget_usd(self) -> float | None:
        """Dollars that the whole run may take; None without a bound."""
        usd: float | None = self.value("budget.usd")
        return usd

    @property
    def limits_itself(self) -> bool:
        """Whether it says by itself what it may take, and not by what those before it left."""
        return self.paid.limit_usd is not None or self.paid.entry_usd is not None

    @property
    def limit_usd(self) -> float | None:
        """Dollars that it says it may take in all; None without a bound."""
        usd: float | None
        if self.paid.entry_usd is not None:
            usd = named_function(self.paid.entry_usd)(self.spec, self.entry)
        else:
            usd = value_at(self.spec, self.paid.limit_usd) if self.paid.limit_usd is not None else None
        return usd

    @property
    def model_field(self) -> str:
        """The field that names it, as a person writes it."""
        if self.entry is None:
            return f"spec.{camel(self.paid.model)}"
        return f"spec.{self.stage.for_each}[{self.entry.name}].{camel(self.paid.model.removeprefix(EACH))}"


@once(512)
def payers(spec: Spec) -> Mapping[str, Payer]:
    """The run's stages that pay with this spec, by name, in their order."""
    paying = {}
    for stage in stages_of(spec.recipe, kind_of(spec)) or ():
        if stage.paid is None:
            continue
        for entry in entries(stage, spec) if stage.for_each else (None,):
            payer = Payer(spec, stage, stage.paid, entry)
            if payer.value(stage.paid.when[0]) in stage.paid.when[1]:
                paying[payer.name] = payer
    return paying


def last_call_seconds(spec: Spec, stage: str) -> int:
    """Seconds that a stage's pods need at most to end the paid calls in hand and keep the answers; 0 without such."""
    payer = payers(spec).get(stage)
    if payer is None:
        return 0
    tokens = (payer.value(payer.paid.reply_tokens),) if payer.paid.reply_tokens else ()
    return math.ceil(longest_reply_seconds(*tokens)) + _SECONDS_TO_COMMIT
