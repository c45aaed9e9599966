"""The images as pods run them: what is in them, what is not, and that everything starts without rights."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.images.container import ROOT, Container, buildah, container, image, version
from tests.support.control_plane import ControlPlane
from tests.support.patience import SECONDS, until
from tests.support.worker_process import worker_config

COMMANDS = [
    ("operator", "fabula-operator"),
    ("operator", "fabula-certificate"),
    ("operator", "fabula-trial"),
    ("cpu", "fabula-worker"),
    ("cpu", "fabula-models"),
    ("cpu", "fabula-probe"),
    ("cpu", "fabula-quickstart"),
]
MEGABYTES = {"operator": 380, "cpu": 2200}
"""Most that an image may take on a node, unpacked."""
TOOLS = ["gcc", "cc", "c99", "g++", "clang", "ld", "as", "make", "pip", "pip3", "git", "curl", "wget"]
STRANGER = 23456
"""A user without an entry in passwd."""


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in sockets]


@pytest.fixture(scope="module")
def operator() -> Iterator[Container]:
    with container("operator") as found:
        yield found


@pytest.fixture(scope="module")
def cpu() -> Iterator[Container]:
    with container("cpu") as found:
        yield found


@pytest.fixture
def box(request: pytest.FixtureRequest, name: str, tmp_path: Path) -> Iterator[Container]:
    """The container of image `name`, with a scratch folder of the test's own."""
    found: Container = request.getfixturevalue(name)
    found.mount(tmp_path / "scratch", "/scratch")
    yield found
    found.volumes.clear()


@pytest.mark.parametrize(("name", "command"), COMMANDS)
def test_every_entry_point_starts(box: Container, command: str) -> None:
    assert f"usage: {command}" in box.run(command, "--help")


@pytest.mark.parametrize("name", ["operator", "cpu"])
def test_an_image_has_no_commands_of_other_roles_and_no_tools(box: Container, name: str) -> None:
    ours = {one.name for one in (box.root / "opt/fabula/bin").iterdir() if "fabula" in one.name}
    assert ours == {command for image_name, command in COMMANDS if image_name == name}
    # The shell prints the path of each that it finds.
    assert box.run("sh", "-c", f"for tool in {' '.join(TOOLS)}; do command -v $tool; done; true") == ""


@pytest.mark.parametrize("name", ["operator", "cpu"])
def test_an_images_packages_agree(box: Container, name: str) -> None:
    pip = Path(next(Path(sys.prefix).glob("lib/python3*/site-packages/pip")))
    box.volumes.append(f"{pip}:/check/pip:ro")
    assert "No broken requirements found" in box.run("python", "-m", "pip", "check", PYTHONPATH="/check")


@pytest.mark.parametrize("name", ["operator"])
def test_the_operator_has_no_library_of_models(box: Container) -> None:
    wanted = ["torch", "transformers", "numpy", "boto3"]
    code = f"import importlib.util as u; print([one for one in {wanted} if u.find_spec(one)])"
    assert box.run("python", "-c", code).strip() == "[]"


@pytest.mark.parametrize("name", ["operator", "cpu"])
def test_an_image_is_no_larger_than_this(box: Container, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    megabytes = box.bytes() / 1e6
    with capsys.disabled():
        print(f"\n{name}: {megabytes:,.0f} MB of {MEGABYTES[name]:,}")
    assert megabytes <= MEGABYTES[name]


@pytest.mark.parametrize("name", ["operator", "cpu"])
def test_an_image_says_what_it_is_and_what_is_in_it(box: Container, name: str) -> None:
    told = json.loads(buildah("inspect", "--type=image", image(name)))["Docker"]["config"]
    assert told["User"] == "10001:10001"
    labels = told["Labels"]
    assert labels["org.opencontainers.image.version"] == version()
    assert len(labels["org.opencontainers.image.revision"]) == 40
    assert labels["org.opencontainers.image.base.name"]
    assert "fabula" in box.run("python", "-c", "import getpass; print(getpass.getuser())")
    listed = json.loads((box.root / "opt/fabula/sbom.json").read_text())
    assert listed["bomFormat"] == "CycloneDX"
    names = {one["name"].lower() for one in listed["components"]}
    assert names >= {"fabula", "pydantic", {"operator": "kopf", "cpu": "torch"}[name]}
    assert "pip" not in names


@pytest.mark.parametrize("name", ["operator", "cpu"])
def test_an_image_keeps_nothing_of_the_machine_that_built_it(box: Container) -> None:
    assert not (box.root / "etc/pip.conf").exists()
    assert [one.name for one in (box.root / "opt").iterdir()] == ["fabula"]
    assert not list(box.root.glob("root/.*cache*")) and not (box.root / "src").exists()


@pytest.mark.parametrize("name", ["operator"])
def test_the_operator_serves_under_an_id_without_a_name_and_writes_nowhere(box: Container, tmp_path: Path) -> None:
    before = box.files()
    health = json.loads(buildah("inspect", "--type=image", image("operator")))["Docker"]["config"]["Healthcheck"]
    with ControlPlane(tmp_path / "cluster") as cluster:
        box.mount(tmp_path / "config", "/config")
        (tmp_path / "config" / "kubeconfig").write_bytes(cluster.kubeconfig.read_bytes())
        (tmp_path / "config" / "kubeconfig").chmod(0o644)
        (tmp_path / "scratch").chmod(0o777)
        definitions = [f"--filename={one}" for one in (ROOT / "crds").glob("fabula.dev_*.yaml")]
        kubectl = [str(Path(sys.executable).with_name("kubectl")), f"--kubeconfig={cluster.kubeconfig}", "apply"]
        subprocess.run([*kubectl, *definitions], check=True, capture_output=True)
        # A container of buildah's has this machine's network.
        metrics, status = free_ports(2)
        process = box.start(
            "fabula-operator",
            "--kubeconfig=/config/kubeconfig",
            "--artifact-root=file:///artifacts",
            "--insecure-status",
            f"--status-url=http://127.0.0.1:{status}",
            f"--status-port={status}",
            f"--metrics-port={metrics}",
            user=STRANGER,
        )
        try:

            def healthy() -> bool:
                assert process.poll() is None, process.stdout and process.stdout.read()
                probe = box.start(*(word.replace("8080", str(metrics)) for word in health["Test"][1:]), user=STRANGER)
                return probe.wait() == 0

            until(healthy, "an operator that its own health command calls well")
        finally:
            process.terminate()
            process.wait(SECONDS)
    assert box.files() == before


@pytest.mark.parametrize("name", ["cpu"])
def test_a_worker_does_stages_on_a_mounted_folder_and_writes_nowhere_else(box: Container, tmp_path: Path) -> None:
    before = box.files()
    box.mount(tmp_path / "artifacts", "/artifacts")
    box.run("fabula-quickstart", "--root", "file:///artifacts")
    spec = yaml.safe_load((ROOT / "examples/quickstart/dataset.yaml").read_text())["spec"]
    box.stage(worker_config("file:///artifacts", "ingest", spec))
    (episodes,) = (tmp_path / "artifacts" / "out").glob("ingest*/**/manifest.json")
    assert json.loads(episodes.read_text())["kind"] == "episodes"
    told = json.loads((tmp_path / "scratch" / "termination").read_text())
    assert told["counts"]
    assert box.files() == before
