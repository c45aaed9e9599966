"""What the node keeps on disk about a pod: one folder, and in it the attempts of each container.

The folder is the node's only memory. A node that was killed reads it and goes on as if nothing had happened.
"""

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fabula_local import timestamps
from fabula_local.kinds import Obj

LOST = 137
"""Exit code of a process whose end nobody saw, as the kubelet reports it."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One start of one container."""

    number: int
    """0 for the first; the container's restartCount."""
    started_at: datetime | None = None
    exit_code: int | None = None
    """None while it runs."""
    finished_at: datetime | None = None
    reason: str = ""
    message: str = ""

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.exit_code is None

    @property
    def failed(self) -> bool:
        """Whether it ended with anything but 0."""
        return self.exit_code not in (None, 0)


class PodFolder:
    """Files of one pod."""

    def __init__(self, root: Path, pod: Obj) -> None:
        meta = pod["metadata"]
        self.path = root / f"{meta['namespace']}_{meta['name']}_{meta['uid']}"

    def stem(self, container: str, number: int) -> Path:
        """Common beginning of the files of one attempt."""
        return self.path / container / str(number)

    def log(self, container: str, number: int) -> Path:
        """Standard output and error of one attempt."""
        return self.path / container / f"{number}.log"

    def termination_message(self, container: str, number: int) -> Path:
        """The file that stands for terminationMessagePath."""
        return self.path / container / f"{number}.message"

    @property
    def volumes(self) -> Path:
        """Folder of the materialised volumes."""
        return self.path / "volumes"

    @property
    def home(self) -> Path:
        """Working directory of containers that name none."""
        return self.path / "root"

    def write_note(self, container: str, attempt: Attempt) -> None:
        """Record how an attempt ended; the last word about it."""
        note = {
            "exitCode": attempt.exit_code,
            "reason": attempt.reason,
            "message": attempt.message,
            "startedAt": timestamps.rfc3339_micro(attempt.started_at) if attempt.started_at else None,
            "finishedAt": timestamps.rfc3339_micro(attempt.finished_at) if attempt.finished_at else None,
        }
        path = self.stem(container, attempt.number).with_suffix(".note")
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".note-new")
        fresh.write_text(json.dumps(note))
        fresh.replace(path)

    def attempts(self, container: str) -> list[Attempt]:
        """All recorded attempts, oldest first. One without a note counts as running until somebody looked."""
        folder = self.path / container
        if not folder.is_dir():
            return []
        numbers = sorted(int(path.stem) for path in folder.glob("*.log") if path.stem.isdigit())
        return [self._attempt(container, number) for number in numbers]

    def _attempt(self, container: str, number: int) -> Attempt:
        stem = self.stem(container, number)
        note = stem.with_suffix(".note")
        if note.exists():
            data = json.loads(note.read_text())
            return Attempt(
                number,
                timestamps.parse(data["startedAt"]) if data["startedAt"] else None,
                data["exitCode"],
                timestamps.parse(data["finishedAt"]) if data["finishedAt"] else None,
                data["reason"],
                data["message"],
            )
        run = stem.with_suffix(".run")
        return Attempt(number, modified(run) or modified(stem.with_suffix(".log")))

    def exit_code(self, container: str, number: int) -> tuple[int, datetime] | None:
        """What the shim wrote at the end: exit code and time; None if it wrote nothing."""
        path = self.stem(container, number).with_suffix(".exit")
        try:
            text = path.read_text()
            moment = modified(path)
        except FileNotFoundError:
            return None
        return (int(text), moment or timestamps.now()) if text.endswith("\n") else None


def modified(path: Path) -> datetime | None:
    """When the file was last written; None if there is none."""
    try:
        return datetime.fromtimestamp(os.stat(path).st_mtime, UTC)
    except FileNotFoundError:
        return None
