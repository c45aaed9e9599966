"""Copies of a process that has libraries loaded: each behaves as a process of its own, and none outlives who asked."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.copies import SCRIPT
from tests.support.patience import SECONDS, until
from tests.support.shared_libraries import NETWORKS

from fabula_api.worker import FORK_SERVERS_VARIABLE
from fabula_workloads.training.preloaded import ready
from fabula_workloads.training.preloaded.libraries import Libraries

MODULE = """
import os, signal, sys, time
LOADED_BY = os.getpid()
def main():
    word, *rest = sys.argv[1:]
    if word == "found": import more_of_it
    print(word, *rest, os.getcwd(), os.environ.get("MINE"), os.getpid() == LOADED_BY, flush=True)
    print(sys.stdin.readline(), end="", file=sys.stderr, flush=True)
    match word:
        case "code": return int(rest[0])
        case "exit": sys.exit(int(rest[0]))
        case "raise": raise ValueError("by the copy")
        case "signal": os.kill(os.getpid(), int(rest[0]))
        case "wait": time.sleep(3600)
        case "stop":
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda number, frame: print("told", number, flush=True) or sys.exit(75))
            print("listens", flush=True)
            signal.pause()
"""
SERVER = """
import socket, sys, served_module
from fabula_workloads.training.messages.process import die_with_parent
from fabula_workloads.training.preloaded.server import serve
die_with_parent()
serve(socket.socket(fileno=int(sys.argv[1])))
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Libraries, subprocess.Popen[bytes]]]:
    """A server that has loaded one small module."""
    folder = tmp_path_factory.mktemp("served")
    (folder / "served_module.py").write_text(MODULE)
    (folder / "deep" / ("x" * 120)).mkdir(parents=True)
    path = folder / "deep" / ("x" * 120) / "socket"
    with socket.socket(socket.AF_UNIX) as listener:
        descriptor = os.open(path.parent, os.O_PATH)
        listener.bind(f"/proc/self/fd/{descriptor}/socket")
        os.close(descriptor)
        listener.listen()
        server = subprocess.Popen(
            [sys.executable, "-c", SERVER, str(listener.fileno())],
            env=os.environ | {"PYTHONPATH": str(folder), "MINE": "the server's"},
            pass_fds=[listener.fileno()],
        )
    yield Libraries(path, server), server
    server.kill()
    server.wait()


def ask(libraries: Libraries, *words: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*libraries.command("test", "served_module"), *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd="/",
        env={"PATH": os.environ["PATH"], **environment},
    )


Served = tuple[Libraries, subprocess.Popen[bytes]]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("code", "0"), 0),
        (("code", "3"), 3),
        (("exit", "65"), 65),
        (("raise",), 1),
        (("signal", str(int(signal.SIGKILL))), -signal.SIGKILL),
        (("signal", str(int(signal.SIGABRT))), -signal.SIGABRT),
        (("signal", str(int(signal.SIGTERM))), -signal.SIGTERM),
    ],
)
def test_it_ends_as_its_copy_does(served: Served, words: tuple[str, ...], code: int) -> None:
    process = ask(served[0], *words, MINE="the client's")
    said, wrong = process.communicate("given\n", timeout=SECONDS)
    assert process.returncode == code
    # Streams, folder and environment are those of who asked, and the module was loaded before the copy was made.
    assert said == f"{' '.join(words)} / the client's False\n"
    assert wrong.startswith("given\n")
    assert ("ValueError: by the copy" in wrong) is (words == ("raise",))


