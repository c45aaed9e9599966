"""The process node itself: one runtime for each of its pods, a binder, a heartbeat."""

import asyncio
import logging
import shutil

from fabula_local.client import Api, ApiError
from fabula_local.events import EventRecorder
from fabula_local.kinds import NODE, POD, Obj, uid_of
from fabula_local.node import processes
from fabula_local.node.binder import Binder
from fabula_local.node.devices import Devices
from fabula_local.node.kubelet_access import KubeletAccess
from fabula_local.node.kubelet_server import KubeletServer
from fabula_local.node.launch import inherited_env
from fabula_local.node.pod_runtime import PodRuntime
from fabula_local.node.ports import LocalPorts
from fabula_local.node.records import PodFolder
from fabula_local.node.registration import heartbeat, register
from fabula_local.node.settings import NodeSettings
from fabula_local.reflector import Caches

log = logging.getLogger("fabula.local.node")


class ProcessNode:
    """Runs the pods that are bound to it as local processes."""

    def __init__(self, api: Api, caches: Caches, settings: NodeSettings) -> None:
        self.api = api
        self.caches = caches
        self.settings = settings
        settings.pods_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.devices = Devices(settings.gpus)
        self.ports = LocalPorts(settings.state_dir / "ports.json")
        self.inherited = inherited_env(settings.pass_env)
        self.events = EventRecorder(api, "kubelet", settings.name)
        self._scheduling = EventRecorder(api, "default-scheduler")
        self._runtimes: dict[str, PodRuntime] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._background: list[asyncio.Task[None]] = []
        self._access = KubeletAccess(api, settings.name)
        self._kubelet = KubeletServer(settings, self._access) if settings.serve_logs else None
        self._kubelet_port = 0
        self._stopping = False

    async def start(self) -> None:
        """Register, take over what a former node left running, and begin to take pods."""
        if self._kubelet:
            self._kubelet_port = await self._kubelet.start()
        await register(self.api, self.settings, kubelet_port=self._kubelet_port)
        if self._kubelet:
            await self._access.publish()
        pods = self.caches.of(POD)
        self.caches.of(NODE)
        await pods.synced.wait()
        await self._clear_orphans(list(pods.store.values()))
        for pod in pods.store.values():
            phase = (pod.get("status") or {}).get("phase")
            if phase not in ("Succeeded", "Failed"):
                self.devices.restore(uid_of(pod), PodFolder(self.settings.pods_dir, pod).path)
        pods.on_change(self._pod_changed)
        self._background.append(asyncio.create_task(heartbeat(self.api, self.settings.name), name="heartbeat"))
        if self.settings.bind:
            binder = Binder(self.api, self.caches, self.settings.name, self._scheduling)
            self._background.append(asyncio.create_task(binder.run(), name="binder"))

    async def stop(self, *, stop_pods: bool) -> None:
        """Stop the node. With `stop_pods` all its pods end and nothing of them is left; else they run on."""
        self._stopping = True
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        if stop_pods:
            await self._stop_pods()
        await self._sign_off()
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        await self.events.close()
        await self._scheduling.close()
        if self._kubelet:
            await self._kubelet.stop()

    def _pod_changed(self, change: str, pod: Obj) -> None:
        if pod["spec"].get("nodeName") != self.settings.name:
            return
        uid = uid_of(pod)
        runtime = self._runtimes.get(uid)
        if change == "DELETED":
            if runtime is not None:
                runtime.forgotten()
            else:
                path = PodFolder(self.settings.pods_dir, pod).path
                shutil.rmtree(path, ignore_errors=True)
            return
        if runtime is not None:
            runtime.update(pod)
            return
        over = (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
        if self._stopping or (over and "deletionTimestamp" not in pod["metadata"]):
            return
        self._run(uid, PodRuntime(self, pod))

    def _run(self, uid: str, runtime: PodRuntime) -> None:
        self._runtimes[uid] = runtime
        task = self._tasks[uid] = asyncio.create_task(runtime.run(), name=f"pod-{uid}")
        task.add_done_callback(lambda done: self._over(uid, runtime, done))

    def _over(self, uid: str, runtime: PodRuntime, task: asyncio.Task[None]) -> None:
        self._runtimes.pop(uid, None)
        self._tasks.pop(uid, None)
        if task.cancelled() or self._stopping:
            return
        error = task.exception()
        if error is not None:
            log.error("pod %s failed on the node; trying again", uid, exc_info=error)
        if error is not None or runtime.dirty:
            # What changed while the runtime was finishing must not be missed.
            asyncio.get_running_loop().call_later(0.5 if error else 0.05, self._again, runtime.pod)

    def _again(self, pod: Obj) -> None:
        latest = self.caches.of(POD).get(pod["metadata"]["namespace"], pod["metadata"]["name"])
        if latest is not None and uid_of(latest) == uid_of(pod) and uid_of(pod) not in self._runtimes:
            self._pod_changed("MODIFIED", latest)

    async def _stop_pods(self) -> None:
        for runtime in list(self._runtimes.values()):
            runtime.shut_down(self.settings.shutdown_grace_seconds)
        tasks = list(self._tasks.values())
        if tasks:
            await asyncio.wait(tasks, timeout=self.settings.shutdown_grace_seconds + 5)
        for folder in self.settings.pods_dir.iterdir():
            if not await processes.kill(folder.name.rpartition("_")[2]):
                log.error("processes of pod folder %s survived SIGKILL", folder.name)

    async def _sign_off(self) -> None:
        """Say that no more pods are taken. Not being able to is no reason to stay."""
        try:
            async with asyncio.timeout(2):
                await register(self.api, self.settings, kubelet_port=self._kubelet_port, ready=False)
        except (ApiError, OSError) as error:
            log.info("node not marked as stopped: %s", error)

    async def _clear_orphans(self, pods: list[Obj]) -> None:
        """End and remove what belongs to pods whose object is gone."""
        known = {PodFolder(self.settings.pods_dir, pod).path.name for pod in pods}
        for folder in list(self.settings.pods_dir.iterdir()):
            if folder.name not in known:
                await processes.kill(folder.name.rpartition("_")[2])
                await asyncio.to_thread(shutil.rmtree, folder, True)
