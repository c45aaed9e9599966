"""Values that a container must get as they are: Kubernetes expands `$(NAME)` and `$$` in `env`, `command` and `args`.

Without this a prompt `costs $$5` loses a dollar, and `$(AWS_SECRET_ACCESS_KEY)` in one is filled from the run's Secret.
"""

from __future__ import annotations

from typing import Any

from fabula_api.worker import CONFIG_VARIABLE

VARIABLE_LIMIT = 128 * 1024
"""Bytes of one environment variable on Linux (MAX_ARG_STRLEN): name, `=`, value, and the NUL that ends it."""


def literal(text: str) -> str:
    """The text as a manifest must hold it, so that the container sees it unchanged."""
    return text.replace("$", "$$")


def variable(name: str, value: str) -> dict[str, Any]:
    """An entry of `env` whose value arrives as it is."""
    return {"name": name, "value": literal(value)}


def fits(value: str) -> bool:
    """Whether FABULA_CONFIG can hold the value; with a longer one no process can be started."""
    return len(f"{CONFIG_VARIABLE}={value}".encode()) < VARIABLE_LIMIT
