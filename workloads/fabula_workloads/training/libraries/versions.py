"""Which versions of libraries the ranks are written against: those whose inside is touched."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version

from fabula_workloads.runtime.failures import ConfigInvalid

WRITTEN_AGAINST = {"deepspeed": "0.19", "transformers": "5.23"}
"""First two parts of the version, by package."""


def check_versions(version_of: Callable[[str], str] = version) -> None:
    """Raise ConfigInvalid for an image with another version of a library whose inside is touched."""
    for package, expected in WRITTEN_AGAINST.items():
        installed = version_of(package)
        if ".".join(installed.split(".")[:2]) != expected:
            raise ConfigInvalid(
                f"this image has {package} {installed}, and training is written against {package} {expected}: it "
                f"touches what that version has inside; install {package} {expected}.*, as requirements/ has it"
            )