def copies() -> dict[str, int]:
    """Running copies by the name that `top` shows."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            name, state = (process / "comm").read_text().strip(), (process / "stat").read_text().rpartition(")")[2]
        except OSError:
            continue
        if name.startswith("fabula-test") and state.split()[0] != "Z":
            found[name] = int(process.name)
    return found


def waiting(libraries: Libraries, rank: str) -> tuple[subprocess.Popen[str], int]:
    process = ask(libraries, "wait", RANK=rank)
    return process, until(lambda: copies().get(f"fabula-test-{rank}"), "the copy")


def test_a_copy_ends_with_the_process_that_stands_for_it(served: Served) -> None:
    process, _ = waiting(served[0], "7")
    other, copy = waiting(served[0], "8")
    process.kill()
    until(lambda: "fabula-test-7" not in copies(), "the end of the copy")
    assert "fabula-test-8" in copies()
    os.kill(copy, signal.SIGKILL)
    assert other.wait(SECONDS) == -signal.SIGKILL
    for one in (process, other):
        one.communicate()


def test_the_process_ends_with_its_parent(served: Served) -> None:
    """Also when the parent is killed without a word, as torchrun may be."""
    command = served[0].command("test", "served_module")
    start = "import os, subprocess, sys; subprocess.Popen(sys.argv[1:]); print(flush=True); sys.stdin.read()"
    environment = os.environ | {"RANK": "9"}
    parent = subprocess.Popen(
        [sys.executable, "-c", start, *command, "wait"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    )
    until(lambda: "fabula-test-9" in copies(), "the copy")
    parent.kill()
    parent.communicate()
    until(lambda: "fabula-test-9" not in copies(), "the end of the copy")


def test_a_copy_finds_what_its_own_path_names(served: Served, tmp_path: Path) -> None:
    (tmp_path / "more_of_it.py").touch()
    process = ask(served[0], "found", PYTHONPATH=f"{tmp_path}{os.pathsep}/nowhere")
    assert process.communicate("\n", timeout=SECONDS)[0].startswith("found"), process.returncode


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_ends_a_pod_orderly_reaches_the_copy(served: Served, number: signal.Signals) -> None:
    code = (
        "import signal, sys; from fabula_workloads.training.preloaded.client import stand_in; "
        "stand_in(sys.argv[1], 'test', 'served_module', ['stop'], passing_on=(signal.SIGTERM, signal.SIGINT))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(served[0].path)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    until(lambda: process.stdout.readline() == "listens\n", "the copy listens")
    process.send_signal(number)
    assert process.communicate(timeout=SECONDS)[0] == f"told {number:d}\n"
    assert process.returncode == 75


@pytest.mark.parametrize(
    ("words", "environment", "server"),
    [
        (["ingest"], {}, "stages"),
        (["infer"], {}, "cpu-none"),
        (["illustrate"], {}, "networks"),
        (["train"], {}, None),
        (["ingest", "--config", "file"], {}, None),
        (["resolve"], {"HF_ENDPOINT": "http://mirror"}, None),
        (["score"], {"PYTHONPATH": "/more"}, "networks"),
    ],
)
def test_a_pod_asks_for_a_copy_where_one_would_be_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], environment: dict[str, str], server: str | None
) -> None:
    asked: list[tuple[Any, ...]] = []
    monkeypatch.setattr(ready.client, "stand_in", lambda *given, **_: asked.append(given))
    given = {FORK_SERVERS_VARIABLE: str(tmp_path), **environment}
    ready.stand_in_if_ready(words, given)
    assert asked == [], "there is no server yet"
    for name in ("stages", "networks", "cpu-none"):
        (tmp_path / name).touch()
    ready.stand_in_if_ready(words, given)
    assert asked == ([] if server is None else [(str(tmp_path / server), words[0], "fabula_workloads.command", words)])
    ready.stand_in_if_ready(words, environment)
    assert len(asked) == (server is not None), "nothing was said of servers"


def test_all_end_with_the_server(served: Served) -> None:
    """The last test of this file."""
    process, _ = waiting(served[0], "5")
    served[1].kill()
    _, wrong = process.communicate(timeout=SECONDS)
    assert process.returncode == 1
    assert "the process that loads the libraries of served_module has ended" in wrong
    until(lambda: not copies(), "the end of every copy")
    assert served[0].end() == -signal.SIGKILL
    refused = ask(served[0], "code", "0")
    assert "cannot be asked for it" in refused.communicate("", timeout=SECONDS)[1]
    assert refused.returncode == 1


@pytest.mark.torch
def test_loading_starts_no_thread_and_touches_no_gpu() -> None:
    """A copy has neither; threads may hold locks that are then never released. For GPUs first, which load less."""
    code = (
        "import os, sys; from fabula_workloads.training.preloaded import server\n"
        "for cuda in (True, False):\n"
        "    server.load(cuda=cuda, quantized=False)\n"
        "    import torch; print(len(os.listdir('/proc/self/task')), torch.cuda.is_initialized(), "
        "*(sys.modules.get(name) is not None for name in ('bitsandbytes', 'transformers.trainer', 'deepspeed')))"
    )
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "4"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split("\n") == ["1 False False True False", "1 False False True True", ""], done.stderr


@pytest.mark.torch
def test_what_draws_and_scores_is_loaded_without_a_thread(product_libraries: Path) -> None:
    """The shared server itself is looked at, from one of its copies."""
    code = (
        "import os, sys, torch\n"
        "print(len(os.listdir(f'/proc/{os.getppid()}/task')), torch.cuda.is_initialized(), "
        "*(sys.modules.get(name) is not None for name in ('fabula_workloads.metrics.clip_model', 'scipy')))"
    )
    copy = Libraries(product_libraries / NETWORKS).command("test", SCRIPT)
    done = subprocess.run([*copy, code], env=os.environ, capture_output=True, text=True, check=True)
    assert done.stdout == "1 False True True\n", done.stderr
