"""Committed checkpoints of a run: which there are, who may write them, and how one comes to exist.

Each is an artifact below `checkpoints/step-NNNNNN/`; its parts lie in a folder of the attempt that wrote them, so that
an attempt that was overtaken cannot touch another's files, and it commits nothing.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fabula_api.artifact import MANIFEST, Manifest, Part
from fabula_api.status import Lineage
from fabula_workloads.runtime.artifact import add_part, commit, read_manifest, sha256_of
from fabula_workloads.runtime.failures import InputInvalid, NotFound, Overtaken, TryAgain
from fabula_workloads.runtime.store import Store

KIND = "checkpoint"
_STEP = re.compile(r"step-(\d{6,})")
_NODE_WAIT_SECONDS = 600
_NOT_STATE = ("README.md", "training_args.bin", "zero_to_fp32.py", "zero_to_torch.py")
"""Files that Trainer and DeepSpeed write beside the state; they name local paths, or are code."""


class Checkpoints:
    """The checkpoints of one run, as one attempt sees them."""

    def __init__(self, store: Store, attempt: int) -> None:
        """`store` is rooted at the run's `checkpoints` folder."""
        self._store, self._attempt = store, attempt

    def enter(self) -> None:
        """Announce this attempt. Raises Overtaken when a later one was announced already."""
        self.ensure_current()
        self._store.write_if_absent(f"attempts/{self._attempt:06d}", b"")

    def ensure_current(self) -> None:
        """Raise Overtaken when a later attempt was announced: this one may write nothing more."""
        announced = [int(entry.path.rsplit("/", 1)[1]) for entry in self._store.list("attempts")]
        if (latest := max(announced, default=0)) > self._attempt:
            raise Overtaken(f"attempt {self._attempt} was overtaken by attempt {latest} and writes nothing more")

    def steps(self) -> list[int]:
        """Steps of all committed checkpoints, ascending."""
        found = []
        for entry in self._store.list():
            folder, _, name = entry.path.rpartition("/")
            if name == MANIFEST and (match := _STEP.fullmatch(folder)):
                found.append(int(match[1]))
        return sorted(found)

    def uri(self, step: int) -> str:
        """Folder of a checkpoint."""
        return self._folder(step).uri

    def newest(self) -> tuple[int, Manifest] | None:
        """The last committed checkpoint and its step."""
        for step in reversed(self.steps()):
            if manifest := read_manifest(self._folder(step)):
                return step, manifest
        return None

    def fetch(self, step: int, manifest: Manifest, target: Path) -> Path:
        """Download a checkpoint as the flat folder that Trainer resumes from, each file checked by its hash."""
        folder = self._folder(step)
        for part in manifest.parts:
            local = target / part.path.partition("/")[2]
            local.parent.mkdir(parents=True, exist_ok=True)
            folder.download(part.path, local)
            with local.open("rb") as file:
                if sha256_of(file) != part.sha256:
                    raise InputInvalid(f"{folder.uri}/{part.path} has changed since it was committed")
        return target

    def save(
        self,
        step: int,
        local: Path,
        *,
        node: int = 0,
        nodes: int = 1,
        details: dict[str, Any],
        lineage: Iterable[Lineage] = (),
    ) -> Manifest | None:
        """Upload this node's files of a checkpoint; the first node then waits for the others' and commits.

        Returns the manifest, on other nodes None. Raises Overtaken when a later attempt was announced.
        """
        folder = self._folder(step)
        if committed := read_manifest(folder):
            return committed
        files = [path for path in sorted(local.rglob("*")) if path.is_file() and path.name not in _NOT_STATE]
        parts = []
        for path in files:
            self.ensure_current()
            parts.append(add_part(folder, f"attempt-{self._attempt}/{path.relative_to(local).as_posix()}", path))
        if node:
            listing = json.dumps([part.model_dump() for part in parts]).encode()
            folder.write(self._listing(node), listing)
            return None
        for other in range(1, nodes):
            parts += self._parts_of(folder, other)
        self.ensure_current()
        return commit(
            folder,
            kind=KIND,
            parts=parts,
            counts={"step": step},
            lineage=lineage,
            details={**details, "step": step, "attempt": self._attempt},
            attempt=self._attempt,
        )

    def prune(self, keep: int) -> None:
        """Remove all but the newest `keep`; the manifest goes first, so that no half of one is ever seen as whole."""
        for step in self.steps()[:-keep]:
            self.ensure_current()
            folder = self._folder(step)
            folder.delete(MANIFEST)
            self._store.delete(f"step-{step:06d}")

    def _folder(self, step: int) -> Store:
        return self._store.child(f"step-{step:06d}")

    def _listing(self, node: int) -> str:
        return f"attempt-{self._attempt}.node-{node}.json"

    def _parts_of(self, folder: Store, node: int) -> list[Part]:
        """What another node uploaded, once it says so in the store; nodes share nothing else."""
        deadline = time.monotonic() + _NODE_WAIT_SECONDS
        while True:
            try:
                return [Part.model_validate(item) for item in json.loads(folder.read(self._listing(node)))]
            except NotFound:
                if time.monotonic() > deadline:
                    raise TryAgain(
                        f"node {node} did not upload its part of {folder.uri} in {_NODE_WAIT_SECONDS} s",
                        "CheckpointIncomplete",
                    ) from None
                time.sleep(1)
