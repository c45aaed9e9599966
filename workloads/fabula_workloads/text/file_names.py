"""Names of files, made of what others called something."""

from __future__ import annotations

import re

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def safe_name(text: str, longest: int = 100) -> str:
    """The text with a dash in the place of all that is no letter, digit, dot, dash or underscore. It stays
    recognisable, and two texts may have one name."""
    return _UNSAFE.sub("-", text)[:longest]


def file_name(text: str, otherwise: str, longest: int = 100) -> str:
    """The same as the whole name of a file, which neither begins nor ends with a dot or dash."""
    return safe_name(text, longest).strip("-.") or otherwise
