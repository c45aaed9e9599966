"""Metrics to trackers: turned on by environment alone, one run over all attempts, and never in training's way."""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.support.patience import until

from fabula_api.fine_tune_run import FineTuneRunSpec
from fabula_api.worker import RunReference
from fabula_workloads.runtime.failures import ConfigInvalid
from fabula_workloads.tracking import trackers as module
from fabula_workloads.tracking.clients import RUN_TAG, MLflow, TensorBoard, WeightsAndBiases
from fabula_workloads.tracking.tracker import About
from fabula_workloads.tracking.trackers import Trackers, _Feed
from fabula_workloads.training.tracked import settings_of

SPEC = FineTuneRunSpec.model_validate({"dataset": {"uri": "d"}, "model": {"name": "m"}, "lora": {"rank": 8}})
ADDRESS = "https://user:secret@tracker"  # pragma: allowlist secret
UID = "0f7c1b1e-aaaa"


def about(attempt: int = 1, resumed_from: int = 0) -> About:
    run = RunReference(kind="FineTuneRun", namespace="team", name="tale", uid=UID)
    return About(run, attempt, resumed_from, settings_of(SPEC), {"fabula.dev/dataset-digest": "sha256:12"})


def figures(step: int, **more: float) -> dict[str, float]:
    return {"step": step, "steps": 9, "loss": 4.0 - step, "learningRate": 0.1, **more}


@dataclass
class Recorder:
    """A tracker that keeps what it is told, after failing as often as it should."""

    failures: int = 0
    block: threading.Event | None = None
    told: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    started: int = 0
    outcome: str | None = None

    def start(self) -> None:
        self.started += 1

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        if self.block is not None:
            self.block.wait()
        if self.failures:
            self.failures -= 1
            raise ConnectionError(ADDRESS)
        self.told.append((step, dict(metrics)))

    def finish(self, outcome: str) -> None:
        self.outcome = outcome


def feeding(tracker: Recorder, **limits: float) -> Trackers:
    return Trackers([_Feed("Recorder", tracker, **limits)])


def test_each_step_is_told_once_and_a_validation_loss_at_its_own_step() -> None:
    recorder = Recorder()
    trackers = feeding(recorder)
    trackers.log(figures(1))
    trackers.log(figures(2))
    trackers.log(figures(2, validationLoss=3.5))
    trackers.log(figures(3, validationLoss=3.5, gradNorm=float("nan")))
    trackers.close("finished")
    assert recorder.told == [
        (1, {"loss": 3.0, "learningRate": 0.1}),
        (2, {"loss": 2.0, "learningRate": 0.1}),
        (2, {"validationLoss": 3.5}),
        (3, {"loss": 1.0, "learningRate": 0.1}),
    ]
    assert (recorder.started, recorder.outcome) == (1, "finished")


def test_a_resumed_run_does_not_tell_the_former_attempts_validation_loss_again() -> None:
    recorder = Recorder()
    trackers = feeding(recorder)
    trackers.log(figures(6, validationLoss=3.5))
    trackers.log(figures(7, validationLoss=3.5))
    trackers.log(figures(7, validationLoss=3.25))
    trackers.close("finished")
    assert [(step, told.get("validationLoss")) for step, told in recorder.told] == [(6, None), (7, None), (7, 3.25)]


def test_a_tracker_that_is_down_is_said_once_and_told_later(caplog: pytest.LogCaptureFixture) -> None:
    recorder = Recorder(failures=3)
    with caplog.at_level(logging.INFO, "fabula.tracking"):
        trackers = feeding(recorder, retry_seconds=0.01)
        trackers.log(figures(1))
        trackers.log(figures(2))
        until(lambda: len(recorder.told) == 2, "both steps to be told")
        trackers.close("failed")
    assert [step for step, _ in recorder.told] == [1, 2]
    assert caplog.text.count("Recorder cannot be told (ConnectionError); the run goes on") == 1
    assert "Recorder is told again" in caplog.text
    assert "secret" not in caplog.text


def test_a_tracker_that_hangs_holds_up_neither_steps_nor_the_end(caplog: pytest.LogCaptureFixture) -> None:
    block = threading.Event()
    trackers = feeding(Recorder(block=block), close_seconds=0.2)
    for step in range(1, 500):
        trackers.log(figures(step))
    trackers.close("finished")  # or this would never come to an end
    assert "Recorder was not told of 499 steps" in caplog.text
    block.set()


def test_several_that_hang_are_waited_for_at_the_same_time() -> None:
    block, waited = threading.Event(), list[float]()

    class Waiting(_Feed):
        def join(self, since: float = 0.0) -> None:
            waited.append(since)
            super().join(since)

    trackers = Trackers([Waiting(str(one), Recorder(block=block), close_seconds=0.2) for one in range(4)])
    trackers.log(figures(1))
    trackers.close("stopped")
    assert waited[0] < waited[1] and min(waited[1:]) >= 0.2, "the wait for the first is one for all"
    block.set()


def test_a_package_that_the_image_lacks_is_said_before_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigInvalid) as raised:
        Trackers.from_environment(about(), {"MLFLOW_TRACKING_URI": ADDRESS})
    assert raised.value.message.startswith("MLFLOW_TRACKING_URI is set, but the image has no package mlflow")
    assert "unset MLFLOW_TRACKING_URI" in raised.value.message
    assert "secret" not in raised.value.message


def test_nothing_is_tracked_that_the_environment_does_not_name() -> None:
    trackers = Trackers.from_environment(about(), {"MLFLOW_TRACKING_URI": "", "PATH": "/bin"})
    trackers.log(figures(1))
    trackers.close("finished")


