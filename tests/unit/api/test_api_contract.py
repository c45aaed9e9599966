"""Config, result, digests and durations: what operator and workers tell each other."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fabula_api.artifact import Part, artifact_digest, canonical_json, digest_of
from fabula_api.base import duration_seconds
from fabula_api.dataset_build import DatasetBuildSpec
from fabula_api.eval_run import EvalRunSpec
from fabula_api.fine_tune_run import FineTuneRunSpec
from fabula_api.outside import read_outside
from fabula_api.shared_spec import Resources
from fabula_api.status import FailureDigest, StageStatus
from fabula_api.worker import TERMINATION_LIMIT, ProgressBody, WorkerConfig, WorkerResult, packed

ROOT = Path(__file__).parents[3]
KEY = "sha256:" + "0" * 64


def config(**changes: object) -> dict[str, object]:
    base: dict[str, object] = {
        "run": {"kind": "DatasetBuild", "namespace": "default", "name": "a", "uid": "u"},
        "stage": "ingest",
        "root": "file:///store",
        "output": "file:///store/default/datasetbuild/ingest/0",
        "key": KEY,
        "spec": {"podcast": {"source": {"uri": "episodes.jsonl.gz"}}},
    }
    return {**base, **changes}


def test_the_spec_is_parsed_as_the_run_s_kind() -> None:
    assert isinstance(WorkerConfig.model_validate(config()).spec, DatasetBuildSpec)
    arms = {"samples": {"uri": "s"}, "arms": [{"name": "base", "model": {"uri": "m"}}]}
    run = {"kind": "EvalRun", "namespace": "default", "name": "a", "uid": "u"}
    assert isinstance(WorkerConfig.model_validate(config(run=run, spec=arms)).spec, EvalRunSpec)


def test_a_config_survives_the_wire() -> None:
    parsed = WorkerConfig.model_validate(config())
    again = WorkerConfig.model_validate_json(parsed.model_dump_json(by_alias=True, exclude_none=True))
    assert again == parsed


def test_a_wrong_spec_names_the_field() -> None:
    with pytest.raises(ValidationError) as caught:
        WorkerConfig.model_validate(config(spec={"podcast": {"source": {}}}))
    assert "podcast.source.uri" in str(caught.value)


def test_an_unknown_input_says_what_there_is() -> None:
    parsed = WorkerConfig.model_validate(config(inputs=[{"name": "dataset", "uri": "u", "digest": "d"}]))
    assert parsed.input("dataset").uri == "u"
    with pytest.raises(KeyError, match="dataset"):
        parsed.input("adapter")


@given(
    message=st.text(max_size=4000),
    tail=st.lists(st.text(max_size=2048), max_size=20),
    counts=st.dictionaries(st.sampled_from(["image/ok", "image/failed", "sample/ok"]), st.floats(0, 1e6)),
)
def test_a_result_always_fits_a_termination_message(message: str, tail: list[str], counts: dict[str, float]) -> None:
    failure = FailureDigest(reason="Crash", message=message, log_tail=tail)
    data = WorkerResult(outcome="Failed", failure=failure, counts=counts).encode()
    assert len(data) <= TERMINATION_LIMIT
    back = WorkerResult.model_validate_json(data)
    assert back.outcome == "Failed"
    assert back.counts == counts
    assert back.failure is not None
    assert back.failure.reason == "Crash"


def test_the_end_of_a_log_is_kept_rather_than_its_start() -> None:
    tail = [f"line {number} " + "x" * 400 for number in range(20)]
    data = WorkerResult(outcome="Failed", failure=FailureDigest(reason="R", message="m", log_tail=tail)).encode()
    kept = json.loads(data)["failure"]["logTail"]
    assert kept == tail[-len(kept) :]
    assert 0 < len(kept) < 20


def test_a_result_that_cannot_be_shortened_is_an_error_and_not_cut_in_half() -> None:
    with pytest.raises(ValueError, match="4096"):
        WorkerResult(outcome="Succeeded", counts={f"{index:0190}": 1 for index in range(30)}).encode()


def test_a_summary_that_is_too_long_is_packed_and_read_back() -> None:
    rows = [{"name": f"metric-{index}", "mean": index * 0.7123, "low": None} for index in range(120)]
    result = WorkerResult(outcome="Succeeded", summary={"arms": rows}, counts={"answer/ok": 50})
    written = result.encode()
    assert len(written) <= 4096 < len(result.model_dump_json())
    read = WorkerResult.model_validate(read_outside(written))
    assert read.summary.model_dump() == {"arms": rows}
    assert read.counts == {"answer/ok": 50}
    small = WorkerResult(outcome="Succeeded", summary={"arms": rows[:1]})
    assert b"packed" not in small.encode(), "what fits is left for people to read"


@pytest.mark.parametrize(
    "text", ["~", "not zlib", packed(b"[" * 10), packed(b" " * 200_000 + b"{}"), packed(b"{}")[:-3]]
)
def test_what_cannot_be_unpacked_is_no_result(text: str) -> None:
    with pytest.raises(ValueError):
        WorkerResult.model_validate({"outcome": "Succeeded", "packed": text})


def test_a_foreign_trainer_s_body_is_understood() -> None:
    body = ProgressBody.model_validate(
        {
            "trainerStatus": {
                "progressPercentage": 40,
                "estimatedRemainingSeconds": 12,
                "metrics": [{"name": "loss", "value": "1.25"}],
                "lastUpdatedTime": "2026-01-31T12:00:00+00:00",
            }
        }
    )
    assert body.fabula is None
    assert body.trainer_status.metrics[0].value == "1.25"


PARTS = st.lists(
    st.builds(
        Part, path=st.from_regex(r"[a-z0-9_]{1,20}", fullmatch=True), size=st.integers(0, 10), sha256=st.just("a" * 64)
    ),
    unique_by=lambda part: part.path,
)


@given(PARTS, st.randoms())
def test_an_artifact_s_digest_does_not_depend_on_the_order_of_its_parts(parts: list[Part], random: object) -> None:
    shuffled = list(parts)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert artifact_digest("dataset", parts) == artifact_digest("dataset", shuffled)


def test_an_artifact_s_digest_sees_kind_path_size_and_content() -> None:
    base = Part(path="a", size=1, sha256="a" * 64)
    others = [
        artifact_digest("adapter", [base]),
        artifact_digest("dataset", [base.replace(path="b")]),
        artifact_digest("dataset", [base.replace(size=2)]),
        artifact_digest("dataset", [base.replace(sha256="b" * 64)]),
    ]
    assert len({artifact_digest("dataset", [base]), *others}) == 5


def test_canonical_json_ignores_key_order_and_refuses_nan() -> None:
    assert canonical_json({"b": 1, "a": [1, "é"]}) == '{"a":[1,"é"],"b":1}'.encode()
    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1})
    with pytest.raises(ValueError, match="JSON"):
        digest_of({"a": float("nan")})


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("15m", 900), ("1h30m", 5400), ("2h5s", 7205)])
def test_durations(text: str, seconds: int) -> None:
    assert duration_seconds(text) == seconds


def test_how_ranks_cut_up_a_batch_does_not_decide_an_adapter() -> None:
    wire: dict[str, Any] = {"dataset": {"uri": "d"}, "model": {"name": "m"}}
    spec = FineTuneRunSpec.model_validate(wire)
    assert spec.global_batch_size == 32
    half = {
        "topology": {"gpusPerNode": 4},
        "training": {"gradientAccumulationSteps": 8, "loaderWorkers": 1, "keepLayers": 2},
    }
    assert FineTuneRunSpec.model_validate(wire | half).decisive_training == spec.decisive_training
    for training in (
        {"gradientAccumulationSteps": 2}, {"learningRate": 0.5}, {"packing": True}, {"method": "full"},
    ):  # fmt: skip
        other = FineTuneRunSpec.model_validate(wire | {"training": training})
        assert other.decisive_training != spec.decisive_training


def test_a_changed_copy_is_held_to_the_model_and_a_misspelt_field_is_refused_at_once() -> None:
    stage = StageStatus(name="train", state="Running", started_at="2026-01-01T00:00:00Z")
    assert stage.replace(state="Failed") == StageStatus(name="train", state="Failed", started_at="2026-01-01T00:00:00Z")
    with pytest.raises(TypeError, match="StageStatus has no field stat"):
        stage.replace(stat="Failed")
    with pytest.raises(ValidationError, match="state"):
        stage.replace(state="Broken")
    asked = Resources(limits={"cpu": "2"}).replace(requests={})
    assert asked.model_fields_set == {"limits", "requests"}


def test_no_copy_goes_past_the_model() -> None:
    parts = ("crds", "operator", "workloads", "localcluster", "quickstart", "charts")
    files = [file for part in parts for file in (ROOT / part).rglob("*.py")]
    assert len(files) > 200
    assert [str(file) for file in files if "model_copy(" in file.read_text()] == [], "use `replace`, which checks"
