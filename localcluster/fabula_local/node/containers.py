"""Runs the containers of one pod and knows how each attempt ended. Speaks to the machine only, not to the API."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from fabula_local import timestamps
from fabula_local.kinds import Obj
from fabula_local.node import processes
from fabula_local.node.launch import Launch, StartError
from fabula_local.node.records import LOST, Attempt, PodFolder

log = logging.getLogger("fabula.local.node")

MESSAGE_BYTES = 4096
LOG_TAIL_BYTES = 2048
LOG_TAIL_LINES = 80
KEPT_ATTEMPTS = 2
"""Logs of the running and the previous attempt are kept, as for `kubectl logs --previous`."""


class Containers:
    """The attempts of all containers of a pod, on disk and under watch."""

    def __init__(self, pod: Obj, folder: PodFolder, changed: Callable[[], None]) -> None:
        self._pod = pod
        self._uid = pod["metadata"]["uid"]
        self._folder = folder
        self._changed = changed
        self._watches: dict[str, asyncio.Task[None]] = {}
        self._shims: dict[str, processes.Shim] = {}
        self._killed: set[str] = set()
        self._out_of_memory: dict[str, int] = {}
        spec = pod["spec"]
        self._specs: dict[str, Obj] = {
            entry["name"]: entry for entry in [*(spec.get("initContainers") or ()), *spec["containers"]]
        }
        self.attempts: dict[str, list[Attempt]] = {name: folder.attempts(name) for name in self._specs}

    async def adopt(self) -> None:
        """Take over what a former node left: watch what runs, find out how the rest ended."""
        for name, attempts in self.attempts.items():
            for attempt in attempts:
                if attempt.running:
                    shim = processes.find_shim(self._folder.stem(name, attempt.number))
                    if shim is not None and attempt is attempts[-1]:
                        self._watch(name, attempt.number, shim)
                    else:
                        await self._conclude(name, attempt.number)

    def lost(self, name: str) -> None:
        """Record that a container had run, though nothing is known of it any more."""
        moment = timestamps.now()
        message = "The container could not be located: the node has no record of it."
        attempt = Attempt(0, moment, LOST, moment, "ContainerStatusUnknown", message)
        self._folder.log(name, 0).parent.mkdir(parents=True, exist_ok=True)
        self._folder.log(name, 0).touch()
        self._folder.write_note(name, attempt)
        self.attempts[name] = [attempt]

    @property
    def any_running(self) -> bool:
        """Whether any process is still to be waited for."""
        return any(attempt.running for attempts in self.attempts.values() for attempt in attempts)

    def start(self, name: str, number: int, build: Callable[[], Launch]) -> str | None:
        """Start an attempt. What keeps it from starting is recorded as its end, and returned."""
        log_file = self._folder.log(name, number)
        log_file.parent.mkdir(parents=True, exist_ok=True)
        self._folder.home.mkdir(exist_ok=True)
        moment = timestamps.now()
        try:
            launch = build()
            log_file.touch()
            self._folder.termination_message(name, number).touch()
            self._out_of_memory[name] = _out_of_memory_kills()
            shim = processes.start(
                launch.argv,
                launch.env,
                stem=self._folder.stem(name, number),
                log=log_file,
                cwd=launch.cwd,
                marker=self._marker(name, number),
            )
        except (StartError, OSError) as error:
            log_file.touch()
            attempt = Attempt(number, moment, 128, moment, "StartError", str(error))
            self._folder.write_note(name, attempt)
            self._set(name, attempt)
            self._changed()
            return str(error)
        self._set(name, Attempt(number, moment))
        self._forget_old(name, number)
        self._watch(name, number, shim)
        return None

    def terminate(self, names: list[str] | None = None) -> None:
        """SIGTERM to running containers, all or some."""
        for name, shim in self._shims.items():
            if names is None or name in names:
                processes.terminate(shim)

    async def kill(self) -> None:
        """SIGKILL everything that belongs to the pod, wherever it hides."""
        self._killed.update(self._shims)
        shims = [shim.pid for shim in self._shims.values()]
        gone = await processes.kill(self._uid, spare=shims)
        # A shim whose command is gone ends by itself; one that does not is stuck.
        for _ in range(100):
            if not self._shims:
                break
            await asyncio.sleep(0.02)
        if not await processes.kill(self._uid) or not gone:
            log.error("processes of pod %s survived SIGKILL", self._uid)

    def close(self) -> None:
        """Stop watching; the processes run on."""
        for task in self._watches.values():
            task.cancel()

    def _marker(self, name: str, number: int) -> str:
        return f"{self._uid}/{name}/{number}"

    def _set(self, name: str, attempt: Attempt) -> None:
        others = [entry for entry in self.attempts[name] if entry.number != attempt.number]
        self.attempts[name] = sorted([*others, attempt], key=lambda entry: entry.number)

    def _watch(self, name: str, number: int, shim: processes.Shim) -> None:
        self._shims[name] = shim
        self._watches[name] = asyncio.create_task(self._wait(name, number, shim), name=f"container-{name}")

    async def _wait(self, name: str, number: int, shim: processes.Shim) -> None:
        await processes.wait_gone(shim)
        await self._conclude(name, number)
        self._shims.pop(name, None)
        self._changed()

    async def _conclude(self, name: str, number: int) -> None:
        """The shim has ended: no process of the attempt may outlive it; then record how it ended."""
        await processes.kill(self._marker(name, number))
        running = next(entry for entry in self.attempts[name] if entry.number == number)
        ended = self._folder.exit_code(name, number)
        message = ""
        if ended is not None:
            code, moment = ended
            reason = "Completed" if code == 0 else "Error"
            if code == LOST and name not in self._killed and self._memory_ran_out(name):
                reason = "OOMKilled"
        elif name in self._killed:
            code, moment, reason = LOST, timestamps.now(), "Error"
        else:
            code, moment, reason = LOST, timestamps.now(), "ContainerStatusUnknown"
            message = "The container could not be located when the pod was terminated"
        message = await asyncio.to_thread(self._message, name, number, code) or message
        attempt = replace(running, exit_code=code, finished_at=moment, reason=reason, message=message)
        self._folder.write_note(name, attempt)
        self._set(name, attempt)

    def _memory_ran_out(self, name: str) -> bool:
        before = self._out_of_memory.get(name)
        return before is not None and _out_of_memory_kills() > before

    def _message(self, name: str, number: int, code: int) -> str:
        """The container's last word: its termination message, or the end of its log where the pod wants that."""
        text = _read_end(self._folder.termination_message(name, number), MESSAGE_BYTES, first=True)
        policy = self._specs[name].get("terminationMessagePolicy")
        if not text and code != 0 and policy == "FallbackToLogsOnError":
            tail = _read_end(self._folder.log(name, number), LOG_TAIL_BYTES)
            text = "\n".join(tail.splitlines()[-LOG_TAIL_LINES:])
        return text

    def _forget_old(self, name: str, number: int) -> None:
        for attempt in list(self.attempts[name]):
            if attempt.number <= number - KEPT_ATTEMPTS:
                for path in (self._folder.path / name).glob(f"{attempt.number}.*"):
                    path.unlink(missing_ok=True)
                self.attempts[name].remove(attempt)


def _read_end(path: Path, limit: int, *, first: bool = False) -> str:
    """The first or last bytes of a file, as text; empty if there is none."""
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        if not first:
            file.seek(max(path.stat().st_size - limit, 0))
        return file.read(limit).decode("utf-8", "replace")
    return ""


def _out_of_memory_kills() -> int:
    """How often the kernel killed a process for memory since boot."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/vmstat").read_text().splitlines():
            name, _, value = line.partition(" ")
            if name == "oom_kill":
                return int(value)
    return 0


def grace_left(started: float, seconds: float) -> float:
    """Seconds of grace left since the monotonic time `started`."""
    return started + seconds - time.monotonic()
