"""Which GPU belongs to which pod. Kept in the pods' folders, so that a restarted node gives none out twice."""

import json
from pathlib import Path

GPU = "nvidia.com/gpu"
FILE = "devices.json"


class Devices:
    """The GPUs of this node, numbered from 0."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._holders: dict[str, list[int]] = {}

    def restore(self, uid: str, folder: Path) -> None:
        """Take over what a pod already holds."""
        path = folder / FILE
        if path.exists():
            self._holders[uid] = json.loads(path.read_text())

    def take(self, uid: str, number: int, folder: Path) -> list[int] | None:
        """The pod's devices; None while not enough are free."""
        if uid not in self._holders:
            held = {device for devices in self._holders.values() for device in devices}
            free = [device for device in range(self.count) if device not in held]
            if len(free) < number:
                return None
            if number:
                (folder / FILE).write_text(json.dumps(free[:number]))
            self._holders[uid] = free[:number]
        return self._holders[uid]

    def give_back(self, uid: str, folder: Path) -> None:
        """The pod's processes have ended."""
        self._holders.pop(uid, None)
        (folder / FILE).unlink(missing_ok=True)
