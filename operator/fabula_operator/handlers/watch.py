"""kopf carries the watches: its low-level event handlers feed the cache and the queue, and nothing else of it is used.

No diff handlers, no finalizers, no annotations: kopf writes nothing to the cluster.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import kopf
import uvloop

from fabula_operator.kube.cache import Cache, Key
from fabula_operator.kube.client import PAGE, SERVICE_ACCOUNT, load_config
from fabula_operator.kube.resources import JOB, POD, PYTORCH_JOB, RUNS, Obj, Resource
from fabula_operator.render.names import RUN_UID

SERVER_TIMEOUT = 290
CLIENT_TIMEOUT = 320


class CaughtUp:
    """Whether the watches have told of everything that lists did. Before that they may be slow to tell of a new run."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._told: Counter[str] = Counter()
        self._since_then = False

    def tell(self, kind: str, type_: str | None) -> None:
        """Take an event; `None` for an object of the initial list."""
        if not self._since_then and type_ in (None, "ADDED"):
            self._told[kind] += 1

    def __bool__(self) -> bool:
        self._since_then = self._since_then or all(
            self._told[resource.kind] >= len(self._cache.uids(resource.kind)) for resource in (*RUNS.values(), JOB, POD)
        )
        return self._since_then


def feed(
    cache: Cache, changed: Callable[[Key], None], heard: Callable[[str], None], type_: str | None, obj: Obj
) -> None:
    """Take one watch event (`None` for an object of the initial list) and tell which runs to look at."""
    keys = cache.drop(obj) if type_ == "DELETED" else cache.put(obj)
    if keys and type_ is not None:
        heard(obj["kind"])
    for key in keys:
        changed(key)


def registry(
    cache: Cache,
    changed: Callable[[Key], None],
    heard: Callable[[str], None],
    caught_up: CaughtUp,
    *,
    pytorch_jobs: bool,
) -> kopf.OperatorRegistry:
    """Handlers for our kinds and for children and pods of runs; `heard` is told the kind of each event with news."""
    made = kopf.OperatorRegistry()
    loop = asyncio.get_running_loop()

    def watch(resource: Resource) -> None:
        def take(type_: str | None, obj: Obj) -> None:
            caught_up.tell(resource.kind, type_)
            feed(cache, changed, heard, type_, obj)

        async def handle(type: str | None, event: kopf.RawEvent, **_: Any) -> None:
            # What a list names once holds for each of its items.
            named = {"apiVersion": resource.api_version, "kind": resource.kind}
            # This runs in kopf's thread; cache and queue belong to the main one.
            loop.call_soon_threadsafe(take, type, named | event["object"])

        kopf.on.event(resource.group, resource.version, resource.plural, registry=made)(handle)

    for resource in (*RUNS.values(), JOB, POD, *((PYTORCH_JOB,) if pytorch_jobs else ())):
        watch(resource)
    return made


class _NothingKept(kopf.DiffBaseStorage):
    """kopf works out at each event what has changed since the last one it kept; nobody here asks it for that."""

    def build(self, *, body: kopf.Body, extra_fields: object = None) -> kopf.BodyEssence:
        return cast(kopf.BodyEssence, {})

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        return None


def settings() -> kopf.OperatorSettings:
    """kopf without anything that writes, scans or pauses."""
    made = kopf.OperatorSettings()
    made.posting.enabled = False
    made.peering.standalone = True
    made.scanning.disabled = True
    made.persistence.diffbase_storage = _NothingKept()
    made.watching.server_timeout = SERVER_TIMEOUT
    made.watching.client_timeout = CLIENT_TIMEOUT
    made.watching.connect_timeout = 10
    made.watching.chunk_size = PAGE
    for resource in (JOB, PYTORCH_JOB, POD):
        made.watching.label_selectors[resource.group, resource.version, resource.plural] = RUN_UID
    made.networking.request_timeout = 30
    # An object's task stays for the idle time after each of its events, and a limit would let no other in meanwhile.
    # Bursts of events are collapsed by our own queue.
    made.queueing.worker_limit = None
    made.queueing.idle_timeout = 0.05
    made.queueing.exit_timeout = 0.5
    made.process.ultimate_exiting_timeout = None
    made.background.instant_exit_timeout = 0.1
    return made


def login(made: kopf.OperatorRegistry, kubeconfig: Path | None, account: Path = SERVICE_ACCOUNT) -> None:
    """Let kopf connect as our own client does."""

    async def connect(settings: kopf.OperatorSettings, **_: Any) -> kopf.ConnectionInfo | None:
        config = load_config(kubeconfig, account)
        cluster, user = config.cluster, config.user
        return kopf.ConnectionInfo(
            server=cluster.server,
            ca_path=str(cluster.certificate_auth) if cluster.certificate_auth else None,
            ca_data=cluster.certificate_auth_data,
            insecure=cluster.insecure,
            token=user.token if user else None,
            certificate_path=str(user.client_cert) if user and user.client_cert else None,
            certificate_data=user.client_cert_data if user else None,
            private_key_path=str(user.client_key) if user and user.client_key else None,
            private_key_data=user.client_key_data if user else None,
        )

    kopf.on.login(registry=made, retries=3, errors=kopf.ErrorsMode.PERMANENT)(connect)


class Watches:
    """kopf in a thread of its own, with a loop of its own.

    In the main thread it would take the process's signals to itself, and cancel tasks that are not its own at its end.
    """

    def __init__(self, made: kopf.OperatorRegistry, namespace: str | None) -> None:
        self._registry = made
        self._namespace = namespace
        self._stop = threading.Event()
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="watches", daemon=True)

    def start(self) -> None:
        """Start watching."""
        self._thread.start()

    @property
    def ready(self) -> bool:
        """Whether the watches have started."""
        return self._ready.is_set()

    @property
    def ended(self) -> bool:
        """Whether they ended, asked or not."""
        return not self._thread.is_alive()

    async def stop(self, seconds: float) -> None:
        """Stop watching; raises what ended the watches unasked."""
        self._stop.set()
        await asyncio.to_thread(self._thread.join, seconds)
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            uvloop.run(
                kopf.operator(
                    registry=self._registry,
                    settings=settings(),
                    standalone=True,
                    # kopf would ask for its user's name, which an id without an entry in passwd has not.
                    identity="fabula-operator",  # type: ignore[arg-type]  # a NewType that kopf does not export
                    clusterwide=self._namespace is None,
                    namespaces=[self._namespace] if self._namespace else [],
                    stop_flag=self._stop,
                    ready_flag=self._ready,
                )
            )
        except BaseException as error:
            self._error = error
