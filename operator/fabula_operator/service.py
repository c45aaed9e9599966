"""The operator process put together: lease, watches, reconcile loop, status server, metrics, and an orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import partial
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from fabula_kube.connection import Connection
from fabula_kube.lease import Leadership
from fabula_kube.work_queue import Urgency, WorkQueue
from fabula_operator.handlers import certificates, endpoints, watch
from fabula_operator.handlers.limits import Buckets
from fabula_operator.handlers.loop import resync_forever, work
from fabula_operator.handlers.metrics import Metrics
from fabula_operator.handlers.reconcile import Reconciler, Sources
from fabula_operator.handlers.reports import Reports
from fabula_operator.handlers.run_series import RunSeries
from fabula_operator.handlers.status_server import REVIEWS_AT_ONCE, REVIEWS_PER_SECOND, StatusServer
from fabula_operator.kube.apply import Applier
from fabula_operator.kube.cache import Cache, Key
from fabula_operator.kube.client import FIELD_MANAGER, Api, ApiError, credentials
from fabula_operator.kube.lease import PACE, LeaderGate
from fabula_operator.kube.observe import Observer
from fabula_operator.kube.resources import POD
from fabula_operator.kube.streams import Streams
from fabula_operator.kube.token_review import TokenReviewer
from fabula_operator.kube.warnings import Warnings
from fabula_operator.plan.seen.observed import Environment
from fabula_operator.settings import Settings

logger = logging.getLogger(__name__)
DISCOVER_AGAIN_SECONDS = 1.0
"""Wait until a server that did not say what it serves is asked again."""


def utc_now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


class LeaseLost(Exception):
    """Another operator may be at work, so this one must end at once."""


class Operator:
    """One operator process."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.cache = Cache()
        self.queue: WorkQueue[Key] = WorkQueue(lambda key: key.namespace)
        self.reports = Reports()
        # Of two operators one tells of the runs, for else each would be counted twice.
        self.metrics = Metrics(
            self.queue, RunSeries(lambda: self.cache.packed() if self._at_work else (), self.reports.of)
        )
        gate = LeaderGate(self.metrics, lambda: self.leadership)
        connection = Connection(credentials(settings.kubeconfig, settings.service_account), FIELD_MANAGER)
        self.api = Api(connection, gate)
        self.api.answered = self.metrics.requested
        self.observer = Observer(self.api, self.cache)
        self._watches = watch.Watches(
            Streams(connection), self.cache, self._changed, self.metrics.heard, settings.namespace
        )
        files = settings.certificate_files
        self._certificate = certificates.opened(*files) if files else None
        self._renewed = asyncio.Event()
        """Set when workers that are at work have to be told of another authority."""
        authority = ""
        if (served := self._certificate) is not None:
            authority = served.authority
            self.metrics.serves(lambda: served.ends)
        self._applier = Applier(
            self.api, self.cache, settings.worker, authority, utc_now, self.queue.add, settings.identity
        )
        self._warnings = Warnings(self.api, utc_now, settings.patience, lambda key: self._changed(key, Urgency.NOTED))
        self.reconciler = Reconciler(
            Sources(self.cache, self.observer, self.reports, self._warnings, self.environment),
            self._applier,
            utc_now,
            progress_seconds=settings.progress_interval,
            watcher=self.metrics,
        )
        self.leadership = Leadership(self.api, settings.lease_namespace, settings.lease_name, settings.identity, PACE)
        lease = f"{settings.lease_namespace}/{settings.lease_name}"
        self.metrics.leads(lease, lambda: self.leadership.leading)
        self.status_port = settings.status_port
        self.metrics_port = settings.metrics_port
        self._listening_since: datetime | None = None
        self._listed = False
        """Whether the watches have told of all that is there."""
        self._at_work = False
        """Whether looks are this operator's. One that waits for the lease only keeps up with what happens."""
        self._looking = False
        """Whether what happens is looked at. Until everything is known it is not: all runs are looked at then."""
        self._runners: list[web.AppRunner] = []

    def environment(self) -> Environment:
        """What plans need to know of the installation."""
        return Environment(
            artifact_root=self.settings.worker.artifact_root,
            pytorch_jobs=self.observer.pytorch_jobs,
            retry_backoff_seconds=self.settings.retry_backoff,
            gpu_hour_usd=self.settings.gpu_hour_usd,
            kueue=self.observer.admissions.installed,
            scratch_bytes=self.settings.scratch_bytes,
            model_cache=self.settings.workers_file.hub_elsewhere,
            shared=self.settings.shared,
            patience_seconds=self.settings.patience,
            stalled_seconds=self.settings.stalled_after,
            listening_since=self._listening_since,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set. Raises LeaseLost when another operator took over."""
        beside: list[asyncio.Task[None]] = []
        try:
            await self._serve_endpoints()
            beside.append(watching := asyncio.create_task(self._watch(), name="watches"))
            if (served := self._certificate) is not None:
                renewal = certificates.keep(served, partial(self._take_authority, served))
                beside.append(asyncio.create_task(renewal, name="renewal"))
            if await self._acquired(stop, beside):
                await self._lead(stop, watching, beside)
        finally:
            self.queue.close()
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
            await self._watches.close()
            await self._warnings.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.5):
                    await self.leadership.release()
                    await asyncio.gather(*(runner.cleanup() for runner in self._runners))
            await self.api.close()

    async def _watch(self) -> None:
        """Learn what is there and keep up with it, before the lease is ours too: a takeover then lists nothing."""
        while not await self._discovered():  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(DISCOVER_AGAIN_SECONDS)
        self._follow()
        await self._watches.listed()
        self._listed = True

    async def _acquired(self, stop: asyncio.Event, beside: Iterable[asyncio.Task[None]]) -> bool:
        """Wait for the lease; False if `stop` was set before. Raises what a task beside it raised."""
        acquiring: asyncio.Task[Any] = asyncio.create_task(self.leadership.acquire(), name="acquire")
        stopped: asyncio.Task[Any] = asyncio.create_task(stop.wait(), name="stop")
        waited: set[asyncio.Task[Any]] = {acquiring, stopped, *beside}
        try:
            while not acquiring.done() and not stopped.done():
                done, waited = await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    await task
        finally:
            for task in (acquiring, stopped):
                task.cancel()
            await asyncio.gather(acquiring, stopped, return_exceptions=True)
        return not stop.is_set()

    async def _lead(
        self, stop: asyncio.Event, watching: asyncio.Task[None], beside: Iterable[asyncio.Task[None]]
    ) -> None:
        settings = self.settings
        lease = asyncio.create_task(self.leadership.keep(), name="lease")
        self._at_work = True
        if (served := self._certificate) is not None and await served.look():
            self._take_authority(served)
        await self._serve_status()
        tasks = [asyncio.create_task(self._work(watching), name="work")]
        tasks += (task for task in beside if task is not watching)
        stopped: asyncio.Task[Any] = asyncio.create_task(stop.wait(), name="stop")
        try:
            await asyncio.wait([lease, stopped, *tasks], return_when=asyncio.FIRST_COMPLETED)
            for task in (lease, *tasks):
                if task.done() and (error := task.exception()):
                    raise error
            if lease.done() and not stop.is_set():
                raise LeaseLost(f"the lease {settings.lease_namespace}/{settings.lease_name} was lost")
        finally:
            # No look may go on once the lease is given back.
            for task in (lease, stopped, *tasks):
                task.cancel()
            await asyncio.gather(lease, stopped, *tasks, return_exceptions=True)

    async def _work(self, watching: asyncio.Task[Any]) -> None:
        """Look at runs once all that belongs to them is known, for else it would seem not to be there."""
        queue, settings = self.queue, self.settings
        await asyncio.shield(watching)
        # What is served may have changed while this operator waited.
        await self._watch()
        await self.observer.admitted(settings.namespace)
        self._looking = True
        runs = self.cache.keys()
        for key in runs:
            queue.add(key, self.cache.urgency(key))
        # From here on what a list knows and the cache does not is what the watches missed.
        self.observer.missed = self.metrics.missed
        self.reports.answering_since(utc_now())
        async with asyncio.TaskGroup() as group:
            group.create_task(
                resync_forever(settings.resync, queue, self.observer, self.cache, settings.namespace, self._follow)
            )
            group.create_task(self._warnings.keep_asking())
            # A new authority may have come while nobody led.
            group.create_task(certificates.publish(self._applier.publish_authority, self._renewed))
            for _ in range(settings.workers):
                group.create_task(work(queue, self.reconciler, self.leadership.led))

    async def _discovered(self) -> bool:
        try:
            await self.observer.discover()
        except ApiError as error:
            logger.warning("the cluster does not say what it serves: %s", error)
            return False
        return True

    def _follow(self) -> None:
        """Watch what the cluster serves."""
        self._watches.follow(watch.kinds(pytorch_jobs=self.observer.pytorch_jobs))

    def _take_authority(self, served: certificates.ServedCertificate) -> None:
        self._applier.change_authority(served.authority)
        self._renewed.set()

    async def _serve_status(self) -> None:
        settings = self.settings
        server = StatusServer(
            self.cache,
            self.reports,
            TokenReviewer(self.api, Buckets(REVIEWS_PER_SECOND, REVIEWS_AT_ONCE).take),
            self.queue.add,
            utc_now,
            lambda namespace, name: self.api.get(POD, namespace, name),
            lambda: self._listed,
            settings.quota_groups,
        )
        tls = self._certificate.context if self._certificate else None
        app = server.application()
        app.middlewares.append(self._count_report)
        runner, self.status_port = await endpoints.serve(app, settings.status_host, settings.status_port, tls)
        self._runners.append(runner)
        self._listening_since = utc_now()
        logger.info(
            "status server on %s:%d, for pods %s", settings.status_host, self.status_port, settings.worker.status_url
        )

    async def _serve_endpoints(self) -> None:
        app = endpoints.application(self.metrics.text, self._missing, self._role)
        runner, self.metrics_port = await endpoints.serve(app, self.settings.metrics_host, self.settings.metrics_port)
        self._runners.append(runner)
        logger.info("metrics on %s:%d", self.settings.metrics_host, self.metrics_port)

    def _role(self) -> str:
        return "leading" if self.leadership.leading else "waiting for the lease"

    def _missing(self) -> str | None:
        return None if self._listed else "the watches have not told of all that is there yet"

    def _changed(self, key: Key, urgency: Urgency) -> None:
        if self._looking:
            self.queue.add(key, urgency)

    @web.middleware
    async def _count_report(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            answer = await handler(request)
        except web.HTTPException as error:
            self.metrics.reported(error.status)
            raise
        self.metrics.reported(answer.status)
        return answer
