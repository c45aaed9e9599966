"""Models that are larger than a pod's scratch disk may be are refused before a pod fetches them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.observations import NOW, condition, launches, observed, step
from tests.support.training_specs import A100, parsed

from fabula_api.recipes import Kind
from fabula_api.specs import Spec, parse_spec
from fabula_operator.plan.acceptance.disk import no_room
from fabula_operator.plan.lifecycle import plan
from fabula_operator.plan.seen.observed import Environment
from fabula_operator.render.worker_defaults import ModelCache, WorkerDefaults
from fabula_operator.settings import read

GIB = 2**30
B235 = "Qwen/Qwen3-VL-235B-A22B-Instruct"
USUAL = Environment("s3://bucket", scratch_bytes=200 * GIB)
CACHED = replace(USUAL, model_cache=True)


def evaluated(**arm: Any) -> Spec:
    arms = [{"name": "small", "model": {"name": "Qwen/Qwen3-VL-8B-Instruct"}}, {"name": "large", **arm}]
    return parse_spec("EvalRun", {"samples": {"uri": "s"}, "arms": arms})


@pytest.mark.parametrize(
    ("situation", "spec", "environment", "words"),
    [
        (
            "of the Hub, to each pod",
            parsed(B235, 3, 8, A100),
            USUAL,
            "spec.model: Qwen/Qwen3-VL-235B-A22B-Instruct takes 461 GiB, which each pod would fetch to its /scratch, "
            "where it may have 200: give workers a cache of models (workers.modelCache), raise workers.scratchLimit to "
            "461Gi or more, or name a mounted folder as uri",
        ),
        ("it comes to the cache", parsed(B235), CACHED, None),
        ("enough is allowed", parsed(B235), replace(USUAL, scratch_bytes=500 * GIB), None),
        ("nothing says how much", parsed(B235), replace(USUAL, scratch_bytes=None), None),
        ("it is small", parsed("Qwen3-VL-32B"), USUAL, None),
        ("its size is not known", parsed("some/model"), USUAL, None),
        (
            "a command of the user's own",
            parsed(B235, template={"image": "i", "command": ["train"]}),
            USUAL,
            None,
        ),
        ("an arm", evaluated(model={"name": B235}, gpusPerShard=8), USUAL, "spec.arms[large].model: Qwen/"),
        ("a folder of S3 in spite of a cache", evaluated(model={"uri": f"s3://models/{B235}"}), CACHED, "scratchLimit"),
        ("a mounted folder", evaluated(model={"uri": f"file:///models/{B235}"}), USUAL, None),
        (
            "a server has it",
            evaluated(engine="openai", model={"name": B235}, endpointUrl="https://here/v1"),
            USUAL,
            None,
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 40 else "",
)
def test_a_model_that_no_pod_may_hold_is_told(
    situation: str, spec: Spec, environment: Environment, words: str | None
) -> None:
    found = no_room(environment, spec)
    assert (found is None) is (words is None), found
    assert words is None or words in (found or "")


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("FineTuneRun", {"model": {"name": B235}, "lora": {"targetModules": ["q_proj"]}}),
        ("EvalRun", {"arms": [{"name": "a", "model": {"name": B235}}], "baseline": "a", "gates": []}),
    ],
)
def test_the_run_is_refused_before_any_pod(kind: Kind, spec: dict[str, Any]) -> None:
    seen = observed(kind, spec)
    made = plan(replace(seen, environment=replace(seen.environment, scratch_bytes=200.0 * GIB)), NOW)
    assert condition(made.status, "Accepted") == ("False", "DoesNotFit")
    assert launches(made) == []
    assert condition(plan(seen, NOW).status, "Accepted") == ("True", "Valid")


@pytest.mark.parametrize(
    "waived", [{"preflight": {"policy": "warn"}}, {"template": {"image": "i", "command": ["train"]}}]
)
def test_a_run_whose_author_answers_for_its_size_is_not_refused(waived: dict[str, Any]) -> None:
    spec = {"model": {"name": B235}, "lora": {"targetModules": ["q_proj"]}, **waived}
    seen = observed("FineTuneRun", spec)
    made = plan(replace(seen, environment=replace(seen.environment, scratch_bytes=200.0 * GIB)), NOW)
    assert condition(made.status, "Accepted")[0] == "True"


def test_a_run_that_has_begun_is_left_to_run() -> None:
    """An operator that is upgraded finds runs at work that it would not have begun."""
    seen, _ = step(
        observed("EvalRun", {"arms": [{"name": "a", "model": {"name": B235}}], "gates": [], "baseline": "a"})
    )
    assert seen.run.status.started_at is not None
    made = plan(replace(seen, environment=replace(seen.environment, scratch_bytes=1.0)), NOW)
    assert made.status is None or made.status.state != "Failed"


def test_where_no_file_says_what_workers_get_no_disk_is_reckoned_with(tmp_path: Path) -> None:
    """A laptop's node bounds no folder."""
    needed = ["--artifact-root", "file:///a", "--status-url", "https://x", "--tls-cert", "c", "--tls-key", "k"]
    assert read(needed, {}).scratch_bytes is None
    (tmp_path / "workers.yaml").write_text("scratchLimit: 1Ti\n")
    assert read([*needed, "--workers-file", str(tmp_path / "workers.yaml")], {}).scratch_bytes == 2**40


@pytest.mark.parametrize(
    ("defaults", "elsewhere"),
    [
        (WorkerDefaults(), False),
        (WorkerDefaults(model_cache=ModelCache(claim="models")), True),
        (WorkerDefaults(env={"HF_HOME": "/mnt/hub"}), True),
    ],
)
def test_a_variable_may_keep_models_elsewhere(defaults: WorkerDefaults, elsewhere: bool) -> None:
    assert defaults.hub_elsewhere is elsewhere
