"""Specs as tests write them, flat, put into the shape that they have in a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PODCAST = ("source", "extraction", "images", "split")
"""The blocks within `spec.podcast` of a DatasetBuild."""


def in_blocks(kind: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    """The spec with the podcast's fields in its block; what is there already stays."""
    if kind != "DatasetBuild" or "podcast" in spec:
        return dict(spec)
    podcast = {name: spec[name] for name in PODCAST if name in spec}
    shared = {name: value for name, value in spec.items() if name not in PODCAST}
    return {**shared, "podcast": podcast} if podcast else shared


def changed(kind: str, spec: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The spec with some fields replaced."""
    before, new = in_blocks(kind, spec), in_blocks(kind, changes)
    if "podcast" in before and "podcast" in new:
        new["podcast"] = {**before["podcast"], **new["podcast"]}
    return {**before, **new}
