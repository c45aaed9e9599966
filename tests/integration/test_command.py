"""The command as people run it: processes against the laptop's API server, by exit code and words."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.forked_command import forked_command
from tests.support.laptop import LaptopApi
from tests.support.patience import SECONDS
from tests.support.told_runs import FAILED, SUCCEEDED, TIME, WAITS, WORKS, manifest
from tests.support.wire import MERGE, Wire

from fabula_api.recipes import API_KINDS
from fabula_cli.bootstrap import install

BIN = Path(sys.executable).parent
RUNS = "/apis/fabula.dev/v1alpha1/namespaces/default"


class Command:
    """`fabula` on a cluster."""

    def __init__(self, kubeconfig: Path, environment: dict[str, str], forked: list[str]) -> None:
        self.wire = Wire(kubeconfig)
        self._environment, self._forked = environment, forked

    def __call__(self, *words: str, program: tuple[str, ...] = ()) -> tuple[int, str]:
        """Exit code, and what it said on both streams. A program that is named loads what it needs anew."""
        done = subprocess.run(
            [*(program or self._forked), *words], env=self._environment, capture_output=True, text=True,
            timeout=SECONDS, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    def apply(self, kind: str, name: str, status: dict[str, Any] | None = None, **spec: Any) -> None:
        """Make a run, as it was told to be, with a status as the operator would write it."""
        place = f"{RUNS}/{API_KINDS[kind].plural}"
        made = self.wire.ok("POST", place, manifest(kind, name, **spec))
        if status is not None:
            wire = {**status, "observedGeneration": made["metadata"]["generation"]}
            self.wire.ok("PATCH", f"{place}/{name}/status", {"status": wire}, media=MERGE)

    def spec(self, kind: str, name: str) -> dict[str, Any]:
        """The spec as it is stored."""
        return dict(self.wire.ok("GET", f"{RUNS}/{API_KINDS[kind].plural}/{name}")["spec"])


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    folder = tmp_path_factory.mktemp("command")
    environment = {**os.environ, "HOME": str(folder), "COLUMNS": "200", "PATH": f"{BIN}:{os.environ['PATH']}"}
    with forked_command(folder, environment) as forked, LaptopApi(folder / "state") as api:
        install(api.kubeconfig)
        made = Command(api.kubeconfig, {**environment, "KUBECONFIG": str(api.kubeconfig)}, forked)
        made.apply("DatasetBuild", "books", WORKS)
        made.apply("FineTuneRun", "tale", WAITS)
        made.apply("EvalRun", "score")
        made.apply("FineTuneRun", "broken", FAILED, dataset={"uri": "data"})
        yield made


def test_status_is_a_tree_that_says_why(command: Command) -> None:
    code, said = command("status", program=("fabula",))
    assert code == 0, said
    assert command("status") == (code, said)
    assert "FineTuneRun/tale  Pending" in said
    assert "rank 1 ran out of memory" in said
    assert command("status", "ftr/broken", "--exit-code")[0] == 1
    assert command("status", "books", "--exit-code")[0] == 6
    code, said = command("status", "ftr/none")
    assert (code, "there is no run ftr/none" in said) == (3, True)
    code, said = command("status", "--output", "json")
    assert {"EvalRun/score", "FineTuneRun/broken"} <= {one["run"] for one in json.loads(said)["default"]}


def test_kubectl_finds_its_plugin_and_completes_it(command: Command) -> None:
    code, said = command("fabula", "status", program=("kubectl",))
    assert (code, "EvalRun/score" in said) == (0, True), said
    assert command("sta", program=("kubectl_complete-fabula",)) == (0, "status\n:4\n")
    assert command("status", "ftr/ta", program=("kubectl_complete-fabula",)) == (0, "ftr/tale\n:4\n")
    assert command("logs", "-n", "default", "ta", program=("kubectl_complete-fabula",)) == (0, "tale\n:4\n")
    assert command("logs", "-n", "none", "ta", program=("kubectl_complete-fabula",)) == (0, ":4\n")
    assert command("init", "Fi", program=("kubectl_complete-fabula",)) == (0, "FineTuneRun\n:4\n")
    assert command("init", "ftr", "--recipe", "pod", program=("kubectl_complete-fabula",)) == (0, "podcast\n:4\n")


def test_watch_ends_with_how_the_runs_ended(command: Command) -> None:
    code, said = command("watch", "ftr/broken")
    assert (code, "rank 1 ran out of memory" in said) == (1, True), said
    command.apply("DatasetBuild", "done", SUCCEEDED)
    assert command("watch", "dsb/done", "-o", "json")[0] == 0
    assert command("watch", "books", "--timeout", "0")[0] == 6


def test_cost_sums_what_is_known(command: Command) -> None:
    code, said = command("cost", "books", "broken")
    assert code == 0, said
    assert said.splitlines()[-1].split() == ["total", "7.50", "0.25", "-", "3.00", "1.00", "40", "1,200"]
    assert json.loads(command("cost", "-o", "json")[1])["total"]["usd"] == 7.5


def test_runs_are_held_and_started_again(command: Command) -> None:
    assert command("suspend", "books")[0] == 0
    assert command.spec("DatasetBuild", "books")["suspend"] is True
    code, said = command("resume", "books", "-o", "json")
    assert (code, json.loads(said)) == (0, [{"run": "DatasetBuild/books", "changed": True, "said": "goes on"}])
    assert command.spec("DatasetBuild", "books")["suspend"] is False
    command.apply("FineTuneRun", "again", FAILED, dataset={"uri": "data"})
    before = command.spec("FineTuneRun", "again")
    code, said = command("retry", "again")
    assert (code, "starts again" in said) == (0, True), said
    assert command.spec("FineTuneRun", "again") == before
    code, said = command("retry", "tale")
    assert (code, "only what has failed" in said) == (2, True)


def test_logs_outlive_pods(command: Command, tmp_path: Path) -> None:
    kept = tmp_path / "train" / "logs" / "attempt-2"
    kept.mkdir(parents=True)
    (kept / "rank-0.log").write_text("step 1\n\x1b[2Jstep 2\n")
    (kept / "rank-1.log").write_text("step 1\n")
    place = f"{tmp_path.as_uri()}/train/checkpoints/step-000001"
    checkpoint = {"uri": place, "step": 1, "digest": "d", "committedAt": TIME}
    command.apply("FineTuneRun", "gone", {**FAILED, "checkpoint": checkpoint}, dataset={"uri": "data"})
    code, said = command("logs", "gone")
    assert (code, said) == (0, "[attempt 2 rank 0] step 1\n[attempt 2 rank 0] [2Jstep 2\n[attempt 2 rank 1] step 1\n")
    assert command("logs", "gone", "--index", "0", "--tail", "1")[1] == "[attempt 2 rank 0] [2Jstep 2\n"
    code, said = command("logs", "ftr/broken")
    assert (code, "last words" in said, "give --artifact-root" in said) == (3, True, True), said
    assert command("logs", "books")[0] == 3


def test_a_report_is_named_where_it_lies(command: Command, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("<p>")
    command.apply("EvalRun", "told", {**SUCCEEDED, "report": {"uri": tmp_path.as_uri(), "digest": "d"}})
    assert command("report", "evr/told", "--no-browser") == (0, f"{tmp_path}/report.html\n")
    command.apply("EvalRun", "away", {**SUCCEEDED, "report": {"uri": "file:///nowhere", "digest": "d"}})
    assert command("report", "evr/away", "--no-browser")[0] == 5
    assert command("report", "evr/score", "--no-browser")[0] == 3


def test_a_new_file_is_valid_and_a_wrong_one_is_not(command: Command, tmp_path: Path) -> None:
    made = tmp_path / "run.yaml"
    assert command("init", "ftr", "--file", str(made))[0] == 0
    code, said = command("init", "ftr", "--file", str(made))
    assert (code, "was not written" in said) == (1, True), said
    assert command("validate", "-f", str(made))[0] == 0
    made.write_text(made.read_text().replace("  dataset:", "  datset:"))
    code, said = command("validate", "-f", str(made))
    assert (code, "spec.datset: is no field" in said) == (1, True), said
    assert command("validate", "-f", str(tmp_path / "none.yaml"))[0] == 3


def test_the_doctor_says_what_is_missing_and_what_to_do(command: Command, tmp_path: Path) -> None:
    code, said = command("doctor", "--artifact-root", tmp_path.as_uri())
    lines = {line[8:26].strip(): line.split()[0] for line in said.splitlines()}
    assert code == 1, said
    assert {name: lines.get(name) for name in ("EvalRun", "your rights", "operator's rights", "store", "operator")} == {
        "EvalRun": "OK", "your rights": "OK", "operator's rights": "OK", "store": "OK", "operator": "MISSING",
    }, said  # fmt: skip
    assert list(tmp_path.iterdir()) == []
    assert (lines.get("quotas"), lines.get("worker secret"), lines.get("model cache")) == ("OK", None, None), said
    lease: dict[str, Any] = {
        "metadata": {"name": "fabula-operator"},
        "spec": {"holderIdentity": "one", "leaseDurationSeconds": 6},
    }
    lease["spec"]["renewTime"] = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    leases = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
    command.wire.ok("POST", leases, lease)
    code, said = command("doctor", "-o", "json", "--artifact-root", "file:///nowhere")
    assert code == 0, said
    assert {one["about"]: one["state"] for one in json.loads(said)}["store"] == "NOTE"
    assert not Path("/nowhere").exists()


def test_a_cluster_that_is_not_there_is_said(command: Command, tmp_path: Path) -> None:
    code, said = command("status", "--kubeconfig", str(tmp_path / "none"))
    assert (code, "no cluster to talk to" in said) == (4, True), said
    home = ("--home", str(tmp_path / "home"))
    for words in (("laptop", *home), ("kubeconfig", *home)):
        code, said = command(*words)
        assert (code, "fabula up" in said) == (4, True), said
    code, said = command("up", "--control-plane", "minikube", *home)
    assert (code, "it is `laptop` or `assets`" in said) == (2, True), said
    assert command("down", *home) == (0, "nothing was up\n")
