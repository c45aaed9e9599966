"""Artifacts: parts first, then a manifest that is written last and only where none is.

What has no manifest does not exist; two workers that race for one folder end with one manifest, and the loser knows.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from pydantic import ValidationError

from fabula_api.artifact import MANIFEST, Manifest, Part, artifact_digest
from fabula_api.details import Details
from fabula_api.status import Lineage
from fabula_workloads.runtime.failures import Crashed, InputInvalid, NotFound, Overtaken
from fabula_workloads.runtime.store import Store

D = TypeVar("D", bound=Details)
_CHUNK = 1024 * 1024
_WRITERS = 8


def sha256_of(file: BinaryIO) -> str:
    """Hex SHA-256 of a stream, read in pieces."""
    digest = hashlib.sha256()
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
    return digest.hexdigest()


def add_part(store: Store, path: str, content: bytes | Path) -> Part:
    """Store bytes or a local file as a part of the artifact in `store`, to be named in its manifest.

    Once the folder is committed a part of it cannot change: equal content is left alone, other raises Overtaken.
    """
    return _add_part(store, path, content, read_manifest(store))


def add_parts(store: Store, contents: Iterable[tuple[str, bytes | Path]]) -> list[Part]:
    """As `add_part` for many small parts, several at a time, since each write to S3 is a round trip.

    `contents` is drawn from as parts are stored, so it may make them one by one.
    """
    committed = read_manifest(store)
    parts: list[Part] = []
    pending: deque[Future[Part]] = deque()
    with ThreadPoolExecutor(_WRITERS) as writers:
        for path, content in contents:
            pending.append(writers.submit(_add_part, store, path, content, committed))
            if len(pending) >= 2 * _WRITERS:
                parts.append(pending.popleft().result())
        parts += [future.result() for future in pending]
    return parts


def part_of(path: str, content: bytes | Path) -> Part:
    """What a manifest says of bytes or a local file as the part `path`."""
    if isinstance(content, bytes):
        return Part(path=path, size=len(content), sha256=hashlib.sha256(content).hexdigest())
    with content.open("rb") as file:
        return Part(path=path, size=content.stat().st_size, sha256=sha256_of(file))


def _add_part(store: Store, path: str, content: bytes | Path, committed: Manifest | None) -> Part:
    part = part_of(path, content)
    if committed is not None:
        if part in committed.parts:
            return part
        raise Overtaken(f"{store.uri} was committed by attempt {committed.attempt} without this {path}")
    if isinstance(content, Path):
        store.upload(content, path)
    else:
        store.write(path, content)
    return part


def commit(
    store: Store,
    *,
    kind: str,
    parts: Iterable[Part],
    counts: Mapping[str, int | float] | None = None,
    lineage: Iterable[Lineage] = (),
    details: Details | Mapping[str, Any] | None = None,
    key: str | None = None,
    attempt: int = 1,
) -> Manifest:
    """Write the manifest, after a look that every part is stored in its size, and only where none is.

    When another worker was first with the same digest, its manifest is returned; with another, Overtaken is raised.
    """
    ordered = sorted(parts, key=lambda part: part.path)
    stored = {entry.path: entry.size for entry in store.list()}
    for part in ordered:
        if stored.get(part.path) != part.size:
            raise Crashed(
                f"{store.uri}/{part.path} should have {part.size} bytes but has {stored.get(part.path, 'gone')}; "
                "something else writes to this folder",
                "PartLost",
            )
    manifest = Manifest(
        kind=kind,
        digest=artifact_digest(kind, ordered),
        parts=ordered,
        counts=dict(counts or {}),
        lineage=list(lineage),
        details=details.to_wire() if isinstance(details, Details) else dict(details or {}),
        key=key,
        attempt=attempt,
    )
    if store.write_if_absent(MANIFEST, manifest.model_dump_json(by_alias=True, indent=1).encode()):
        return manifest
    winner = read_manifest(store)
    if winner is None:
        raise Overtaken(f"the manifest of {store.uri} appeared and went; something else deletes in this folder")
    if winner.digest != manifest.digest:
        raise Overtaken(f"{store.uri} was committed by attempt {winner.attempt} with another content")
    return winner


def details_of(manifest: Manifest, model: type[D], where: str) -> D:
    """What the manifest tells, as the model of its kind. Raises InputInvalid, naming what it lacks; `where` begins the
    sentence."""
    try:
        return model.model_validate(manifest.details)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        what = f"does not record {field}" if first["type"] == "missing" else f"records no {field}: {first['msg']}"
        raise InputInvalid(f"{where}: its manifest {what}; it was not made by Fabula, or by another version") from None


def read_manifest(store: Store) -> Manifest | None:
    """The manifest of the artifact in `store`; None when nothing is committed there.

    Raises InputInvalid for what is no manifest, or does not have the digest of its own parts.
    """
    try:
        data = store.read(MANIFEST)
    except NotFound:
        return None
    try:
        manifest = Manifest.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputInvalid(f"{store.uri}/{MANIFEST} is no manifest: {where}: {first['msg']}") from None
    if (digest := artifact_digest(manifest.kind, manifest.parts)) != manifest.digest:
        raise InputInvalid(
            f"{store.uri}/{MANIFEST} says that its digest is {manifest.digest}, but its parts come to {digest}; it has "
            "been altered",
            "ArtifactAltered",
        )
    return manifest


def require_manifest(store: Store, kind: str | None = None) -> Manifest:
    """The manifest of an input artifact. Raises InputInvalid when there is none, or one of another kind."""
    manifest = read_manifest(store)
    if manifest is None:
        raise InputInvalid(f"{store.uri} has no {MANIFEST}: no artifact was committed there")
    if kind is not None and manifest.kind != kind:
        raise InputInvalid(f"{store.uri} is an artifact of kind {manifest.kind}, not {kind}")
    return manifest
