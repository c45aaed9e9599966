"""The processes of the quota benchmark: the provider, the operator's status server, and one for each shard.

All talk over loopback HTTP: boto3 with the stand-in's wire protocol, the worker's reporter with the status server.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from aiohttp import web
from quota_trial import (
    BUILDS,
    CONCURRENCY,
    MAX_TOKENS,
    MODEL,
    OUTPUT_WEIGHT,
    SECONDS_PER_TOKEN,
    SLOWEST_START,
    Prompts,
    Seen,
    Trial,
)
from tests.support.bedrock import Bedrock, run_bedrock
from tests.support.bedrock_clock import ScaledClock
from tests.support.bedrock_faults import Faults
from tests.support.stage_context import KEY

from fabula_api.worker import SERVER_TOKEN_VARIABLE, Allowance, WorkerConfig
from fabula_operator.handlers.reports import Reports
from fabula_operator.handlers.status_server import StatusServer
from fabula_operator.kube.cache import Cache
from fabula_operator.kube.token_review import Caller, TokenReviewer
from fabula_workloads.bedrock.calls import Answer, Call
from fabula_workloads.bedrock.client import BedrockClient
from fabula_workloads.bedrock.errors import Transient
from fabula_workloads.bedrock.quota import Rates
from fabula_workloads.bedrock.shard import open_caller
from fabula_workloads.runtime.context import StageContext
from fabula_workloads.runtime.failures import TryAgain
from fabula_workloads.runtime.open_store import open_store
from fabula_workloads.runtime.progress import Reporter, http_post

PATH = "/v1alpha1/namespaces/team/datasetbuilds/{0}/status"
REPORT_SECONDS = 2.0


def provider(trial: Trial, clock: ScaledClock, pipe: Connection) -> None:
    """Tells its endpoint; at the first word from the other side it tells all that it has seen, and ends."""
    bedrock = Bedrock(
        faults=Faults(slow_seconds=SLOWEST_START), requests_per_minute=trial.requests,
        tokens_per_minute=trial.tokens, output_weight=OUTPUT_WEIGHT, clock=clock, seconds_per_token=SECONDS_PER_TOKEN,
    )  # fmt: skip
    with run_bedrock(bedrock):
        pipe.send((bedrock.endpoint, bedrock.environment()))
        pipe.recv()
        charges = list(bedrock.bill.charges)
    weighed = [(charge, charge.tokens_in + OUTPUT_WEIGHT * charge.tokens_out) for charge in charges]
    pipe.send([Seen(charge.at, charge.status == 200, tokens) for charge, tokens in weighed])


class _AnyToken(TokenReviewer):
    """Takes every token: who may report is not what is measured."""

    def __init__(self) -> None:
        """Without an API server."""

    async def caller(self, token: str, audience: str) -> Caller:
        return Caller("team", None)


def build(trial: Trial, name: str, workers: int) -> dict[str, Any]:
    """A build of the group, at work."""
    quota = {"requestsPerMinute": trial.requests, "tokensPerMinute": trial.tokens, "group": "account"}
    extraction = {"provider": "bedrock", "workers": workers, "quota": quota, "concurrency": CONCURRENCY}
    return {
        "apiVersion": "fabula.dev/v1alpha1", "kind": "DatasetBuild",
        "metadata": {"name": name, "namespace": "team", "uid": f"uid-{name}", "resourceVersion": "1"},
        "spec": {"podcast": {"source": {"uri": "x", "licenseAccepted": True}, "extraction": extraction}},
        "status": {"state": "Running", "stages": [{"name": "extract", "state": "Running"}]},
    }  # fmt: skip


def operator(trial: Trial, clock: ScaledClock, pipe: Connection) -> None:
    """The status server with the builds in its cache; tells its port, and ends at the first word."""
    cache, started = Cache(), datetime.now(UTC)
    for name, workers in BUILDS.items():
        cache.put(build(trial, name, workers))

    async def nobody(namespace: str, name: str) -> None:
        return None

    async def serve() -> None:
        server = StatusServer(
            cache, Reports(), _AnyToken(), lambda key: None,
            lambda: started + timedelta(seconds=clock.now()), nobody,
        )  # fmt: skip
        runner = web.AppRunner(server.application(), access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        pipe.send(runner.addresses[0][1])
        await asyncio.to_thread(pipe.recv)
        await runner.cleanup()

    asyncio.run(serve())


class Shard:
    """One worker's shard: as `extract` has it, with calls whose replies are thrown away."""

    def __init__(self, trial: Trial, clock: ScaledClock, name: str, index: int, endpoint: str, port: int) -> None:
        self.clock, self.stopping = clock, threading.Event()
        self._folder = tempfile.TemporaryDirectory(prefix=f"{name}-{index}-")
        folder = Path(self._folder.name)
        (folder / "token").write_text("token")
        os.environ[SERVER_TOKEN_VARIABLE] = str(folder / "token")
        made = build(trial, name, BUILDS[name])
        config = WorkerConfig.model_validate(
            {
                "run": {"kind": "DatasetBuild", "namespace": "team", "name": name, "uid": f"uid-{name}"},
                "stage": "extract", "shards": BUILDS[name], "root": f"file://{folder}", "output": "out", "key": KEY,
                "spec": made["spec"],
            }
        )  # fmt: skip
        post = http_post(f"http://127.0.0.1:{port}{PATH.format(name)}")

        def scaled(body: bytes) -> Allowance:
            """The operator counts in the emulated account's seconds, the reporter in the wall's."""
            told = post(body)
            if told.lease is None:
                return told
            seconds = {
                field: getattr(told.lease, field) / trial.speed
                for field in ("valid_seconds", "ends_seconds", "renew_seconds")
            }
            return told.replace(lease=told.lease.replace(**seconds))

        self.reporter = Reporter(config, index, post=scaled, interval_seconds=REPORT_SECONDS / trial.speed)
        store = open_store(f"file://{folder}/out")
        context = StageContext(config, index, store, self.reporter, self.stopping, folder)
        self.client = BedrockClient(region="us-west-2", endpoint_url=endpoint, concurrency=CONCURRENCY)
        self.caller = open_caller(
            context, rates=Rates(trial.requests, trial.tokens), budget_usd=None, is_own=lambda call: True, finished=(),
            clock=clock,
        )  # fmt: skip
        self.name = f"{name}-{index}"
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begin to make calls."""
        self.reporter.update(done=0, total=1_000_000)
        self._threads = [threading.Thread(target=self._work, args=(number,)) for number in range(CONCURRENCY)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Finish what is in flight, and say that this was all."""
        self.stopping.set()
        for thread in self._threads:
            thread.join()
            left = sum(other.is_alive() for other in self._threads)
            self.reporter.update(done=CONCURRENCY - left, total=CONCURRENCY)
        self.reporter.close()
        self._folder.cleanup()

    def _work(self, thread: int) -> None:
        prompts, number = Prompts(f"{self.name}-{thread}"), 0
        while not self.stopping.is_set():
            number += 1
            prompt = prompts.draw()
            # An estimate from characters is a little too high.
            call = Call(f"{self.name}-{thread}-{number}", {}, tokens=1.1 * len(prompt) / 4 + MAX_TOKENS, usd=0)

            def send(prompt: str = prompt, name: str = call.id) -> Answer:
                reply, request_id = converse(self.client, prompt, name)
                used = reply["usage"]
                taken = used["inputTokens"] + OUTPUT_WEIGHT * used["outputTokens"]
                return Answer({}, request_id, used["inputTokens"], used["outputTokens"], taken)

            try:
                self.caller.make(call, send)
            except TryAgain:
                return


