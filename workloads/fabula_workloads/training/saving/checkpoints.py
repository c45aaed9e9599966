"""Committed checkpoints of a run: which there are, who may write them, and how one comes to exist.

Each is an artifact below `checkpoints/step-NNNNNN/`; its parts lie in a folder of the start that wrote them, so that a
start that was overtaken cannot touch another's files, and it commits nothing (`fence`).
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
from fabula_workloads.training.saving.fence import Fence

KIND = "checkpoint"
_STEP = re.compile(r"step-(\d{6,})")
_NODE_WAIT_SECONDS, _HURRY_SECONDS = 600.0, 60.0
"""For another node's part of a checkpoint; and when the group has failed, for it may be that node which is gone."""
_NOT_STATE = ("README.md", "training_args.bin", "zero_to_fp32.py", "zero_to_torch.py")
"""Files that Trainer and DeepSpeed write beside the state; they name local paths, or are code."""


class Checkpoints:
    """The checkpoints of one run, as one attempt sees them."""

    def __init__(self, store: Store, attempt: int, run: str = "run", node: int = 0) -> None:
        """`store` is rooted at the `checkpoints` folder, `run` is the run's uid, `node` this pod's place."""
        self._store, self._attempt, self._node = store, attempt, node
        self._fence = Fence(store, run, attempt, node)
        self._swept = False
        self._patience = _NODE_WAIT_SECONDS

    def enter(self) -> None:
        """Announce this attempt. Raises Overtaken when a later one was announced already."""
        self._fence.enter()

    def ensure_current(self) -> None:
        """Raise Overtaken when a later start was announced: this one may write nothing more."""
        self._fence.ensure_current()

    def steps(self) -> list[int]:
        """Steps of all committed checkpoints, ascending."""
        steps = []
        for entry in self._store.list():
            folder, _, name = entry.path.rpartition("/")
            if name == MANIFEST and (match := _STEP.fullmatch(folder)):
                steps.append(int(match[1]))
        return sorted(steps)

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
        nodes: int = 1,
        details: dict[str, Any],
        lineage: Iterable[Lineage] = (),
    ) -> Manifest | None:
        """Upload this node's files of a checkpoint; the first node then waits for the others' and commits.

        Returns the manifest, on other nodes None; where another start was first with a whole one, that one's. Raises
        Overtaken when a later start was announced.
        """
        folder = self._folder(step)
        if committed := read_manifest(folder):
            return committed
        files = [path for path in sorted(local.rglob("*")) if path.is_file() and path.name not in _NOT_STATE]
        parts = []
        try:
            for path in files:
                self.ensure_current()
                parts.append(add_part(folder, f"{self._fence.writer}/{path.relative_to(local).as_posix()}", path))
            if self._node:
                listing = json.dumps([part.model_dump() for part in parts]).encode()
                folder.write(_listing(self._fence.writer, self._node), listing)
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
        except Overtaken:
            # A former attempt's last write may come late, and a run of the same inputs shares the folder: what they
            # committed is whole, so it serves as well. Only a start of this run that came later ends this one.
            self.ensure_current()
            if committed := read_manifest(folder):
                return committed
            raise

    def hurry(self, seconds: float = _HURRY_SECONDS) -> None:
        """Let what waits for other nodes' parts, in another thread, wait no longer than that in all."""
        self._patience = seconds

    def prune(self, keep: int) -> None:
        """Remove all but the newest `keep`; the manifest goes first, so that no half of one is ever seen as whole."""
        steps = self.steps()
        for step in steps[:-keep]:
            self.ensure_current()
            folder = self._folder(step)
            folder.delete(MANIFEST)
            self._store.delete(_name(step))
        if not self._swept:
            self._sweep(set(steps[-keep:]))
            self._swept = True

    def _sweep(self, kept: set[int]) -> None:
        """Remove what killed attempts left: uploads that nothing names, and what was left of a removal."""
        for step, writer in sorted(self._written()):
            if step in kept:
                manifest = read_manifest(self._folder(step))
                named = manifest is None or any(part.path.startswith(f"{writer}/") for part in manifest.parts)
                if named or not self._fence.former(writer):
                    continue
            elif step > min(kept) and not self._fence.former(writer):
                continue
            self.ensure_current()
            self._store.delete(f"{_name(step)}/{writer}")

    def _written(self) -> set[tuple[int, str]]:
        """(step, what lies in its folder), committed or not."""
        written = set()
        for entry in self._store.list():
            folder, _, rest = entry.path.partition("/")
            if rest and rest != MANIFEST and (match := _STEP.fullmatch(folder)):
                written.add((int(match[1]), rest.partition("/")[0]))
        return written

    def _folder(self, step: int) -> Store:
        return self._store.child(_name(step))

    def _parts_of(self, folder: Store, node: int) -> list[Part]:
        """What another node uploaded, once it says so in the store; nodes share nothing else."""
        began = time.monotonic()
        while True:
            try:
                listing = folder.read(_listing(self._fence.writer_of(node), node))
                return [Part.model_validate(item) for item in json.loads(listing)]
            except NotFound:
                if (waited := time.monotonic() - began) > self._patience:
                    raise TryAgain(
                        f"node {node} did not upload its part of {folder.uri} in {waited:.0f} s",
                        "CheckpointIncomplete",
                    ) from None
                time.sleep(1)


def _name(step: int) -> str:
    return f"step-{step:06d}"


def _listing(writer: str, node: int) -> str:
    return f"{writer}.node-{node}.json"
