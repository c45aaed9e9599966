"""Where answers come from is kept beside them, once for all shards of an arm."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.support.stage_context import KEY, stage_context

from fabula_api.eval_run import EvalRunSpec
from fabula_api.status import Lineage
from fabula_workloads.runtime.artifact import commit
from fabula_workloads.runtime.failures import InputInvalid
from fabula_workloads.runtime.open_store import open_store
from fabula_workloads.stages.origins import ORIGIN, keep_origin, own_code, read_origins

SPEC = {
    "samples": {"uri": "s", "count": 1},
    "arms": [
        {"name": "base", "model": {"uri": "m"}},
        {"name": "tuned", "model": {"uri": "m"}, "adapter": {"uri": "adapter"}},
    ],
}
DATASET = "sha256:" + "d" * 64


def test_base_adapter_and_the_adapter_s_dataset_are_told_for_each_arm(tmp_path: Path) -> None:
    adapter = commit(
        open_store(f"file://{tmp_path}/adapter"),
        kind="adapter",
        key=KEY,
        parts=[],
        lineage=[Lineage(name="dataset", uri="file:///d", digest=DATASET)],
    )
    for arm, inputs in (("base", {}), ("tuned", {"adapter": "adapter"})):
        for shard in range(2):
            given = {"model": "m", "select": "chosen", **inputs}
            keep_origin(
                stage_context(
                    tmp_path,
                    "EvalRun",
                    "infer",
                    SPEC,
                    f"of-{arm}",
                    given,
                    arm=arm,
                    shard=shard,
                    shards=2,
                    digests={"model": KEY} | ({"adapter": adapter.digest} if inputs else {}),
                )
            )
    context = stage_context(
        tmp_path, "EvalRun", "score", SPEC, "score", {"infer/base": "of-base", "infer/tuned": "of-tuned"}
    )
    assert isinstance(context.config.spec, EvalRunSpec)
    found = read_origins(context, context.config.spec)
    told = {arm: {made.name: made.digest for made in origin.lineage} for arm, origin in found.items()}
    assert told == {
        "base": {"model": KEY},
        "tuned": {"model": KEY, "adapter": adapter.digest, "adapter/dataset": DATASET},
    }
    assert {origin.code for origin in found.values()} == {own_code()}

    (tmp_path / "of-base" / ORIGIN).unlink()
    assert set(read_origins(context, context.config.spec)) == {"tuned"}, "answers of before origins were kept"
    (tmp_path / "of-tuned" / ORIGIN).write_text(json.dumps({"lineage": 3}))
    with pytest.raises(InputInvalid, match=ORIGIN):
        read_origins(context, context.config.spec)
