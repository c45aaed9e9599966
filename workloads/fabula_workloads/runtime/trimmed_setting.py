"""Variables as they come out of Secrets and files: with a line break at their end more often than not."""

from __future__ import annotations

import logging
import os

_log = logging.getLogger(__name__)


def trimmed_setting(name: str) -> str | None:
    """A variable without blanks at its ends, which are taken off for libraries that read it too, and told.

    No key, token, name or address has any. One that is empty is none: libraries take it for a key or an address.
    """
    value = os.environ.get(name)
    if value is None:
        return None
    if plain := value.strip().strip("\ufeff\u200b\u00a0"):
        os.environ[name] = plain
    else:
        del os.environ[name]
    if value != plain:
        _log.warning("%s has white space at an end, which is left out; correct the Secret", name)
    return plain or None