@pytest.mark.parametrize("blank", ["\n", " ", "\ufeff"])
def test_blanks_at_an_end_of_a_key_are_left_out(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, blank: str
) -> None:
    for name, value in {"MLFLOW_TRACKING_TOKEN": "mine", "WANDB_BASE_URL": "", "WANDB_API_KEY": ""}.items():
        monkeypatch.setenv(name, value + blank)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    trackers = Trackers.from_environment(about(), os.environ)
    trackers.close("finished")
    assert os.environ["MLFLOW_TRACKING_TOKEN"] == "mine" and "mine" not in caplog.text
    assert "WANDB_API_KEY" not in os.environ and "metrics also go to Weights" not in caplog.text


def test_what_a_tracker_is_set_by_is_named_where_it_cannot_be_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    pytest.importorskip("tensorboard")
    (tmp_path / "file").touch()
    environment = {"TENSORBOARD_LOGGING_DIR": str(tmp_path / "file"), "WANDB_UNUSED": "x"}
    trackers = Trackers.from_environment(about(), environment)
    trackers.log(figures(1))
    until(lambda: "cannot be told" in caplog.text, "a warning")
    trackers.close("finished")
    assert "; the run goes on; look at TENSORBOARD_LOGGING_DIR\n" in caplog.text
    assert str(tmp_path) not in caplog.text


def test_settings_are_flat_and_hold_what_decides_the_training() -> None:
    settings = settings_of(SPEC)
    assert (settings["lora.rank"], settings["model.name"], settings["training.learningRate"]) == (8, "m", 4e-6)
    assert settings["lora.targetModules"] == "q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,down_proj"
    assert not any(name.startswith(("secret", "template")) for name in settings)


def test_tensorboard_shows_each_step_once_over_two_attempts(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for attempt, resumed, steps in ((1, 0, range(1, 6)), (2, 3, range(4, 8))):
        tracker = TensorBoard(about(attempt, resumed), {"TENSORBOARD_LOGGING_DIR": f"{tmp_path}/"})
        tracker.start()
        for step in steps:
            tracker.log(step, {"loss": float(step), "tokensPerSecondPerGpu": 2.0})
        tracker.finish("stopped" if attempt == 1 else "finished")
    events = EventAccumulator(str(tmp_path / "team.tale-0f7c1b1e")).Reload()
    assert [(one.step, one.value) for one in events.Scalars("loss")] == [(step, float(step)) for step in range(1, 8)]


def test_mlflow_goes_on_in_the_run_of_the_former_attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file://{tmp_path}/runs")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    from mlflow.tracking import MlflowClient

    for attempt, steps, outcome in ((1, (1, 2), "stopped"), (2, (2, 3), "finished")):
        tracker = MLflow(about(attempt), {})
        tracker.start()
        for step in steps:
            tracker.log(step, {"loss": float(step)})
        tracker.finish(outcome)  # type: ignore[arg-type]
    client = MlflowClient()
    experiment = client.get_experiment_by_name("fabula")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.tags[RUN_TAG] == UID
    assert run.data.tags["fabula.dev/attempt"] == "2"
    assert run.data.params["lora.rank"] == "8"
    assert [one.step for one in client.get_metric_history(run.info.run_id, "loss")] == [1, 2, 2, 3]


class MLflowServer(BaseHTTPRequestHandler):
    """As much of a tracking server as one run needs."""

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        info = {"run_id": "r", "run_uuid": "r", "experiment_id": "1", "status": "RUNNING", "lifecycle_stage": "active"}
        answers = {
            "get-by-name": {"experiment": {"experiment_id": "1", "name": "fabula", "lifecycle_stage": "active"}},
            "search": {"runs": []},
            "create": {"run": {"info": info}},
            "get": {"run": {"info": info}},
        }
        content = json.dumps(answers.get(self.path.partition("?")[0].rsplit("/", 1)[1], {})).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def test_mlflows_client_does_not_print_the_address_with_its_credentials(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("mlflow")
    with ThreadingHTTPServer(("127.0.0.1", 0), MLflowServer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://user:secret@127.0.0.1:{server.server_port}"  # pragma: allowlist secret
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        tracker = MLflow(about(), {})
        tracker.start()
        tracker.log(1, {"loss": 1.0})
        tracker.finish("finished")
        server.shutdown()
    said = capfd.readouterr()
    assert "secret" not in said.out + said.err


def test_weights_and_biases_resumes_by_the_resources_uid(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, Any]] = []

    class Run:
        def define_metric(self, name: str, **options: Any) -> None:
            calls.append(("define", (name, options)))

        def log(self, row: dict[str, float]) -> None:
            calls.append(("log", row))

        def finish(self, exit_code: int) -> None:
            calls.append(("finish", exit_code))

    class Wandb:
        @staticmethod
        def Settings(**options: Any) -> dict[str, Any]:
            return options

        @staticmethod
        def init(**options: Any) -> Run:
            calls.append(("init", options))
            return Run()

    monkeypatch.setitem(__import__("sys").modules, "wandb", Wandb)
    tracker = WeightsAndBiases(about(2), {"WANDB_PROJECT": "stories"})
    tracker.start()
    tracker.log(4, {"loss": 1.0})
    tracker.finish("stopped")
    options = calls[0][1]
    assert (options["project"], options["id"], options["resume"], options["name"]) == (
        "stories", UID, "allow", "team/tale",
    )  # fmt: skip
    assert options["config"]["lora.rank"] == 8
    assert ("define", ("*", {"step_metric": "step"})) in calls
    assert calls[-2:] == [("log", {"loss": 1.0, "step": 4}), ("finish", 1)]
