"""How many examples Hypothesis tries of a property."""

from __future__ import annotations

import os

SOAK = bool(os.environ.get("FABULA_SOAK"))
"""Whether hours may be spent: `make soak`."""


def examples(count: int) -> int:
    """So many in `make test`, and twenty times as many in a soak."""
    return 20 * count if SOAK else count
