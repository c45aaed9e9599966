"""Kubernetes quantities ("500m", "2Gi") as exact numbers."""

from decimal import Decimal

SUFFIXES = {
    **{letter + "i": Decimal(1024) ** power for power, letter in enumerate("KMGTPE", 1)},
    **{letter: Decimal(1000) ** power for power, letter in enumerate("kMGTPE", 1)},
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
}


def parse_quantity(text: str | int | float) -> Decimal:
    """The number that a quantity stands for, in its base unit (cores, bytes, pieces)."""
    string = str(text)
    for suffix, factor in SUFFIXES.items():
        if string.endswith(suffix):
            return Decimal(string[: -len(suffix)]) * factor
    return Decimal(string)
