"""The environment that `make test-vllm` makes: vLLM for CPUs, whose torch and transformers are other than ours."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from tests.support.patience import until

from fabula_api.worker import CONFIG_VARIABLE, SHARD_VARIABLE, TERMINATION_LOG_VARIABLE, WorkerConfig, WorkerResult

VARIABLE = "FABULA_VLLM"
CHECKOUT = Path(__file__).parents[2]
PACKAGES = ("crds", "kube", "operator", "workloads", "quickstart")


def vllm_folder() -> Path | None:
    """The folder that FABULA_VLLM names; None where there is none."""
    named = os.environ.get(VARIABLE)
    return Path(named) if named and (Path(named) / "bin/python").exists() else None


def environment(scratch: Path) -> dict[str, str]:
    """Variables with which its Python finds this checkout's packages, and the recipes that they bring."""
    site = next((CHECKOUT / ".venv").glob("lib/python*/site-packages"))
    known = scratch / "metadata"
    known.mkdir(exist_ok=True)
    for metadata in site.glob("fabula-*.dist-info"):
        if not (known / metadata.name).exists():
            (known / metadata.name).symlink_to(metadata)
    paths = [known, *(CHECKOUT / name for name in PACKAGES)]
    folder = vllm_folder()
    assert folder is not None
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", CONFIG_VARIABLE)}
    return kept | {
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
        "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        # Else each of several workers wants a NUMA node of its own.
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    }


def run_stage(config: WorkerConfig, shard: int, scratch: Path) -> WorkerResult:
    """One shard of a stage as a pod of the vLLM image runs it; its last word."""
    folder = vllm_folder()
    assert folder is not None
    told = scratch / f"termination-{config.arm}-{shard}"
    given = {
        CONFIG_VARIABLE: config.model_dump_json(by_alias=True, exclude_none=True),
        SHARD_VARIABLE: str(shard),
        TERMINATION_LOG_VARIABLE: str(told),
        "FABULA_CACHE": str(scratch / "cache"),
    }
    ended = subprocess.run(
        [folder / "bin/python", "-m", "fabula_workloads.cli", config.stage],
        env=environment(scratch) | given, capture_output=True, text=True, check=False, timeout=1800,
    )  # fmt: skip
    if not told.exists():
        raise AssertionError(f"exit {ended.returncode}\n{ended.stdout[-4000:]}\n{ended.stderr[-4000:]}")
    result = WorkerResult.model_validate_json(told.read_bytes())
    assert result.outcome == "Succeeded", f"{result.failure}\n{ended.stdout[-3000:]}\n{ended.stderr[-3000:]}"
    return result


def run_python(text: str, scratch: Path) -> str:
    """Run a module of that text with vLLM's Python; what it printed. vLLM starts it again for each of its workers."""
    folder = vllm_folder()
    assert folder is not None
    module = scratch / "asked_of_vllm.py"
    module.write_text(text)
    ended = subprocess.run(
        [folder / "bin/python", module], env=environment(scratch), capture_output=True, text=True, check=False,
        timeout=1800,
    )  # fmt: skip
    told = f"{ended.stdout[-4000:]}\n{ended.stderr[-6000:]}"
    assert ended.returncode == 0, told
    return told


@contextmanager
def serving(arguments: Sequence[str], scratch: Path, key: str) -> Iterator[str]:
    """vLLM's server with these arguments on a port of its own, ready to answer whoever has the key; its address."""
    folder = vllm_folder()
    assert folder is not None
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (scratch / "serve.log").open("w") as log:
        process = subprocess.Popen(
            [
                # The package for CPUs has another name, which the command `vllm` does not find.
                folder / "bin/python", "-m", "vllm.entrypoints.openai.api_server", *arguments,
                "--port", str(port), "--host", "127.0.0.1", "--dtype", "float32", "--enforce-eager",
            ],
            env=environment(scratch) | {"VLLM_API_KEY": key}, stdout=log, stderr=log,
        )  # fmt: skip
        try:
            until(lambda: _healthy(process, port, scratch / "serve.log"), "vLLM's server answers", 1.0)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(120)


def _healthy(process: subprocess.Popen[bytes], port: int, log: Path) -> bool:
    assert process.poll() is None, log.read_text()[-4000:]
    try:
        with urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
            return True
    except (URLError, OSError):
        return False
