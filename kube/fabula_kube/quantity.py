"""Kubernetes quantities ("500m", "2Gi") as exact numbers. Rules: k8s.io/apimachinery/pkg/api/resource.ParseQuantity."""

import re
from decimal import Decimal

_SUFFIXES = {
    **{name: Decimal(1024) ** power for power, name in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), start=1)},
    **{
        name: Decimal(1000) ** power for power, name in enumerate(("n", "u", "m", "", "k", "M", "G", "T", "P", "E"), -3)
    },
}
_QUANTITY = re.compile(r"(?P<number>[+-]?(?:\d+\.?\d*|\.\d+))(?P<suffix>[KMGTPE]i|[numkMGTPE]?|[eE][+-]?\d+)")
_SHAPE = "^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$"


class QuantityError(ValueError):
    """Text that is no quantity, in the words of Kubernetes."""


def parse_quantity(text: str | int | float) -> Decimal:
    """The number that a quantity stands for, in its base unit (cores, bytes, pieces). Raises QuantityError."""
    string = str(text)
    if match := _QUANTITY.fullmatch(string):
        number, suffix = match["number"], match["suffix"]
        factor = _SUFFIXES.get(suffix)
        return Decimal(number + suffix) if factor is None else Decimal(number) * factor
    shape = re.fullmatch(_SHAPE[1:-1], string)
    if not shape or "." in shape[1].replace(".", "", 1):
        raise QuantityError(f"quantities must match the regular expression '{_SHAPE}'")
    if not any(mark.isdigit() for mark in shape[1]):
        raise QuantityError("unable to parse numeric part of quantity")
    raise QuantityError("unable to parse quantity's suffix")
