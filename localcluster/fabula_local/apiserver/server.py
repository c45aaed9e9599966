"""Starting and stopping the API server."""

import asyncio
import contextlib
import secrets
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.web_request import BaseRequest

from fabula_local.apiserver.api import Api
from fabula_local.apiserver.audit import Audit
from fabula_local.apiserver.auth import Authenticator, Authorizer, TokenSigner
from fabula_local.apiserver.auth.reviews import Reviews
from fabula_local.apiserver.config import ServerConfig
from fabula_local.apiserver.documents import Documents
from fabula_local.apiserver.files import write_private
from fabula_local.apiserver.front import MAX_BODY_BYTES, Front
from fabula_local.apiserver.housekeeping import Housekeeping
from fabula_local.apiserver.kubeconfig import write_kubeconfig
from fabula_local.apiserver.listing import Lister
from fabula_local.apiserver.persistence import Database
from fabula_local.apiserver.registry import Registry
from fabula_local.apiserver.store import Store
from fabula_local.apiserver.tls import certificates
from fabula_local.apiserver.writing import Writer
from fabula_local.schema.builtin import builtin_resources

_SHUTDOWN_SECONDS = 2.0
_KEEPALIVE_SECONDS = 3600.0


class StartError(RuntimeError):
    """The server cannot start; the message says why and what to do."""


@dataclass
class RunningServer:
    """A serving API server; `stop()` ends it and leaves the state for the next start."""

    url: str
    kubeconfig_path: Path
    _api: Api
    _runner: web.ServerRunner
    _housekeeping: asyncio.Task[None]
    _database: Database
    _stopped: bool = field(default=False)

    async def stop(self) -> None:
        """End every watch, finish what is being answered, and close the database."""
        if self._stopped:
            return
        self._stopped = True
        self._api.closing = True
        for history in self._api.writer.store.histories():
            history.wake()
        self._housekeeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._housekeeping
        await self._runner.cleanup()
        self._database.close()


async def serve(config: ServerConfig) -> RunningServer:
    """Start serving; raises StartError where the port or the state directory is in use."""
    config.state_dir.mkdir(parents=True, exist_ok=True)
    config.state_dir.chmod(0o700)
    tls = certificates(config.state_dir / "pki", config.host)
    database = _open_database(config.state_dir)
    try:
        store = Store(database, config.history_length)
        signer = TokenSigner(config.state_dir / "pki" / "service-account.key")
        admin_token = _admin_token(config.state_dir)
        authenticator, authorizer = Authenticator(admin_token, signer, store), Authorizer(store)
        registry = Registry(builtin_resources())
        writer = Writer(store, registry)
        api = Api(config, writer, Lister(store), signer, Reviews(authenticator, authorizer))
        port_file = config.state_dir / "port"
        port = config.port or (int(port_file.read_text()) if port_file.exists() else 0)
        front = Front(
            api, Documents(registry, f"{config.host}:{port}"), authenticator, authorizer, Audit.of_environment()
        )
        runner = web.ServerRunner(
            web.Server(
                front.handle,
                request_factory=_request,
                handler_cancellation=True,
                access_log=None,
                keepalive_timeout=_KEEPALIVE_SECONDS,
            ),
            shutdown_timeout=_SHUTDOWN_SECONDS,
        )
        await runner.setup()
        site = web.TCPSite(runner, config.host, port, ssl_context=tls.context)
        try:
            await site.start()
        except OSError as problem:
            raise StartError(
                f"port {port} on {config.host} cannot be opened ({problem.strerror}); stop what uses it, or remove "
                f"{port_file} to have another one taken"
            ) from problem
        port = runner.addresses[0][1]
        port_file.write_text(str(port))
        url = f"https://{config.host}:{port}"
        housekeeping = Housekeeping(writer, tls.authority)
        housekeeping.prepare()
        kubeconfig = config.state_dir / "kubeconfig"
        write_kubeconfig(kubeconfig, url, tls.authority, admin_token)
        task = asyncio.create_task(housekeeping.run(), name="housekeeping")
    except BaseException:
        database.close()
        raise
    return RunningServer(url, kubeconfig, api, runner, task, database)


def _open_database(state_dir: Path) -> Database:
    try:
        return Database(state_dir / "state.db")
    except sqlite3.OperationalError as problem:
        raise StartError(
            f"the state in {state_dir} cannot be opened ({problem}); another API server may be using it"
        ) from problem


def _admin_token(state_dir: Path) -> str:
    path = state_dir / "pki" / "admin-token"
    if not path.exists():
        write_private(path, secrets.token_urlsafe(32).encode())
    return path.read_text().strip()


def _request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> BaseRequest:
    """A request that may have as large a body as Kubernetes accepts; aiohttp's own limit is one megabyte."""
    loop = asyncio.get_running_loop()
    return BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=MAX_BODY_BYTES)
