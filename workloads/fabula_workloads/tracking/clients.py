"""What each tracker's own client is asked to do. Their packages are imported only when a run is tracked with them."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

from fabula_workloads.tracking.tracker import About, Outcome

PROJECT = "fabula"
"""Experiment or project where the environment names none."""
_SECONDS = 10
"""To begin a run; the next try comes soon, and a process should not end late because of one."""
RUN_TAG = "fabula.dev/run-uid"


class MLflow:
    """A run of an MLflow tracking server (or of a folder), found by the resource's uid among its tags."""

    def __init__(self, about: About, environment: Mapping[str, str]) -> None:
        self._about = about
        self._experiment = environment.get("MLFLOW_EXPERIMENT_NAME") or PROJECT
        self._given = environment.get("MLFLOW_RUN_ID")
        self._client: Any = None
        self._run = ""

    def start(self) -> None:
        """Find the run of a former attempt, or make one."""
        # Whoever calls this tries again by itself; the client's own tries would fill the log for minutes.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", str(_SECONDS))
        # Links to the run, at its end: they hold the address as it was given, with a password where it has one.
        os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
        from mlflow.entities import Param, RunTag
        from mlflow.tracking import MlflowClient

        client = MlflowClient()
        tags = {**self._about.tags, RUN_TAG: self._about.run.uid, "fabula.dev/attempt": str(self._about.attempt)}
        known = self._known(client)
        if known is None:
            made = client.create_run(self._experiment_id(client), run_name=self._about.name, tags=tags)
            self._run = made.info.run_id
            params = [Param(name, str(value)[:500]) for name, value in self._about.settings.items()]
            client.log_batch(self._run, params=params)
        else:
            self._run = known
            client.log_batch(known, tags=[RunTag(name, value) for name, value in tags.items()])
            client.update_run(known, status="RUNNING")
        self._client = client

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """One call a step."""
        from mlflow.entities import Metric

        now = time.time_ns() // 1_000_000
        self._client.log_batch(self._run, metrics=[Metric(name, value, now, step) for name, value in metrics.items()])

    def finish(self, outcome: Outcome) -> None:
        """Set the run's status."""
        status = {"finished": "FINISHED", "failed": "FAILED", "stopped": "KILLED"}.get(outcome)
        if status is not None:
            self._client.set_terminated(self._run, status=status)

    def _known(self, client: Any) -> str | None:
        if self._given:
            return self._given
        experiment = client.get_experiment_by_name(self._experiment)
        if experiment is None:
            return None
        wanted = f"tags.`{RUN_TAG}` = '{self._about.run.uid}'"
        runs = client.search_runs([experiment.experiment_id], filter_string=wanted, max_results=1)
        return str(runs[0].info.run_id) if runs else None

    def _experiment_id(self, client: Any) -> str:
        experiment = client.get_experiment_by_name(self._experiment)
        return str(experiment.experiment_id if experiment else client.create_experiment(self._experiment))


class WeightsAndBiases:
    """A run of Weights & Biases under the resource's uid, so that the next attempt goes on in it."""

    def __init__(self, about: About, environment: Mapping[str, str]) -> None:
        self._about = about
        self._project = environment.get("WANDB_PROJECT") or PROJECT
        self._id = environment.get("WANDB_RUN_ID") or about.run.uid
        self._run: Any = None

    def start(self) -> None:
        """Begin or resume."""
        import wandb

        self._run = wandb.init(
            project=self._project,
            id=self._id,
            name=self._about.name,
            resume="allow",
            config={**self._about.settings},
            notes=", ".join(f"{name} {value}" for name, value in self._about.tags.items()),
            # The launcher's own output stays its own, and its code is none of the run's.
            settings=wandb.Settings(
                console="off",
                silent=True,
                save_code=False,
                disable_git=True,
                init_timeout=_SECONDS,
                login_timeout=_SECONDS,
            ),
        )
        # Steps that an attempt repeats come below the last one; as a figure of its own a step may.
        self._run.define_metric("step", hidden=True)
        self._run.define_metric("*", step_metric="step")

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """One row a step."""
        self._run.log({**metrics, "step": step})

    def finish(self, outcome: Outcome) -> None:
        """End the run; other than `finished` it counts as crashed until an attempt resumes it."""
        self._run.finish(exit_code=0 if outcome == "finished" else 1)


_LONGEST_NAME = 160
"""Characters of a run's name in a folder's, which file systems hold to 255 bytes; the uid keeps runs apart."""


class TensorBoard:
    """Event files in a folder of the run below TENSORBOARD_LOGGING_DIR."""

    def __init__(self, about: About, environment: Mapping[str, str]) -> None:
        self._about = about
        run = about.run
        base = environment["TENSORBOARD_LOGGING_DIR"].rstrip("/")
        self._folder = f"{base}/{run.namespace}.{run.name[:_LONGEST_NAME]}-{run.uid[:8]}"
        self._writer: Any = None

    def start(self) -> None:
        """A file of its own for each attempt; TensorBoard drops the steps of former ones that it repeats."""
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._writer = EventFileWriter(self._folder, flush_secs=10)
        begin = SessionLog(status=SessionLog.START)
        self._writer.add_event(Event(wall_time=time.time(), step=self._about.resumed_from + 1, session_log=begin))

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """One event a step."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        values = [Summary.Value(tag=name, simple_value=value) for name, value in metrics.items()]
        self._writer.add_event(Event(wall_time=time.time(), step=step, summary=Summary(value=values)))

    def finish(self, outcome: Outcome) -> None:
        """Write what is buffered."""
        self._writer.close()
