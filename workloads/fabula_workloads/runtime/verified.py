"""What is read is what was committed: manifests that fit, parts that have their hashes, nothing planted beside them.

Every part's size is compared. Every part is hashed, but of pictures, which may be tens of thousands, at most
`SPOT_CHECKED`, drawn anew each time. What is downloaded (`local_copy`) is hashed as a whole.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from fabula_api.artifact import MANIFEST, Manifest, Part
from fabula_api.uri import FILE
from fabula_workloads.runtime.artifact import read_manifest, sha256_of
from fabula_workloads.runtime.content import file_sha256
from fabula_workloads.runtime.failures import InputInvalid, NotFound
from fabula_workloads.runtime.store import Store, local_path

SPOT_CHECKED = 256
"""So many pictures of an artifact are hashed at most; a change of one in a hundred is then missed once in 13 times."""
ALTERED, PLANTED = "ArtifactAltered", "ArtifactPlanted"
_PICTURES = frozenset({".jpg", ".jpeg", ".png", ".webp"})
_BESIDE = ("logs/", "checkpoints/")
"""Folders that a training keeps beside its parts; no reader of the artifact looks into them."""
_READERS = 8

CheckStop = Callable[[], None]


def committed(store: Store, kinds: Iterable[str], key: str, cache: Path, check_stop: CheckStop) -> Manifest | None:
    """The artifact that a stage of that key has committed in `store`, to be taken as it is; None when there is none.

    Raises InputInvalid, by the reason ArtifactPlanted or ArtifactAltered, for what is not what the stage made.
    """
    manifest = read_manifest(store)
    if manifest is None:
        return None
    if manifest.kind not in kinds:
        wanted = " or ".join(kinds)
        raise InputInvalid(f"{store.uri} holds an artifact of kind {manifest.kind}, where this stage makes {wanted}; "
                           "remove the folder, and the stage runs again", PLANTED)  # fmt: skip
    if manifest.key != key:
        raise InputInvalid(f"{store.uri} was committed by other work (stage key {manifest.key}, where this stage's is "
                           f"{key}); remove the folder, and the stage runs again", PLANTED)  # fmt: skip
    verify(store, manifest, cache, check_stop)
    return manifest


def verify(
    store: Store,
    manifest: Manifest,
    cache: Path,
    check_stop: CheckStop = lambda: None,
    *,
    but_pictures: bool = False,
) -> None:
    """Compare an artifact with its manifest. Raises InputInvalid naming the first part that is missing, has changed, or
    was put there by somebody else. `but_pictures` is for who looks at each of them himself."""
    there = {entry.path: entry.size for entry in store.list()}
    parts = [part for part in manifest.parts if not (but_pictures and is_picture(part))]
    for part in parts:
        if there.get(part.path) != part.size:
            what = "is not there" if part.path not in there else f"has {there[part.path]} bytes"
            raise InputInvalid(
                f"{store.uri}/{part.path} {what}, but {part.size} were committed; it has changed", ALTERED
            )
    if store.uri.startswith(FILE):
        _nothing_planted(store, manifest, there)

    def check(part: Part) -> None:
        check_stop()
        require_hash(f"{store.uri}/{part.path}", part, _hash(store, part, cache))

    with ThreadPoolExecutor(_READERS) as readers:
        for _ in readers.map(check, _to_hash(parts)):
            pass


def require_hash(uri: str, part: Part, sha256: str) -> None:
    """Raise InputInvalid where a part's content is not what its manifest says."""
    if sha256 != part.sha256:
        raise InputInvalid(
            f"{uri} has changed since it was committed (SHA-256 {sha256[:12]}..., manifest {part.sha256[:12]}...)",
            ALTERED,
        )


def _hash(store: Store, part: Part, cache: Path) -> str:
    if store.uri.startswith(FILE):
        try:
            return file_sha256(local_path(store.uri) / part.path, cache)
        except FileNotFoundError:
            raise NotFound(f"{store.uri}/{part.path}") from None
    with store.open(part.path) as file:
        return sha256_of(file)


def is_picture(part: Part) -> bool:
    """Whether a part is one of what may be tens of thousands."""
    return PurePosixPath(part.path).suffix.lower() in _PICTURES


def _to_hash(parts: list[Part]) -> list[Part]:
    pictures = [part for part in parts if is_picture(part)]
    others = [part for part in parts if not is_picture(part)]
    if len(pictures) > SPOT_CHECKED:
        pictures = random.SystemRandom().sample(pictures, SPOT_CHECKED)
    return others + pictures


def _nothing_planted(store: Store, manifest: Manifest, there: Iterable[str]) -> None:
    """A file that no manifest names could be taken for a part: a loader looks for names."""
    named = {part.path for part in manifest.parts} | {MANIFEST}
    for path in sorted(there):
        if path in named or path.startswith(_BESIDE) or any(part.startswith(".") for part in path.split("/")):
            continue
        raise InputInvalid(
            f"{store.uri}/{path} is no part of the artifact that was committed there; remove it", PLANTED
        )
