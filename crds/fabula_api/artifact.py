"""Artifacts: a folder of parts and, written last and only once, a manifest. What has no manifest does not exist."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from fabula_api.base import Digest, StatusModel, Text, Uri
from fabula_api.status import Lineage
from fabula_api.uri import path_problem

MANIFEST = "manifest.json"


def canonical_json(value: Any) -> bytes:
    """JSON with sorted keys and no spaces: equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest_of(value: Any) -> str:
    """`sha256:<hex>` of a JSON value."""
    return "sha256:" + hashlib.sha256(canonical_json(value)).hexdigest()


def _below(path: str) -> str:
    """Raises ValueError for a path that could lead out of the artifact's folder."""
    if problem := path_problem(path):
        raise ValueError(f"{path!r} is no path below the artifact: {problem}")
    return path


class Part(StatusModel):
    path: Annotated[str, Field(max_length=1024), AfterValidator(_below)]
    """Path below the artifact's folder, with forward slashes."""
    size: int = Field(ge=0)
    """Bytes."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """Of the content."""


class Manifest(StatusModel):
    """The word that an artifact is whole. `digest` covers kind and parts, so it does not depend on when or by whom."""

    kind: Text
    """`pictures`, `dataset`, `checkpoint`, `adapter`, `model`, `sample-set`, `answers` or
    `report`."""
    digest: Digest
    """Digest of kind and parts."""
    parts: list[Part]
    """Every file of the artifact, by path."""
    counts: dict[str, int | float] = Field(default_factory=dict)
    """Figures a reader wants before opening it."""
    lineage: list[Lineage] = Field(default_factory=list)
    """Inputs by digest."""
    details: dict[str, Any] = Field(default_factory=dict)
    """What the next stage must know, for example pixels and prompt version of an adapter."""
    key: Digest | None = None
    """Key of the stage that committed it; none of what is no stage's output, such as a checkpoint."""
    attempt: int = 1
    """Attempt that committed it."""


def artifact_digest(kind: str, parts: Iterable[Part]) -> str:
    """Digest of an artifact: over its kind and each part's path, size and content hash, in path order."""
    ordered = sorted(parts, key=lambda part: part.path)
    return digest_of({"kind": kind, "parts": [[part.path, part.size, part.sha256] for part in ordered]})


class ArtifactReference(StatusModel):
    uri: Uri
    """Folder of the artifact."""
    digest: Digest
    """Digest in its manifest."""
