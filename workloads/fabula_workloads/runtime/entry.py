"""From environment to exit code: config, logging, signals, one stage, and a last word whatever happens."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from queue import SimpleQueue
from types import FrameType, TracebackType

from pydantic import ValidationError

from fabula_api.dataset_build import DatasetBuildSpec
from fabula_api.recipes import API_KINDS, Kind, stages_of
from fabula_api.specs import DEFAULT, parse_spec
from fabula_api.worker import CONFIG_VARIABLE, SHARD_VARIABLE, ExitCode, WorkerConfig, WorkerResult
from fabula_workloads.runtime import metrics
from fabula_workloads.runtime.context import StageContext, StageResult, cache_folder
from fabula_workloads.runtime.failures import CRASH, ConfigInvalid, Overtaken
from fabula_workloads.runtime.installed import installed_recipe
from fabula_workloads.runtime.open_store import open_store
from fabula_workloads.runtime.progress import Reporter
from fabula_workloads.runtime.store import resolve_uri
from fabula_workloads.runtime.termination import (
    LogTail,
    describe,
    digest_of_failure,
    exit_code_of,
    validation_lines,
    write_termination_message,
)
from fabula_workloads.runtime.verified import committed

StageFunction = Callable[[StageContext], StageResult]
Find = Callable[[WorkerConfig], StageFunction]
"""Imports the function of a stage; called only when there is work to do."""

_log = logging.getLogger("fabula.worker")


def start_logging() -> LogTail:
    """Plain lines to stdout, and the last of them kept for the failure digest."""
    tail = LogTail()
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        handlers=[logging.StreamHandler(sys.stdout), tail],
        force=True,
    )
    # These announce every request, and some of them its headers.
    for noisy in ("botocore", "boto3", "urllib3", "s3transfer"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    return tail


def parse_config(text: str) -> WorkerConfig:
    """The worker's config. Raises ConfigInvalid with one line for each wrong field, without its value."""
    if not text.strip():
        raise ConfigInvalid(f"{CONFIG_VARIABLE} is empty; it should hold the stage's config, or --config name its file")
    try:
        data = json.loads(text)
    except ValueError as error:
        raise ConfigInvalid(f"{CONFIG_VARIABLE}: Invalid JSON: {error}") from None
    below = ""
    try:
        if isinstance(data, dict) and (kind := _kind(data.get("run"))) and isinstance(data.get("spec"), dict):
            # First and alone: within the whole config, its errors would be told without the `spec.` before them.
            below = "spec."
            if isinstance(named := data["spec"].get("recipe", DEFAULT), str):
                installed_recipe(named)  # what its spec should have, only the recipe could say
            parse_spec(kind, data["spec"])
            below = ""
        return WorkerConfig.model_validate(data)
    except ValidationError as error:
        raise ConfigInvalid("\n".join(validation_lines(error, f"{CONFIG_VARIABLE}: {below}"))) from None


def _kind(run: object) -> Kind | None:
    named = run.get("kind") if isinstance(run, dict) else None
    return next((kind for kind in API_KINDS if kind == named), None)


def read_shard(config: WorkerConfig) -> int:
    """This pod's index among the stage's shards, from the Job controller's variable; 0 in a group of ranks."""
    if "PET_NNODES" in os.environ:
        # Of a group on an Indexed Job, the index says which node a pod is; the group's work is one.
        return 0
    text = os.environ.get(SHARD_VARIABLE, "0")
    if not text.isdigit() or int(text) >= config.shards:
        raise ConfigInvalid(f"{SHARD_VARIABLE} is {text!r}, but the stage has shards 0 to {config.shards - 1}")
    return int(text)


