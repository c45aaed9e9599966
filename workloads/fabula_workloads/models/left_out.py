"""Packages that a process does without: libraries import each other wherever they are installed, for seconds."""

from __future__ import annotations

import sys


def leave_out(*packages: str) -> None:
    """Let this process find none of them, as if they were not installed. What is loaded already stays."""
    for package in packages:
        sys.modules.setdefault(package, None)  # type: ignore[arg-type]
