"""`fabula up --control-plane assets`: every part comes back when it is killed, and `down` ends them all."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from fabula_cli.home import Home
from fabula_cli.laptop import operator_ready
from fabula_cli.parts import command_line
from tests.e2e.conftest import Product
from tests.support.patience import until
from tests.support.stand_in_assets import make_assets

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("KUBECONFIG" in os.environ, reason="a control plane of our own is what is tried here"),
]
PARTS = ("etcd", "kube-apiserver", "node", "operator")
POD = """
apiVersion: v1
kind: Pod
metadata: {name: steady}
spec:
  restartPolicy: Never
  containers: [{name: main, image: none, command: [sh, -c, "sleep 3600"]}]
"""


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    folder = tmp_path_factory.mktemp("assets")
    os.environ["KUBEBUILDER_ASSETS"] = str(make_assets(folder / "bin"))
    found = Product(folder / "home", None, "default")
    try:
        code, output = found.fabula("up", "--control-plane", "assets")
        assert code == 0, output
        del os.environ["KUBEBUILDER_ASSETS"]
        yield found
    finally:
        os.environ.pop("KUBEBUILDER_ASSETS", None)
        found.fabula("down")


def pids(product: Product) -> dict[str, int | None]:
    """The parts that live, by what the supervisor says and the machine confirms."""
    found = {name: part["pid"] for name, part in product.parts()["parts"].items()}
    return {name: pid if pid and lives(pid) else None for name, pid in found.items()}


def lives(pid: int) -> bool:
    """Whether the process runs; one that ended since it was written down, or waits to be reaped, does not."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except (FileNotFoundError, ProcessLookupError):
        return False


def phase(product: Product) -> str | None:
    try:
        pod = product.wire.ok("GET", "/api/v1/namespaces/default/pods/steady")
    except OSError:
        return None  # the API server is being started again
    return str(pod["status"].get("phase"))


def ready(product: Product) -> bool:
    return operator_ready(Home(product.home))


def test_each_part_is_told_by_status(product: Product) -> None:
    code, output = product.fabula("laptop")
    assert code == 0, output
    for name in PARTS:
        assert any(line.startswith(name) and "pid" in line for line in output.splitlines()), output
    applied = product.home / "pod.yaml"
    applied.write_text(POD)
    product.kubectl("apply", "-f", str(applied))
    until(lambda: phase(product) == "Running", "the pod runs")


@pytest.mark.parametrize("name", PARTS)
def test_a_killed_part_comes_back_and_the_pod_goes_on(product: Product, name: str) -> None:
    uid = product.kubectl("get", "pod", "steady", "-o", "jsonpath={.metadata.uid}")
    before = pids(product)[name]
    assert before
    os.kill(before, signal.SIGKILL)
    until(lambda: pids(product).get(name) not in (None, before), f"{name} is started again")
    until(lambda: ready(product), "the operator is ready")
    assert product.parts()["parts"][name]["starts"] >= 2
    until(lambda: phase(product) == "Running", "the pod is seen")
    assert product.kubectl("get", "pod", "steady", "-o", "jsonpath={.metadata.uid}") == uid


def test_a_killed_supervisor_s_parts_give_way_to_the_next_and_the_choice_is_kept(product: Product) -> None:
    old = pids(product)
    os.kill(product.parts()["pid"], signal.SIGKILL)
    code, output = product.fabula("up")
    assert code == 0, output
    assert "kube-apiserver and etcd of" in output
    until(lambda: all(pids(product).get(name) for name in PARTS), "every part runs")
    new = pids(product)
    assert set(new) == set(PARTS)
    assert not {one for one in new.values() if one} & set(old.values())
    # A process that has ended may stand there until its parent has asked for it; it has no command line then.
    assert not [pid for pid in old.values() if pid and command_line(pid)]
    until(lambda: phase(product) == "Running", "the pod is adopted")


def test_another_choice_needs_an_end_first(product: Product) -> None:
    code, output = product.fabula("up", "--control-plane", "laptop")
    assert code == 1
    assert "end it first with `fabula down`" in output


def test_down_ends_everything_also_after_a_killed_supervisor(product: Product) -> None:
    os.kill(product.parts()["pid"], signal.SIGKILL)
    code, output = product.fabula("down")
    assert (code, output.splitlines()[-1]) == (0, "down"), output
    until(lambda: product.processes() == [], "nothing of the cluster and its pods runs")
    assert product.fabula("down")[1].strip() == "nothing was up"
