"""A build's books beside the provider's bill: which charge has its record, and which was lost on the way."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from tests.support.bedrock_bill import Bill, Charge

from fabula_workloads.runtime.ledger import Ledger
from fabula_workloads.runtime.open_store import open_store


@dataclass(frozen=True)
class Books:
    """What the ledgers of a build's paid stages say, and what the provider says."""

    records: dict[str, dict[str, Any]]
    """Paid calls by id."""
    sent: dict[str, dict[str, Any]]
    """Notes of calls that were about to be sent."""
    bill: Bill

    @classmethod
    def of(cls, status: dict[str, Any], bill: Bill) -> Books:
        """The books in the stage folders that a build's status names."""
        records: dict[str, dict[str, Any]] = {}
        sent: dict[str, dict[str, Any]] = {}
        for stage in status["stages"]:
            if stage["name"] in ("extract", "illustrate"):
                folder = open_store(stage["artifact"]["uri"])
                records |= dict(Ledger(folder.child("calls")).items())
                sent |= dict(Ledger(folder.child("sent")).items())
        return cls(records, sent, bill)

    @property
    def usd(self) -> float:
        """Dollars of all recorded calls."""
        return sum(float(record["usd"]) for record in self.records.values())

    @property
    def usd_lost(self) -> float:
        """Dollars that calls without an answer may have cost, at most."""
        return sum(float(record["lostUsd"]) for record in self.records.values())

    @property
    def lost(self) -> Counter[str]:
        """How many calls without an answer each record notes."""
        return +Counter({call: int(record["lost"]) for call, record in self.records.items()})

    def unrecorded(self) -> list[Charge]:
        """Charges that no record answers for: those whose answer nobody lived to write down."""
        known = {str(record["requestId"]) for record in self.records.values()}
        unrecorded = [charge for charge in self.bill.paid if charge.request_id not in known]
        # A picture that was stored without its record is found again; its record does not know the request.
        kept = {call for call, record in self.records.items() if record["requestId"] == "unknown"}
        for call in kept:
            delivered = [charge for charge in unrecorded if charge.item == call and charge.delivered]
            if delivered:
                unrecorded.remove(delivered[-1])
        return unrecorded
