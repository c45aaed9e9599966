"""Names of files, made of what others called something."""

from __future__ import annotations

import hashlib
import re

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def safe_name(text: str, longest: int = 100) -> str:
    """The text with a dash in the place of all that is no letter, digit, dot, dash or underscore. It stays
    recognisable, and two texts may have one name."""
    return _UNSAFE.sub("-", text)[:longest]


def file_name(text: str, otherwise: str, longest: int = 100) -> str:
    """The same as the whole name of a file, which neither begins nor ends with a dot or dash."""
    return safe_name(text, longest).strip("-.") or otherwise


def item_name(source: str, name: str, otherwise: str, told: str | None = None) -> str:
    """The id in a ledger of a source's file that is called `name`; `told` is all that tells it from another one, its
    name where that does. Two never share one."""
    digest = hashlib.sha256((name if told is None else told).encode()).hexdigest()[:8]
    return f"{source}-{file_name(name, otherwise, longest=80)}-{digest}"
