"""Does an answer obey the format that its prompt asks for? The rules are the recipe's."""

from __future__ import annotations

from fabula_workloads.metrics.reading import Reading


def format_compliance(reading: Reading) -> float:
    """1 when the answer breaks no rule, else 0. The mean over answers is the share that obeys."""
    return 0.0 if reading.flaw else 1.0
