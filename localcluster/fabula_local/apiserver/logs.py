"""Pod logs, read from the files that the process node writes.

One raw file a container and restart: `{namespace}_{pod}_{uid}/{container}/{restart}.log`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from fabula_local.apiserver.call import Call
from fabula_local.apiserver.errors import bad_request
from fabula_local.apiserver.store import Store, Stored

Object = dict[str, Any]

_BLOCK = 1 << 16
_POLL_SECONDS = 0.1


@dataclass(frozen=True)
class LogRequest:
    """Which part of which file to send."""

    path: Path
    follow: bool
    tail_lines: int | None
    limit_bytes: int | None
    since: datetime | None
    timestamps: bool


def log_request(call: Call, stored: Stored, folder: Path) -> LogRequest | None:
    """Read the parameters of a log request; None for a pod that no node has, 400 where nothing is written yet."""
    pod = stored.obj
    container = _container(call, pod)
    if not (pod.get("spec") or {}).get("nodeName"):
        return None
    status = _container_status(pod, container)
    restart = int((status or {}).get("restartCount") or 0)
    if call.flag("previous"):
        restart -= 1
        if restart < 0:
            raise bad_request(f'previous terminated container "{container}" in pod "{stored.name}" not found')
    path = folder / f"{stored.namespace}_{stored.name}_{pod['metadata']['uid']}" / container / f"{restart}.log"
    if not path.exists() and not _started(status):
        waiting = ((status or {}).get("state") or {}).get("waiting") or {}
        why = waiting.get("reason") or "ContainerCreating"
        raise bad_request(f'container "{container}" in pod "{stored.name}" is waiting to start: {why}')
    since_seconds, tail = call.number("sinceSeconds"), call.number("tailLines")
    since = datetime.now(UTC) - timedelta(seconds=since_seconds) if since_seconds else None
    if text := call.query.get("sinceTime"):
        since = _since(text)
    return LogRequest(path, call.flag("follow"), tail, call.number("limitBytes"), since, call.flag("timestamps"))


async def read_log(asked: LogRequest, over: Callable[[], bool]) -> AsyncIterator[bytes]:
    """The log's bytes; follows the file until `over` says that its writer has ended and everything is sent.

    The files carry no times. With `timestamps` each line gets the time at which the file was last written or the line
    was seen; with `since` a file not written since then counts as empty.
    """
    position, left = 0, asked.limit_bytes
    loop = asyncio.get_running_loop()
    if asked.path.exists():
        if asked.since and datetime.fromtimestamp(asked.path.stat().st_mtime, UTC) < asked.since:
            position = asked.path.stat().st_size
        elif asked.tail_lines is not None:
            position = await loop.run_in_executor(None, _tail_position, asked.path, asked.tail_lines)
    fresh_line = True
    while True:
        last_round = over()
        while block := await loop.run_in_executor(None, _read, asked.path, position):
            position += len(block)
            if asked.timestamps:
                block, fresh_line = _stamped(block, fresh_line, asked.path)
            if left is not None:
                block = block[:left]
                left -= len(block)
            yield block
            if left == 0:
                return
        if not asked.follow or last_round:
            return
        await asyncio.sleep(_POLL_SECONDS)


def writer_ended(store: Store, stored: Stored, path: Path) -> Callable[[], bool]:
    """Whether the container that writes this file has ended: the pod is gone or finished, or it was restarted."""
    container, restart = path.parent.name, int(path.stem)

    def ended() -> bool:
        now = store.get("pods", stored.namespace, stored.name)
        if now is None or now.obj["metadata"]["uid"] != stored.obj["metadata"]["uid"]:
            return True
        if (now.obj.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
            return True
        status = _container_status(now.obj, container) or {}
        return int(status.get("restartCount") or 0) > restart or "terminated" in (status.get("state") or {})

    return ended


def _since(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        raise bad_request(f'sinceTime: Invalid value: "{text}": must be a time as in RFC 3339') from None


def _container(call: Call, pod: Object) -> str:
    spec = pod.get("spec") or {}
    names = [item["name"] for item in spec.get("containers") or ()]
    every = names + [item["name"] for item in spec.get("initContainers") or ()]
    name, pod_name = call.query.get("container", ""), pod["metadata"]["name"]
    if name:
        if name not in every:
            raise bad_request(f"container {name} is not valid for pod {pod_name}")
        return name
    if len(every) != 1:
        raise bad_request(f"a container name must be specified for pod {pod_name}, choose one of: [{' '.join(names)}]")
    return str(every[0])


def _container_status(pod: Object, container: str) -> Object | None:
    status = pod.get("status") or {}
    every = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    return next((item for item in every if item.get("name") == container), None)


def _started(status: Object | None) -> bool:
    state = (status or {}).get("state") or {}
    return bool(state.get("running") or state.get("terminated") or (status or {}).get("restartCount"))


def _read(path: Path, position: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(position)
            return file.read(_BLOCK)
    except FileNotFoundError:
        return b""


def _tail_position(path: Path, lines: int) -> int:
    """Where the last `lines` lines begin."""
    with path.open("rb") as file:
        end = position = file.seek(0, 2)
        if lines <= 0:
            return end
        newlines = 0
        while position > 0:
            size = min(_BLOCK, position)
            position -= size
            file.seek(position)
            block = file.read(size)
            cut = len(block)
            while (cut := block.rfind(b"\n", 0, cut)) >= 0:
                if position + cut + 1 == end:
                    continue
                newlines += 1
                if newlines == lines:
                    return position + cut + 1
        return 0


def _stamped(block: bytes, fresh_line: bool, path: Path) -> tuple[bytes, bool]:
    when = datetime.fromtimestamp(path.stat().st_mtime, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z ").encode()
    lines = block.splitlines(keepends=True)
    stamped = [when + line if index or fresh_line else line for index, line in enumerate(lines)]
    return b"".join(stamped), block.endswith(b"\n")
