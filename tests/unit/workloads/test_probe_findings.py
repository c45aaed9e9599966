"""What a pod finds when it tries its surroundings: each finding says whether it is as Fabula takes it to be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.support.bedrock import Bedrock, run_bedrock
from tests.support.patience import SECONDS

from fabula_api.probe import ProbeReport
from fabula_workloads.probe import gpus, provider
from fabula_workloads.probe.surroundings import judge_store
from fabula_workloads.runtime.file_store import FileStore

A100, H200 = "NVIDIA-A100-SXM4-80GB", "NVIDIA-H200"
CARD = gpus.Card("NVIDIA A100-SXM4-80GB", 79.3, True, 240)


def seen(**changed: Any) -> gpus.Seen:
    return gpus.Seen(**{"torch": "2.13.0", "cuda": "13.0", "cards": (CARD,), **changed})


@pytest.mark.parametrize(
    ("what", "product", "states", "words"),
    [
        (seen(), A100, ["OK", "OK", "OK"], "79.3 GiB, 240 TFLOP/s in bf16, as preflight reckons"),
        (seen(cuda=None), A100, ["MISSING"], "is a build for CPUs: images.gpu"),
        (seen(cards=(), problem="driver too old"), A100, ["MISSING"], "driver too old. A driver older than 580"),
        (seen(cards=(CARD, CARD)), A100, ["DIFFERS", "OK", "OK"], "2 of 1 that were asked for"),
        (seen(), H200, ["OK", "DIFFERS", "OK"], "preflight reckons with 140.4 GiB for NVIDIA-H200"),
        (seen(), "Voodoo", ["OK", "NOTE", "OK"], "preflight does not know Voodoo"),
        (seen(), None, ["OK", "NOTE", "OK"], "does not know a node without label"),
        (
            seen(cards=(gpus.Card("NVIDIA A100-SXM4-80GB", 79.3, True, 40),)), A100, ["OK", "DIFFERS", "OK"],
            "far below the 312 of its data sheet",
        ),
        (seen(cards=(gpus.Card("T4", 15, False, 20),)), "Tesla-T4", ["OK", "DIFFERS", "OK"], "precision: fp32"),
        (seen(compiles="no gcc"), A100, ["OK", "OK", "DIFFERS"], "no kernel can be compiled (no gcc)"),
    ],
)  # fmt: skip
def test_gpus_are_held_to_what_preflight_reckons_with(
    what: gpus.Seen, product: str | None, states: list[str], words: str
) -> None:
    found = gpus.judge(what, 1, product)
    assert [one.state for one in found] == states
    assert words in " ".join(one.said for one in found)


class Careless(FileStore):
    """A store whose server ignores the condition of a write, as some that speak S3 do."""

    def write_if_absent(self, path: str, data: bytes) -> bool:
        self.write(path, data)
        return True


def test_a_store_that_commits_twice_is_told(tmp_path: Path) -> None:
    assert judge_store(FileStore(tmp_path.as_uri()), "here").state == "OK"
    found = judge_store(Careless(tmp_path.as_uri()), "here")
    assert (found.state, "two pods could commit one artifact" in found.said) == ("DIFFERS", True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("usage", "request_id", "words"),
    [
        ({"inputTokens": 9, "outputTokens": 2}, "r", "9 + 2 tokens"),
        ({"inputTokens": 9}, "r", "without usage.outputTokens: neither quota nor budget"),
        ({"inputTokens": 9, "outputTokens": 99}, "r", "99 tokens where 16 were allowed"),
        ({"inputTokens": 9, "outputTokens": 2}, "", "without a request id"),
    ],
)
def test_a_reply_is_held_to_what_accounts_count_on(usage: dict[str, int], request_id: str, words: str) -> None:
    found = provider.judge("model", {"usage": usage}, request_id, 1.0)
    assert words in found.said
    assert found.state == ("OK" if "9 + 2" in found.said else "DIFFERS")


def probed(folder: Path, environment: dict[str, str], *arguments: str) -> dict[str, tuple[str, str]]:
    """`fabula-probe` as a pod runs it; state and words by what they are about."""
    word = folder / "last-word"
    command = [sys.executable, "-m", "fabula_workloads.probe.command", "--root", (folder / "root").as_uri()]
    done = subprocess.run(
        [*command, "--folder", "team", *arguments], capture_output=True, text=True, timeout=SECONDS, check=False,
        env={**os.environ, "FABULA_TERMINATION_LOG": str(word), "HF_ENDPOINT": "http://127.0.0.1:9", **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(word.read_bytes()) <= 4096
    return {one.about: (one.state, one.said) for one in ProbeReport.model_validate_json(word.read_text()).findings}


def test_a_pod_tries_its_surroundings_and_bedrock(tmp_path: Path) -> None:
    """The real client on the wire; the cache cannot be written, and credentials of nobody are refused."""
    (tmp_path / "cache").write_text("a file in its place")
    asked = ("--bedrock-model", "global.anthropic.claude-sonnet-4-5-20250929-v1:0", "--bedrock-region", "us-west-2")
    with run_bedrock(Bedrock()) as bedrock:
        cache = {"FABULA_MODEL_CACHE": str(tmp_path / "cache")}
        found = probed(tmp_path, bedrock.environment() | cache, *asked, "--bedrock-endpoint", bedrock.endpoint)
        paid = len(bedrock.bill.paid)
    assert {about: state for about, (state, _) in found.items()} == {
        "scratch": "OK", "store": "OK", "status server": "NOTE", "model cache": "MISSING", "Hub": "NOTE",
        "Bedrock": "OK",
    }, found  # fmt: skip
    assert paid == 1
    assert json.dumps(found).count("HF_TOKEN") == 0
