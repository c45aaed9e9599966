"""One pod on this node: a level-triggered loop from what is wanted and what runs to the next step and the status."""

import asyncio
import logging
import shutil
import time
from datetime import timedelta
from functools import partial

from fabula_local import timestamps
from fabula_local.client import ApiError
from fabula_local.kinds import POD, Obj, key_of
from fabula_local.node import processes
from fabula_local.node.containers import Containers, grace_left
from fabula_local.node.environment import MissingSourceError
from fabula_local.node.launch import Surroundings, build_launch
from fabula_local.node.lifecycle import Step, next_step
from fabula_local.node.pod_status import DEADLINE, SHUTDOWN, Ended, build_status
from fabula_local.node.records import PodFolder
from fabula_local.node.surroundings import Host, surroundings
from fabula_local.node.volumes import VolumeError, Volumes

log = logging.getLogger("fabula.local.node")

RETRY_SECONDS = 2.0
OVER = float("nan")
"""Answer of a look after which there is nothing left to do. Compared by identity."""
FORCED_GRACE_SECONDS = 2.0
"""Grace of a pod whose object is gone already."""


class PodRuntime:
    """Runs one pod until it is over or its object is gone."""

    def __init__(self, host: Host, pod: Obj) -> None:
        self._host = host
        self.pod = pod
        self.folder = PodFolder(host.settings.pods_dir, pod)
        self._wake = asyncio.Event()
        self._containers = Containers(pod, self.folder, self._wake.set)
        claims = host.settings.state_dir / "volumes"
        self._volumes = Volumes(host.api, pod, self.folder.volumes, claims)
        self._around: Surroundings | None = None
        self._problem: tuple[str, str] | None = None
        self._told: str | None = None
        """The last event about it."""
        self._gone = False
        self._ended: Ended | None = None
        self._stop_started: float | None = None
        self._killed = False
        self._shutdown_grace: float | None = None
        self._adopted = False

    def update(self, pod: Obj) -> None:
        """The object changed."""
        self.pod = pod
        self._wake.set()

    def forgotten(self) -> None:
        """The object is gone from the API."""
        self._gone = True
        self._wake.set()

    @property
    def dirty(self) -> bool:
        """Whether something changed that no look has taken in."""
        return self._wake.is_set()

    def shut_down(self, grace_seconds: float) -> None:
        """End the pod because the node stops."""
        self._shutdown_grace = grace_seconds
        self._ended = self._ended or SHUTDOWN
        self._wake.set()

    async def run(self) -> None:
        """Until the pod is over (its folder stays for its logs) or gone (nothing stays)."""
        self.folder.path.mkdir(parents=True, exist_ok=True)
        try:
            while True:
                self._wake.clear()
                try:
                    timeout = await self._look()
                    if timeout is OVER:
                        return
                except (ApiError, OSError) as error:
                    log.warning("pod %s/%s: %s", *key_of(self.pod), error)
                    timeout = RETRY_SECONDS
                try:
                    async with asyncio.timeout(None if timeout is None else max(timeout, 0.0)):
                        await self._wake.wait()
                except TimeoutError:
                    pass
        finally:
            self._containers.close()

    async def _look(self) -> float | None:
        """One step. Seconds until the next is due, None for "when something changes", OVER for good."""
        if not self._adopted:
            self._recall()
            await self._containers.adopt()
            self._adopted = True
        phase = (self.pod.get("status") or {}).get("phase")
        over = phase in ("Succeeded", "Failed")
        left = self._deadline_left()
        if left is not None and left <= 0 and not over:
            self._ended = self._ended or DEADLINE
        deleting = "deletionTimestamp" in self.pod["metadata"]
        ending = self._gone or deleting or over or self._ended is not None
        if not ending and self._around is None:
            await self._prepare()
        waits = [] if left is None or ending else [left]
        step = self._next(ending)
        if ending:
            waits.append(await self._stop(deleting))
        elif self._around is None:
            waits.append(RETRY_SECONDS)
        else:
            self._start(step)
            if self._around is None:
                waits.append(RETRY_SECONDS)
            if step.stop:
                self._containers.terminate(step.stop)
            waits += await self._refresh()
        if self._gone:
            if self._containers.any_running:
                return min(waits)
            await self._forget()
            return OVER
        # What was just done changes what there is to say.
        step = self._next(ending)
        if step.again_seconds is not None:
            waits.append(step.again_seconds)
        if not over and not await self._report(step):
            return RETRY_SECONDS
        return await self._finish(step, deleting, over, waits)

    def _next(self, ending: bool) -> Step:
        base = self._host.settings.crash_loop_seconds
        return next_step(self.pod, self._containers.attempts, timestamps.now(), ending=ending, crash_loop_seconds=base)

    async def _finish(self, step: Step, deleting: bool, over: bool, waits: list[float]) -> float | None:
        done = (over or step.phase in ("Succeeded", "Failed")) and not self._containers.any_running
        if not done:
            return min(waits) if waits else None
        meta = self.pod["metadata"]
        await processes.kill(meta["uid"])
        self._host.devices.give_back(meta["uid"], self.folder.path)
        if not deleting or (meta.get("deletionGracePeriodSeconds") == 0 and meta.get("finalizers")):
            # Nothing left to do here; what is deleted but held by a finalizer goes without the node.
            return OVER
        # The object goes only now that nothing of it runs: whoever waits for its name may rely on that.
        await self._host.api.delete(POD, meta["name"], meta["namespace"], uid=meta["uid"], grace_seconds=0)
        live = await self._host.api.find(POD, meta["name"], meta["namespace"])
        if live is None or live["metadata"]["uid"] != meta["uid"]:
            await self._forget()
        return OVER

    def _recall(self) -> None:
        """A container that the API knows to have started, but of which no record is left, is lost."""
        status = self.pod.get("status") or {}
        for entry in [*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())]:
            state = entry.get("state") or {}
            known = self._containers.attempts.get(entry["name"])
            if not known and "running" in state:
                self._containers.lost(entry["name"])

    def _deadline_left(self) -> float | None:
        limit = self.pod["spec"].get("activeDeadlineSeconds")
        start = (self.pod.get("status") or {}).get("startTime")
        if limit is None or start is None:
            return None
        return (timestamps.parse(start) + timedelta(seconds=int(limit)) - timestamps.now()).total_seconds()

    async def _prepare(self) -> None:
        """Make volumes and look up what the environment refers to; `_problem` says what is still missing."""
        try:
            self._around = await surroundings(self._host, self.pod, self._volumes, self.folder)
        except VolumeError as error:
            self._set_problem("ContainerCreating", "", "FailedMount", str(error))
            return
        except ApiError as error:
            self._set_problem("ContainerCreating", "", "FailedMount", error.message)
            return
        self._problem = self._told = None

    def _start(self, step: Step) -> None:
        assert self._around is not None
        for container, number in step.start:
            name = container["name"]
            build = partial(build_launch, container, self.pod, self._around, self.folder, number)
            try:
                failure = self._containers.start(name, number, build)
            except MissingSourceError as error:
                # Asked for again until it is there, as the kubelet does.
                self._around = None
                self._set_problem("CreateContainerConfigError", str(error), "Failed", f"Error: {error}")
                return
            if failure is None:
                self._event("Normal", "Started", f"Started container {name}")
            else:
                self._event("Warning", "Failed", f"Error: failed to start container {name}: {failure}")

    async def _stop(self, deleting: bool) -> float:
        """SIGTERM once, SIGKILL after the grace period; seconds until there is something more to do."""
        if not self._containers.any_running:
            return RETRY_SECONDS
        grace = self._grace(deleting)
        if self._stop_started is None:
            self._stop_started = time.monotonic()
            self._containers.terminate()
            self._event("Normal", "Killing", "Stopping containers")
        left = grace_left(self._stop_started, grace)
        if left > 0:
            return left
        await self._containers.kill()
        return RETRY_SECONDS

    def _grace(self, deleting: bool) -> float:
        spec = self.pod["spec"]
        grace = float(spec.get("terminationGracePeriodSeconds", 30))
        if deleting:
            grace = float(self.pod["metadata"].get("deletionGracePeriodSeconds", grace))
        if self._shutdown_grace is not None:
            grace = min(grace, self._shutdown_grace)
        return min(grace, FORCED_GRACE_SECONDS) if self._gone else grace

    async def _refresh(self) -> list[float]:
        due = await self._volumes.refresh_tokens()
        return [] if due is None else [max(due, 1.0)]

    async def _report(self, step: Step) -> bool:
        """Write the status if it says something new; False if the pod changed meanwhile and must be looked at again."""
        status = build_status(
            self.pod,
            self._containers.attempts,
            step,
            timestamps.now(),
            problem=self._problem,
            ended=self._ended,
        )
        if status == (self.pod.get("status") or {}):
            return True
        meta = self.pod["metadata"]
        patch: Obj = {"metadata": {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"]}, "status": status}
        # A merge patch keeps what it does not name: what is no longer said must be taken back by name.
        patch["status"].update(dict.fromkeys(set(self.pod.get("status") or {}) - set(status)))
        try:
            self.pod = await self._host.api.patch(POD, meta["name"], meta["namespace"], patch, subresource="status")
        except ApiError as error:
            if not (error.not_found or error.conflict):
                raise
            live = await self._host.api.find(POD, meta["name"], meta["namespace"])
            if live is None or live["metadata"]["uid"] != meta["uid"]:
                self._gone = True
            else:
                self.pod = live
            self._wake.set()
            return False
        return True

    async def _forget(self) -> None:
        self._host.devices.give_back(self.pod["metadata"]["uid"], self.folder.path)
        await processes.kill(self.pod["metadata"]["uid"])
        await asyncio.to_thread(shutil.rmtree, self.folder.path, True)

    def _set_problem(self, reason: str, message: str, event_reason: str, told: str) -> None:
        """What a container's state says, and the event, which says it at length: once until it is something else."""
        if self._told != told:
            self._event("Warning", event_reason, told)
        self._problem, self._told = (reason, message), told

    def _event(self, kind: str, reason: str, message: str) -> None:
        self._host.events.record(self.pod, POD, kind, reason, message)
