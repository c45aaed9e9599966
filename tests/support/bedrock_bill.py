"""The stand-in's bill: every request, what it cost, whether its answer arrived, and for which item it was."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Charge:
    """One request. A request that was turned away costs nothing and is kept as well."""

    at: float
    operation: str
    model: str
    item: str
    """What the caller says it is for (`requestMetadata.call`), else the hash of the body."""
    body: str
    """Hash of the request's body: two charges with one body paid for the same thing twice."""
    request_id: str
    status: int
    error: str | None = None
    tokens_in: int = 0
    tokens_out: int = 0
    images: int = 0
    usd: float = 0.0
    delivered: bool = True
    """False when the connection was cut, or the caller was gone, after the work was done."""
    began: float = 0.0
    """When the request came in; `at` is when it was answered."""


class Bill:
    """Safe for many threads."""

    def __init__(self) -> None:
        self._charges: list[Charge] = []
        self._lock = threading.Lock()

    def add(self, charge: Charge) -> None:
        with self._lock:
            self._charges.append(charge)

    @property
    def charges(self) -> list[Charge]:
        with self._lock:
            return list(self._charges)

    @property
    def paid(self) -> list[Charge]:
        """Requests that the model worked on."""
        return [charge for charge in self.charges if charge.status == 200]

    @property
    def usd(self) -> float:
        return round(sum(charge.usd for charge in self.paid), 9)

    @property
    def usd_delivered(self) -> float:
        """Dollars for answers that reached the caller: what its books can know."""
        return round(sum(charge.usd for charge in self.paid if charge.delivered), 9)

    def paid_twice(self) -> dict[str, int]:
        """Items whose answer was delivered and paid for more than once."""
        delivered = Counter((charge.item, charge.body) for charge in self.paid if charge.delivered)
        return {item: count for (item, _), count in delivered.items() if count > 1}

    def summary(self) -> dict[str, Any]:
        """The whole bill as JSON."""
        charges = self.charges
        items: dict[str, dict[str, float]] = {}
        for charge in self.paid:
            item = items.setdefault(charge.item, {"requests": 0, "input": 0, "output": 0, "usd": 0.0})
            item["requests"] += 1
            item["input"] += charge.tokens_in
            item["output"] += charge.tokens_out
            item["usd"] = round(item["usd"] + charge.usd, 9)
        return {
            "requests": len(charges),
            "paid": len(self.paid),
            "undelivered": sum(not charge.delivered for charge in self.paid),
            "errors": dict(Counter(charge.error for charge in charges if charge.error)),
            "tokens": {
                "input": sum(charge.tokens_in for charge in self.paid),
                "output": sum(charge.tokens_out for charge in self.paid),
            },
            "usd": self.usd,
            "usdDelivered": self.usd_delivered,
            "items": items,
            "charges": [asdict(charge) for charge in charges],
        }
