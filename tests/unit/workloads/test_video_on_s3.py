"""Videos that lie in a bucket, through the real stages: what is missing, what is denied, and what is cut off."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.cutting_proxy import CuttingProxy
from tests.support.drawn_video import draw_video
from tests.support.s3 import BUCKET, S3Server
from tests.support.stage_context import stage_context

from fabula_workloads.recipes.visual_instruction import assemble, decode, ingest
from fabula_workloads.runtime.context import StageResult
from fabula_workloads.runtime.failures import CredentialsRefused, TryAgain

LARGE, SMALL, GONE = "a.mp4", "b.mp4", "gone.mp4"
PADDING = 9 * 1024 * 1024
"""More than is fetched in one request."""
FOLDER = f"{BUCKET}/videos-of-a-team"


@pytest.fixture
def proxy(s3_environment: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CuttingProxy]:
    """The way to the bucket, with two videos in it and the annotations of three."""
    client = s3_environment.client()
    for name, box in ((LARGE, PADDING), (SMALL, 0)):
        draw_video(tmp_path / name, [(0, (220, 30, 30)), (1, (120, 120, 120))], seconds=3)
        # A box of an MP4 that says nothing.
        free = (box + 8).to_bytes(4, "big") + b"free" + bytes(box) if box else b""
        client.put_object(Bucket=BUCKET, Key=f"videos-of-a-team/{name}", Body=(tmp_path / name).read_bytes() + free)
    said = [{"from": "gpt", "value": "Hello!", "time": 0.5, "timespan": [0, 1]}]
    rows = [{"video": name, "proactive": True, "conversations": said} for name in (SMALL, LARGE, GONE)]
    client.put_object(Bucket=BUCKET, Key="videos-of-a-team/rows.json", Body=json.dumps(rows).encode())
    with CuttingProxy(s3_environment.endpoint) as found:
        monkeypatch.setenv("AWS_ENDPOINT_URL", found.endpoint)
        yield found


def spec() -> dict[str, Any]:
    source = {"name": "own", "annotations": f"s3://{FOLDER}/rows.json", "videos": f"s3://{FOLDER}", "task": "wake-up"}
    block = {"sources": [source], "split": {"validation": 0.5}, "frames": {"side": 32}}
    return {"recipe": "visual-instruction", "visualInstruction": block}


def build(root: Path) -> StageResult:
    """The stages, as often as it takes: what is finished stays."""
    read = ingest.run(stage_context(root, "DatasetBuild", "ingest", spec(), "ingest"))
    assert read.uri is not None
    inputs = {"ingest": read.uri.removeprefix(f"file://{root}/")}
    decode.run(stage_context(root, "DatasetBuild", "decode", spec(), "decode", inputs))
    inputs["decode"] = "decode"
    return assemble.run(stage_context(root, "DatasetBuild", "assemble", spec(), "dataset", inputs))


def test_a_download_that_is_cut_off_goes_on_and_a_missing_object_is_counted(
    proxy: CuttingProxy, tmp_path: Path
) -> None:
    proxy.cuts = {f"{FOLDER}/{LARGE}": 2, f"{FOLDER}/{SMALL}": 1}
    made = build(tmp_path)
    assert made.counts["sample/ok"] == 2
    assert made.counts["sample/skipped/NoVideo"] == 1
    assert set(proxy.cuts.values()) == {0}


def test_one_that_is_cut_off_again_and_again_is_named_and_the_next_start_fetches_only_what_is_left(
    proxy: CuttingProxy, tmp_path: Path
) -> None:
    proxy.cuts = {f"{FOLDER}/{SMALL}": 1000}
    with pytest.raises(TryAgain, match=f"s3://{FOLDER}/{SMALL}"):
        build(tmp_path)
    assert list(tmp_path.glob("scratch/*")) == [], "no half of it stays"
    proxy.cuts, proxy.asked = {}, []
    assert build(tmp_path).counts["sample/ok"] == 2
    assert f"{FOLDER}/{LARGE}" not in proxy.asked, "it was decoded before"


def test_one_that_is_denied_is_named_with_what_to_allow(proxy: CuttingProxy, tmp_path: Path) -> None:
    proxy.denied = {f"{FOLDER}/{SMALL}"}
    with pytest.raises(CredentialsRefused, match=f"s3://{FOLDER}/{SMALL}.*allow reading") as refused:
        build(tmp_path)
    assert refused.value.reason == "NoPermission"
