"""What a stage is given and what it gives back: its whole contract with the runtime, in two values."""

from __future__ import annotations

import os
import stat
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from fabula_api.artifact import ArtifactReference, Manifest
from fabula_api.details import Details
from fabula_api.externals import COMMIT
from fabula_api.shared_spec import RunSpec
from fabula_api.status import Lineage
from fabula_api.summary import Summary
from fabula_api.worker import WorkerConfig, WorkerResult
from fabula_workloads.runtime.artifact import details_of, require_manifest
from fabula_workloads.runtime.content import require_content
from fabula_workloads.runtime.failures import ConfigInvalid, InputInvalid, TryAgain, from_os_error
from fabula_workloads.runtime.local_copy import fetched
from fabula_workloads.runtime.open_store import materialize, open_store
from fabula_workloads.runtime.progress import Reporter
from fabula_workloads.runtime.store import Store, resolve_uri
from fabula_workloads.runtime.verified import verify

RunSpecT = TypeVar("RunSpecT", bound=RunSpec)
CACHE_VARIABLE = "FABULA_CACHE"
"""Folder for downloads and scratch files; default: a folder of the user in the system's temporary one."""


def cache_folder() -> Path:
    """The folder that FABULA_CACHE names, made when it is not there. Raises ConfigInvalid where the default one, whose
    name anybody can tell, is not this user's alone: what is read from it is code's input."""
    named = os.environ.get(CACHE_VARIABLE)
    folder = Path(named) if named else Path(tempfile.gettempdir()) / f"fabula-cache-{os.getuid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise from_os_error(error, str(folder)) from error
    if not named and not _is_private(folder):
        raise ConfigInvalid(
            f"{folder} was made by somebody else, or others may write to it: remove it, or name a folder of your own "
            f"in {CACHE_VARIABLE}"
        )
    return folder


def _is_private(folder: Path) -> bool:
    """Whether the folder is a real one, this user's, and closed to others."""
    status = folder.lstat()
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o077


@dataclass
class StageContext:
    """One run of one stage in one pod."""

    config: WorkerConfig
    shard: int
    store: Store
    """The stage's own folder (config.output)."""
    reporter: Reporter
    stopping: threading.Event
    """Set by SIGTERM, or by the operator's reply when the run is suspended, deleted or overtaken."""
    cache: Path
    """Scratch folder on the local disk."""

    def spec_of(self, model: type[RunSpecT]) -> RunSpecT:
        """The run's spec as that model: a kind's, or a recipe's of a kind. Raises ConfigInvalid for another one's."""
        spec = self.config.spec
        if not isinstance(spec, model):
            kind, named = self.config.run.kind, model.__name__.removesuffix("Spec")
            raise ConfigInvalid(f"stage {self.config.stage} goes with a {named}, and this is a {kind} of {spec.recipe}")
        return spec

    def resolve(self, uri: str) -> str:
        """Absolute URI; one without a scheme is below the artifact root."""
        return resolve_uri(uri, self.config.root)

    def open_input(self, name: str) -> Store:
        """Store of an input folder by its name (`ingest`, `infer/base`, `dataset`). Raises ConfigInvalid if unknown."""
        try:
            return open_store(self.resolve(self.config.input(name).uri))
        except KeyError as error:
            raise ConfigInvalid(str(error.args[0])) from error

    def open_artifact(self, name: str, *kinds: str) -> tuple[Store, Manifest]:
        """An input that is an artifact of one of those kinds: its store and manifest, which are what the run was given.

        Raises InputInvalid where it is something else. Its parts are compared where they are read: `verified`.
        """
        store = self.open_input(name)
        manifest = require_manifest(store)
        if manifest.kind not in kinds:
            raise InputInvalid(f"{store.uri} is an artifact of kind {manifest.kind}, not {' or '.join(kinds)}")
        require_content(store.uri, manifest.digest, self.given(name))
        return store, manifest

    def read_artifact(self, name: str, *kinds: str) -> tuple[Store, Manifest]:
        """As `open_artifact`, with all parts verified, to be read through the store."""
        store, manifest = self.open_artifact(name, *kinds)
        verify(store, manifest, self.cache, self.check_stop)
        return store, manifest

    def fetch_artifact(self, store: Store, manifest: Manifest, *, but_pictures: bool = False) -> Path:
        """Local folder with the parts of an artifact, verified (`local_copy.fetched`). What else lies below it is not
        fetched."""
        return fetched(store, manifest, self.cache, self.check_stop, but_pictures=but_pictures)

    def given(self, name: str) -> str | None:
        """The digest that an input was resolved to; None where the config names no such input, or only its place."""
        digest = next((known.digest for known in self.config.inputs if known.name == name), None)
        return digest if digest is not None and digest.startswith(("sha256:", COMMIT)) else None

    def local(self, uri: str) -> Path:
        """Local path of a stored file or folder: the file itself for `file://`, a download for `s3://`."""
        return materialize(self.resolve(uri), self.cache)

    def check_stop(self) -> None:
        """Raise TryAgain (Interrupted) when the stage should stop: call it between items."""
        if self.stopping.is_set():
            raise TryAgain(f"stage {self.config.stage} was told to stop; what is finished stays", "Interrupted")

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A fresh folder on the local disk, removed afterwards."""
        with tempfile.TemporaryDirectory(prefix="scratch-", dir=self.cache, ignore_cleanup_errors=True) as folder:
            yield Path(folder)


@dataclass
class StageResult:
    """What a stage made.

    A stage whose figures a status shows should put `summary` and `metrics` into its manifest's `Details` as well, so
    that a later run that reuses the artifact can tell them again.
    """

    artifact: Manifest | None = None
    """The committed artifact; None for a sharded stage, whose outcomes are in its ledger."""
    uri: str | None = None
    """Folder of the artifact; default: the stage's own."""
    counts: dict[str, float] = field(default_factory=dict)
    """As `kind/outcome` or `kind/outcome/Reason`; added up over shards."""
    metrics: dict[str, float] = field(default_factory=dict)
    summary: Summary = field(default_factory=Summary)
    lineage: Iterable[Lineage] = ()
    digests: dict[str, str] = field(default_factory=dict)
    """Of `resolve`: what it found, by lineage name."""
    reused: bool = False

    @classmethod
    def reuse(cls, manifest: Manifest, uri: str) -> StageResult:
        """The result of taking a committed artifact as it is. Raises InputInvalid where its details are none."""
        told = details_of(manifest, Details, uri)
        return cls(
            artifact=manifest,
            uri=uri,
            counts={name: float(count) for name, count in manifest.counts.items()},
            metrics=told.metrics,
            summary=told.summary,
            lineage=manifest.lineage,
            reused=True,
        )

    def to_worker_result(self, default_uri: str) -> WorkerResult:
        """The result as it goes into the termination message."""
        reference = None
        if self.artifact is not None:
            reference = ArtifactReference(uri=self.uri or default_uri, digest=self.artifact.digest)
        return WorkerResult(
            outcome="Succeeded",
            artifact=reference,
            reused=self.reused,
            counts=self.counts,
            metrics=self.metrics,
            summary=self.summary,
            lineage=list(self.lineage),
            digests=self.digests,
        )