def converse(client: BedrockClient, prompt: str, name: str) -> tuple[dict[str, Any], str]:
    """(reply, request id) of one call."""
    messages = [{"role": "user", "content": [{"text": prompt}]}]
    return client.converse(MODEL, {"messages": messages, "inferenceConfig": {"maxTokens": MAX_TOKENS}}, name)


def shard(
    trial: Trial, clock: ScaledClock, where: tuple[str, int], endpoint: str, environment: dict[str, str], port: int,
    pipe: Connection,
) -> None:  # fmt: skip
    """Says when it is ready, starts at the first word and stops at the second."""
    os.environ.update(environment)
    made = Shard(trial, clock, *where, endpoint, port)
    pipe.send("ready")
    pipe.recv()
    made.start()
    pipe.recv()
    made.stop()
    pipe.send("done")


def reference(
    trial: Trial, clock: ScaledClock, workers: int, endpoint: str, environment: dict[str, str], pipe: Connection
) -> None:
    """The published way: a thread pool, no limiter, sleeps of 1, 2 and 4 s after a 429, then the item is lost.

    Tells at the end (lost, all) items.
    """
    os.environ.update(environment)
    client = BedrockClient(region="us-west-2", endpoint_url=endpoint, concurrency=workers)
    over, lock, items = threading.Event(), threading.Lock(), [0, 0]

    def work(thread: int) -> None:
        prompts = Prompts(f"reference-{thread}")
        while not over.is_set():
            prompt, done = prompts.draw(), False
            for attempt in range(3):
                try:
                    converse(client, prompt, f"r{thread}")
                    done = True
                    break
                except Transient:
                    if clock.wait(over, 2**attempt):
                        return
            with lock:
                items[0] += not done
                items[1] += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(workers)]
    pipe.send("ready")
    pipe.recv()
    for thread in threads:
        thread.start()
    pipe.recv()
    over.set()
    for thread in threads:
        thread.join()
    pipe.send(tuple(items))