class Termination:
    """SIGTERM sets `stopping`, so that the stage ends between two items; so does Ctrl-C, and a second one at once.

    A second SIGTERM changes nothing: a node that is restarted while a pod ends sends another, and what is in hand then
    may be a call that is paid for.
    """

    def __init__(self) -> None:
        self.stopping = threading.Event()
        self._interrupted = False
        self._told: SimpleQueue[None] = SimpleQueue()

    def install(self) -> None:
        """Take over SIGTERM and SIGINT."""
        threading.Thread(target=self._stop_when_told, name="termination", daemon=True).start()
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT:
            if self._interrupted:
                os._exit(ExitCode.RETRY)
            self._interrupted = True
        # Setting the event here could wait for ever: its lock may be held by the very code that the signal interrupts.
        self._told.put(None)

    def _stop_when_told(self) -> None:
        self._told.get()
        self.stopping.set()


def run_worker(stage: str, text: str, find: Find) -> int:
    """Run one stage from its config text and return the exit code. The termination message is written in every case."""
    tail = start_logging()
    termination = Termination()
    termination.install()
    shard: int | None = None
    reporter: Reporter | None = None
    try:
        config = parse_config(text)
        if config.stage != stage:
            raise ConfigInvalid(f"the command runs stage {stage}, but the config is for stage {config.stage}")
        shard = read_shard(config)
        metrics.serve()
        reporter = Reporter.from_environment(config, shard, on_stop=termination.stopping.set)
        result = _run_stage(config, shard, reporter, termination, find)
        reporter.close()
        write_termination_message(result)
    except BaseException as error:
        code = exit_code_of(error)
        if reporter is not None:
            reporter.close()
        if code == CRASH:
            _log.error("%s", describe(error), exc_info=_frames_only(error))
        _fail(error, stage, shard, tail)
        return code
    return ExitCode.OK


def _run_stage(
    config: WorkerConfig, shard: int, reporter: Reporter, termination: Termination, find: Find
) -> WorkerResult:
    store = open_store(resolve_uri(config.output, config.root))
    context = StageContext(config, shard, store, reporter, termination.stopping, cache_folder())
    if (reused := _reuse(context)) is not None:
        _log.info("%s is committed already; nothing to do", store.uri)
        return reused
    context.check_stop()
    _log.info("stage %s, shard %d of %d, attempt %d", config.stage, shard, config.shards, config.attempt)
    try:
        result = find(config)(context)
    except Overtaken:
        # For a stage that one pod makes, the artifact that won is the answer; a sharded stage has no single one.
        if (reused := _reuse(context)) is None:
            raise
        _log.info("%s was committed by another worker; its artifact is taken", store.uri)
        return reused
    return result.to_worker_result(store.uri)


def _reuse(context: StageContext) -> WorkerResult | None:
    """The result of taking what is committed in the output folder; None where nothing is, or where a manifest there is
    not the whole result. Raises InputInvalid for what this stage has not made as it is now."""
    config = context.config
    dry = isinstance(config.spec, DatasetBuildSpec) and config.spec.dry_run
    stages = {stage.name: stage for stage in stages_of(config.spec.recipe, config.run.kind, dry) or ()}
    stage = stages.get(config.stage)
    if stage is None or not stage.makes or stage.by_content:
        return None
    manifest = committed(context.store, stage.makes, config.key, context.cache, context.check_stop)
    return StageResult.reuse(manifest, context.store.uri).to_worker_result(context.store.uri) if manifest else None


def _frames_only(error: BaseException) -> tuple[type[BaseException], BaseException, TracebackType | None] | None:
    """Traceback for the log, unless the exception's text may quote the data it failed on."""
    return None if isinstance(error, ValidationError) else (type(error), error, error.__traceback__)


def _fail(error: BaseException, stage: str, shard: int | None, tail: LogTail) -> None:
    digest = digest_of_failure(error, stage, shard, tail.lines())
    _log.error("%s: %s", digest.reason, digest.message)
    try:
        write_termination_message(WorkerResult(outcome="Failed", failure=digest))
    except (ValueError, MemoryError):
        short = {"outcome": "Failed", "failure": {"reason": digest.reason, "message": digest.message[:200]}}
        write_termination_message(WorkerResult.model_validate(json.loads(json.dumps(short))))
