"""Functions that records name as text, so that whoever reads a record imports nothing for it."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any


@cache
def named_function(text: str) -> Any:
    """What `module:function` names. Raises ImportError or AttributeError where there is none."""
    module, _, name = text.partition(":")
    return getattr(import_module(module), name)
