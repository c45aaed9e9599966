"""The train stage: prepares a group of ranks, watches it, and commits what it makes. Runs in the pod, without torch."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from fabula_api.artifact import Manifest
from fabula_api.fine_tune_run import FineTuneRunSpec
from fabula_api.fine_tune_status import CheckpointStatus
from fabula_api.shared_spec import ModelSource
from fabula_api.status import FailureDigest
from fabula_api.worker import GRACE_TOO_SHORT, RESUMED_METRIC, ExitCode, WorkerResult
from fabula_workloads.models.model_folder import model_config, model_folder
from fabula_workloads.runtime.context import StageContext, StageResult
from fabula_workloads.runtime.failures import (
    ConfigInvalid,
    Crashed,
    CredentialsRefused,
    InputInvalid,
    Overtaken,
    TryAgain,
    WorkerError,
)
from fabula_workloads.runtime.termination import write_termination_message
from fabula_workloads.tracking.tracker import About
from fabula_workloads.tracking.trackers import Trackers, tracked
from fabula_workloads.training.launcher.group import Group, rank_environment
from fabula_workloads.training.launcher.prepare import Prepared, prepare
from fabula_workloads.training.launcher.tuned_artifact import commit_tuned, sample_counts, tuned_summary
from fabula_workloads.training.messages.events import (
    CheckpointSaved,
    EventReader,
    Finished,
    Interrupted,
    Started,
    StepMade,
)
from fabula_workloads.training.messages.failure import RankFailure
from fabula_workloads.training.preloaded.libraries import Libraries, loading
from fabula_workloads.training.tracked import settings_of
from fabula_workloads.training.trains import training_of

_log = logging.getLogger("fabula.train")
_POLL_SECONDS = 0.1
_LOG_TAIL_LINES = 20
_BY_EXIT_CODE: dict[int, type[WorkerError]] = {
    kind.exit_code: kind for kind in (ConfigInvalid, InputInvalid, CredentialsRefused, TryAgain)
}


def run(context: StageContext) -> StageResult:
    """Train from the last committed checkpoint to the end, and commit what was made.

    Raises TryAgain (Interrupted) after a stop that was asked for, Overtaken when a later attempt has begun, and on
    failure the named error of the first failing rank.
    """
    spec = context.spec_of(FineTuneRunSpec)
    with contextlib.ExitStack() as ends:
        # While inputs are downloaded and compared, the libraries load.
        libraries = ends.enter_context(loading(spec, rank_environment(spec, os.environ), context.cache))
        prepared = prepare(context, spec, lambda: _model(context, spec.model))
        ends.callback(shutil.rmtree, prepared.job.work, ignore_errors=True)
        return _watch(context, spec, prepared, libraries)


def _watch(context: StageContext, spec: FineTuneRunSpec, prepared: Prepared, libraries: Libraries) -> StageResult:
    """The attempt from the start of its ranks to its end, which trackers hear of."""
    # The first node tells for all.
    environment = os.environ if prepared.node.rank == 0 else {}
    about = _about(context, spec, prepared)
    with tracked(about, environment) as trackers, ThreadPoolExecutor(1, "checkpoints") as uploads:
        return _Watch(context, prepared, libraries, uploads, trackers).run()


def _model(context: StageContext, source: ModelSource) -> Path:
    """Local folder of the base model. A model that cannot be trained is refused before its weights are downloaded."""
    config = model_config(context, source, "model")
    training_of(context.config.spec.recipe).check_architecture(config, source.uri or source.name or "it")
    return model_folder(context, source, "model")


def _about(context: StageContext, spec: FineTuneRunSpec, prepared: Prepared) -> About:
    """What MLflow and the like are told of the run."""
    return About(
        context.config.run,
        context.config.attempt,
        prepared.resumed_from or 0,
        settings_of(spec),
        {f"fabula.dev/{entry.name}-digest": entry.digest for entry in prepared.lineage if entry.digest},
    )


class _Watch:
    """One attempt of the group, from its start to its end."""

    def __init__(
        self,
        context: StageContext,
        prepared: Prepared,
        libraries: Libraries,
        uploads: ThreadPoolExecutor,
        trackers: Trackers,
    ) -> None:
        self._context, self._prepared, self._uploads, self._trackers = context, prepared, uploads, trackers
        self._libraries = libraries
        self._job, self._checkpoints = prepared.job, prepared.checkpoints
        self._events = EventReader(self._job.events_file)
        self._group: Group | None = None
        self._keeping_logs = threading.Lock()
        self._pending: list[Future[None]] = []
        resumed = prepared.resumed_from
        # Told with every report, for any of them may be lost.
        self._resumed: dict[str, float] = {} if resumed is None else {RESUMED_METRIC: resumed}
        self._metrics: dict[str, float] = dict(self._resumed)
        self._started: Started | None = None
        self._ended: Finished | Interrupted | None = None

    def run(self) -> StageResult:
        self._group = group = Group(self._job, self._prepared.node, self._libraries)
        try:
            code = self._wait(group)
            self._take_events()
            self._finish_uploads(failed=code != 0)
        except BaseException:
            group.kill()
            self._keep_logs()
            raise
        logs = self._keep_logs()
        if isinstance(self._ended, Interrupted):
            raise TryAgain(
                f"training was told to stop and saved step {self._ended.step}; the next attempt goes on from there",
                "Interrupted",
            )
        if code != 0:
            raise _error(group.first_failure(), logs)
        if self._ended is None:
            raise Crashed("the ranks ended without finishing and without a word", "TrainingEndedEarly")
        return self._commit()

    def _wait(self, group: Group) -> int:
        asked = False
        while (code := group.poll()) is None:
            self._take_events()
            while self._pending and self._pending[0].done():
                self._pending.pop(0).result()
            if self._context.stopping.is_set() and not asked:
                if self._started is None:
                    raise TryAgain("training was told to stop before its first step", "Interrupted")
                _log.info("stop asked for: all ranks save at the next step boundary")
                group.ask_to_stop()
                asked = True
                self._leave_word()
            time.sleep(_POLL_SECONDS)
        return code

    def _leave_word(self) -> None:
        """What stays to be read when the pod is killed before the ranks have saved; any other end writes over it."""
        step, seconds = int(self._metrics.get("step", 0)), self._metrics.get("stepSeconds")
        pace = f"a step takes {seconds:.1f} s" if seconds is not None else "no step was made yet"
        message = (
            f"the pod was told to stop and was killed before its ranks had saved, after step {step}: {pace}, and a "
            "checkpoint has to be written and committed besides. Steps since the last checkpoint are repeated; raise "
            "the operator's --worker-grace, or lower checkpoints.everySteps."
        )
        failure = FailureDigest(reason=GRACE_TOO_SHORT, message=message, stage="train", exit_code=int(ExitCode.RETRY))
        write_termination_message(WorkerResult(outcome="Failed", failure=failure))

    def _take_events(self) -> None:
        for event in self._events.poll():
            match event:
                case Started():
                    self._started = event
                    # All at once: the time left is reckoned from the first figures on.
                    self._report(done=self._prepared.resumed_from or 0, total=event.steps, counts=sample_counts(event))
                case StepMade():
                    self._trackers.log(event.metrics)
                    self._metrics = {**event.metrics, **self._resumed}
                    self._report(done=int(self._metrics["step"]), total=int(self._metrics["steps"]))
                case CheckpointSaved():
                    upload = self._uploads.submit(self._save, event.step, event.path)
                    self._pending.append(upload)
                case Finished() | Interrupted():
                    self._ended = event

    def _report(self, *, done: int, total: int, counts: Mapping[str, float] | None = None) -> None:
        """Tell how far the group is; the other nodes would only say the same, or less."""
        if self._prepared.node.rank == 0:
            self._context.reporter.update(done=done, total=total, counts=counts, metrics=self._metrics)

    def _save(self, step: int, local: Path) -> None:
        """Commit a checkpoint beside the training that goes on."""
        topology = self._job.spec.topology
        manifest = self._checkpoints.save(
            step,
            local,
            nodes=topology.nodes,
            details=self._prepared.checkpoint_details(step, local).to_wire(),
            lineage=self._prepared.lineage,
        )
        shutil.rmtree(local, ignore_errors=True)
        self._keep_logs()
        if manifest is None:
            return
        _log.info("checkpoint of step %d committed", step)
        self._context.reporter.update(
            checkpoint=CheckpointStatus(
                uri=self._checkpoints.uri(step),
                step=step,
                digest=manifest.digest,
                committed_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            )
        )
        try:
            self._checkpoints.prune(self._job.spec.checkpoints.keep)
        except Overtaken:
            raise
        except WorkerError as error:
            _log.warning("old checkpoints were not removed, which is tried again after the next one: %s", error)

    def _finish_uploads(self, *, failed: bool) -> None:
        """Wait for checkpoints on their way: also after a failure, for they are whole and spare the next attempt."""
        if failed:
            self._checkpoints.hurry()
        for upload in self._pending:
            try:
                upload.result()
            except Overtaken:
                raise
            except WorkerError as error:
                if not failed:
                    raise
                _log.warning("a checkpoint was not committed: %s", error)  # the ranks' own failure comes first

    def _keep_logs(self) -> dict[int, Path]:
        """Store the last part of each rank's log beside the artifact; a failure here hides no other.

        Also with each checkpoint, for a launcher that is killed leaves nothing any more.
        """
        assert self._group is not None
        with self._keeping_logs:
            logs = self._group.collect_logs()
            try:
                for rank, log in logs.items():
                    self._context.store.upload(log, f"logs/attempt-{self._context.config.attempt}/rank-{rank}.log")
            except WorkerError as error:
                _log.warning("the ranks' logs were not kept: %s", error)
        return logs

    def _commit(self) -> StageResult:
        assert isinstance(self._ended, Finished)
        assert self._started is not None
        self._checkpoints.ensure_current()
        if self._prepared.node.rank != 0:
            return StageResult(lineage=self._prepared.lineage)
        manifest: Manifest = commit_tuned(self._context, self._prepared, self._started, self._ended, self._metrics)
        return StageResult(
            artifact=manifest,
            counts={name: float(count) for name, count in manifest.counts.items()},
            metrics=self._metrics,
            summary=tuned_summary(self._prepared, self._ended.step),
            lineage=manifest.lineage,
        )


def _error(failure: RankFailure, logs: dict[int, Path]) -> WorkerError:
    """The failing rank's word as an error of this process, with the same exit code."""
    tail = (
        logs[failure.rank].read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:] if failure.rank in logs else []
    )
    kind = _BY_EXIT_CODE.get(failure.exit_code, Crashed)
    return kind(failure.message, failure.reason, rank=failure.rank, exception=failure.exception, log_tail=tail)
