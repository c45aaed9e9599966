"""The image of GPU workers where there is no GPU: its Dockerfile built with a torch for CPUs, and the quickstart's
training and evaluation inside it, as pods of a laptop's cluster. `make test-images-gpu` builds it and runs this."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import time
import venv
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.e2e.conftest import BIN, ROOT, Product
from tests.images.container import Container, buildah, container, image
from tests.support.patience import until

SHIM = Path(__file__).with_name("in_container.py")


@pytest.fixture(scope="module")
def gpu() -> Iterator[Container]:
    with container("gpu") as found:
        yield found


@dataclass(frozen=True)
class Cluster(Product):
    """A laptop's cluster whose node runs `fabula-worker` inside the image: it looks in its own environment first."""

    environment_folder: Path = field(kw_only=True)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        command = [str(self.environment_folder / "bin" / "python"), "-m", "fabula_cli.main", *arguments]
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=self.environment, cwd=ROOT
        )


@pytest.fixture
def cluster(gpu: Container, tmp_path: Path) -> Iterator[Cluster]:
    """Asked for after the image, so that it is not started where there is none."""
    folder, home = tmp_path / "environment", tmp_path / "home"
    venv.create(folder, symlinks=True)
    (packages,) = folder.glob("lib/python3*/site-packages")
    (packages / "all.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    shim = folder / "bin" / "fabula-worker"
    for program in BIN.iterdir():
        if program.name != shim.name and not (folder / "bin" / program.name).exists():
            (folder / "bin" / program.name).symlink_to(program)
    shim.write_text(f'#!/bin/sh\nexec {sys.executable} {SHIM} {gpu.name} {home} "$@"\n')
    shim.chmod(0o755)
    found = Cluster(home, None, "default", environment_folder=folder)
    code, said = found.fabula("up")
    assert code == 0, said
    yield found
    found.fabula("down")


def test_a_kernels_launcher_can_be_compiled_by_the_user_of_the_pod(gpu: Container, tmp_path: Path) -> None:
    """What Triton does at its first kernel."""
    gpu.mount(tmp_path / "scratch", "/scratch")
    (tmp_path / "scratch" / "launcher.c").write_text(
        "#include <Python.h>\n"
        'static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "launcher", 0, -1, 0};\n'
        "PyMODINIT_FUNC PyInit_launcher(void) { return PyModule_Create(&module); }\n"
    )
    build = "gcc -shared -fPIC -I$(python -c 'import sysconfig; print(sysconfig.get_path(\"include\"))') "
    gpu.run("sh", "-c", f"cd /scratch && {build} -o launcher.so launcher.c && python -c 'import launcher'")
    gpu.volumes.clear()


def test_the_image_says_what_it_wants_of_a_node(gpu: Container) -> None:
    told = json.loads(buildah("inspect", "--type=image", image("gpu")))["Docker"]["config"]
    assert told["User"] == "10001:10001"
    assert {"NVIDIA_VISIBLE_DEVICES=all", "NVIDIA_DRIVER_CAPABILITIES=compute,utility"} <= set(told["Env"])
    listed = json.loads((gpu.root / "opt/fabula/sbom.json").read_text())
    assert {one["name"].lower() for one in listed["components"]} >= {"fabula", "torch", "deepspeed", "peft"}


def test_the_quickstart_trains_and_answers_inside_it(
    gpu: Container, cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    before = gpu.files()
    root = str(cluster.parts()["artifactRoot"])
    subprocess.run([sys.executable, "-m", "fabula_quickstart", "--root", root], check=True, capture_output=True)
    began = time.monotonic()
    cluster.kubectl("apply", "-f", str(ROOT / "examples" / "quickstart"))

    def over() -> bool:
        found = [one.get("status") or {} for one in cluster.items("dsb,ftr,evr")]
        assert "Failed" not in [one.get("state") for one in found], json.dumps([one.get("failure") for one in found])
        return [one.get("state") for one in found] == ["Succeeded"] * 3

    until(over, "three runs that succeeded")
    minutes = (time.monotonic() - began) / 60
    training, evaluation = cluster.get("ftr", "quickstart")["status"], cluster.get("evr", "quickstart")["status"]
    assert training["metrics"]["loss"] < training["metrics"]["firstLoss"] / 2
    assert all(one["passed"] for one in evaluation["gates"])
    assert gpu.files() == before, "a worker wrote to the image's own file system"
    with capsys.disabled():
        loss = f"{training['metrics']['firstLoss']:.2f} -> {training['metrics']['loss']:.2f}"
        print(f"\ngpu, {gpu.bytes() / 1e6:,.0f} MB: the quickstart in {minutes:.1f} min, training loss {loss}")
