"""Runs the Python that it is given, as `python -c` does, in a process that has much of it loaded."""

from __future__ import annotations

import sys
from typing import Any


def main() -> None:
    """Run the first argument."""
    scope: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(sys.argv[1], "<string>", "exec"), scope)
