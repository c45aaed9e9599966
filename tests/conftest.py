"""What all tests share: how Hypothesis searches, and the device that numerical tests compute on.

Hypothesis searches anew on a developer's machine and repeats itself in CI, where a run must mean the same twice.
"""

from __future__ import annotations

import gc
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import settings

from tests.support import copies, order
from tests.support.examples import examples
from tests.support.rights import VARIABLE, beyond
from tests.support.shared_libraries import NETWORKS, QUANTIZED, STAGES, TRAINING, Servers, shared
from tests.support.worker_copies import copied_workers

# A busy machine is no defect of the code under test, so no example has a deadline.
settings.register_profile("search", deadline=None, max_examples=examples(40))
settings.register_profile("ci", deadline=None, max_examples=examples(40), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "search")
# Read when torch is imported. Tests that run side by side would spin for each other's cores, and their models are tiny.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# It reads the same, ten times as fast; hundreds of tests read a quarter of a megabyte of CRDs.
yaml.SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # type: ignore[misc]
# Images say so; here hundreds of processes would compile the same files again, and each worker all tests.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--device",
        choices=("cpu", "cuda"),
        default="cpu",
        help="cuda: only the tests that can compute on a GPU, each of which fails where it has not used it",
    )


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # workers of pytest-xdist take it over
        os.environ[VARIABLE] = str(Path(tempfile.mkdtemp(prefix="fabula-audit-")) / "audit.jsonl")
    if config.getoption("--device") == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise pytest.UsageError("--device cuda, but torch sees no GPU here; nothing would be proved")


def pytest_xdist_auto_num_workers() -> int:
    """For `-n auto`."""
    return order.at_once()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config, specs: list[Any]) -> None:
    """Test processes are copies of one that has loaded the libraries."""
    config.add_cleanup(copied_workers(specs))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The long files first. On a GPU, what never touches it would only look like proof."""
    items.sort(key=lambda item: order.place(item.path))
    if config.getoption("--device") == "cuda":
        able = [item for item in items if "device_name" in getattr(item, "fixturenames", ())]
        config.hook.pytest_deselected(items=[item for item in items if item not in able])
        items[:] = able


def pytest_collection_finish(session: pytest.Session) -> None:
    """What was collected stays to the end, so no collection of garbage need look at it again. Others are looked at more
    rarely: a tenth of many tests' time goes into it otherwise."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Whatever ran, the operator asked for nothing that is not on the list that the chart is held to, workers for
    nothing at all."""
    if not hasattr(session.config, "workerinput") and beyond(Path(os.environ[VARIABLE])):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if found := beyond(Path(os.environ[VARIABLE])):
        terminalreporter.section("asked of the Kubernetes API, and not in tests/rights_used.yaml", red=True)
        terminalreporter.line("\n".join(found))


@pytest.fixture(scope="session", autouse=True)
def loaded_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Servers of libraries that all test processes share."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "libraries"
    with shared(folder) as servers, copies.share(servers):
        yield servers


@pytest.fixture(scope="session")
def stage_libraries(loaded_once: Servers) -> Path:
    """Folder for `FABULA_FORK_SERVERS`: what stages without torch import, loaded once for all pods that ask."""
    return loaded_once.need(STAGES)


@pytest.fixture(scope="session")
def training_libraries(loaded_once: Servers) -> Path:
    """As `stage_libraries`, and the libraries of training and inference.

    A run loads them anew where a test says so, and in the newcomer's journey.
    """
    return loaded_once.need(STAGES, TRAINING)


@pytest.fixture(scope="session")
def product_libraries(loaded_once: Servers) -> Path:
    """As `training_libraries`, and those of stages that draw and score by networks: what a whole journey takes."""
    return loaded_once.need(STAGES, TRAINING, NETWORKS)


@pytest.fixture(scope="session")
def quantized_libraries(loaded_once: Servers) -> Path:
    """As `training_libraries`, also for models in 4 bits."""
    return loaded_once.need(STAGES, TRAINING, QUANTIZED)


@pytest.fixture(scope="session")
def device_name(request: pytest.FixtureRequest) -> str:
    """Where numerical tests compute: `cpu`, or `cuda` with `--device cuda`. For tests whose work is done by processes
    of their own, which have to prove by themselves that they used it."""
    return str(request.config.getoption("--device"))


@pytest.fixture
def device(device_name: str) -> Iterator[str]:
    """As `device_name`; on a GPU the test fails where this process has put nothing on it. In full fp32 there."""
    if device_name == "cpu":
        yield device_name
        return
    import torch

    def allocations() -> int:
        return int(torch.cuda.memory_stats().get("allocation.all.allocated", 0))

    kept: Any = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False  # of convolutions; matrix products are in fp32 by themselves
    torch.cuda.init()
    before = allocations()
    yield device_name
    torch.backends.cudnn.allow_tf32 = kept
    assert allocations() > before, "the test was to compute on a GPU and has used only the CPU"
