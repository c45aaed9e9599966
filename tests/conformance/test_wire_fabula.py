"""The platform's own kinds: accepted, established, their examples taken, and each mistake told by its field."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.conformance.conftest import DEFINITIONS, Kubectl, until_served
from tests.support.in_blocks import changed
from tests.support.wire import MERGE, TABLE, Object, Wire

from fabula_api.base import API_VERSION, GROUP
from fabula_api.columns import columns
from fabula_api.recipes import API_KINDS, Kind
from fabula_api.specs import parse_spec

pytestmark = pytest.mark.custom_resources

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "examples").rglob("*.yaml"))


@pytest.fixture(scope="module")
def definitions(wire: Wire) -> Iterator[dict[str, Object]]:
    """The three definitions as stored, served for the tests of this module; a cluster that has them keeps its own."""
    stored: dict[str, Object] = {}
    mine = []
    for path in sorted((ROOT / "crds").glob("fabula.dev_*.yaml")):
        wanted = yaml.safe_load(path.read_text())
        name = wanted["metadata"]["name"]
        if wire.call("GET", f"{DEFINITIONS}/{name}").status == 404:
            wire.ok("POST", DEFINITIONS, wanted)
            mine.append(name)
        until_served(wire, f"/apis/{API_VERSION}/{wanted['spec']['names']['plural']}")
        stored[wanted["spec"]["names"]["kind"]] = wire.ok("GET", f"{DEFINITIONS}/{name}")
    yield stored
    for name in mine:
        wire.call("DELETE", f"{DEFINITIONS}/{name}")


def runs(namespace: str, kind: str) -> str:
    """Path of the namespace's runs of a kind."""
    return f"/apis/{API_VERSION}/namespaces/{namespace}/{API_KINDS[kind].plural}"  # type: ignore[index]


SPECS: dict[Kind, Object] = {
    "DatasetBuild": {"podcast": {"source": {"uri": "episodes"}}},
    "FineTuneRun": {"dataset": {"ref": "d"}, "model": {"name": "m"}},
    "EvalRun": {"samples": {"uri": "vist"}, "arms": [{"name": "base", "model": {"name": "m"}}]},
}


def run(kind: Kind, **spec: Any) -> Object:
    """A run of the kind, complete but for what is given."""
    name = f"r-{uuid.uuid4().hex[:8]}"
    body = {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}}
    whole = changed(kind, SPECS[kind], spec)
    if whole.get("podcast", {}).get("source", ...) is None:
        whole["podcast"] = {}
    return {**body, "spec": {key: value for key, value in whole.items() if value is not None}}


@pytest.mark.parametrize("kind", API_KINDS)
def test_the_definition_is_established(definitions: dict[str, Object], kind: Kind) -> None:
    conditions = {one["type"]: one["status"] for one in definitions[kind]["status"]["conditions"]}
    assert (conditions["NamesAccepted"], conditions["Established"]) == ("True", "True")
    assert "NonStructuralSchema" not in conditions


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: str(path.relative_to(ROOT / "examples")))
def test_every_example_is_accepted(wire: Wire, definitions: object, namespace: str, path: Path) -> None:
    for document in yaml.safe_load_all(path.read_text()):
        if document["apiVersion"] == API_VERSION:
            document["metadata"].pop("namespace", None)
            made = wire.ok("POST", runs(namespace, document["kind"]), document, fieldValidation="Strict")
            assert made["spec"]["recipe"]


SPARE: list[Object] = [
    {
        "kind": "EvalRun",
        "spec": {
            **SPECS["EvalRun"],
            "judges": [{"name": "one", "model": "m"}],
            "rubrics": [{"name": "r", "task": "t", "scale": {}, "criteria": [{"name": "c", "about": "a"}]}],
            "gates": [{"metric": "words", "arm": "base", "min": 1}],
            "metrics": ["words"],
            "scheduling": {"tolerations": [{"key": "spot"}]},
        },
    },
    {
        "kind": "DatasetBuild",
        "spec": {
            "recipe": "visual-instruction",
            "visualInstruction": {"sources": [{"name": "s", "annotations": "a.json", "videos": "v"}]},
        },
    },
]
"""Runs whose lists have entries that say no more than they must."""


def applied() -> list[Object]:
    """Every example and what is spare, each under a name of its own."""
    examples = [one for path in EXAMPLES for one in yaml.safe_load_all(path.read_text())]
    documents = [one for one in examples if one["apiVersion"] == API_VERSION]
    documents += [{"apiVersion": API_VERSION, "metadata": {"name": "spare"}, **one} for one in SPARE]
    for number, document in enumerate(documents):
        document["metadata"] = {"name": f"{document['metadata']['name']}-{number}"}
    return documents


def changes(stored: Any, given: Any, path: str = "") -> list[str]:
    """Where a merge patch (RFC 7386) of what was given would change what is stored: what kubectl sees as configured."""
    if not isinstance(given, dict) or not isinstance(stored, dict):
        return [] if stored == given else [path]
    return [one for key, value in given.items() for one in changes(stored.get(key), value, f"{path}.{key}")]


def test_what_is_stored_says_what_the_file_says(wire: Wire, definitions: object, namespace: str) -> None:
    """What the server fills into an entry of a list would stand in no file, and differ from it for ever."""
    for document in applied():
        made = wire.ok("POST", runs(namespace, document["kind"]), document, fieldValidation="Strict")
        assert changes(made["spec"], document["spec"]) == [], document["metadata"]["name"]


def test_a_second_apply_changes_nothing(kubectl: Kubectl, wire: Wire, definitions: object, namespace: str) -> None:
    if wire.call("GET", "/api").status == 404:
        pytest.skip("kubectl takes nothing to a server without core kinds")
    documents = applied()
    text = yaml.safe_dump_all(documents)
    made = kubectl("apply", "-n", namespace, "-f", "-", given=text).stdout.splitlines()
    assert [line for line in made if not line.endswith(" created")] == []
    assert len(made) == len(documents)
    again = kubectl("apply", "-n", namespace, "-f", "-", given=text).stdout.splitlines()
    assert [line for line in again if not line.endswith(" unchanged")] == []
    assert len(again) == len(documents)


@pytest.mark.parametrize("kind", API_KINDS)
def test_what_is_left_out_gets_the_model_s_defaults(
    wire: Wire, definitions: object, namespace: str, kind: Kind
) -> None:
    made = wire.ok("POST", runs(namespace, kind), run(kind))
    whole = parse_spec(kind, SPECS[kind]).model_dump(mode="json", by_alias=True, exclude_none=True)
    # Which metrics a recipe has by default is known to its models alone; the server keeps that none are named.
    own = {"metrics": [], "arms": SPECS["EvalRun"]["arms"]} if kind == "EvalRun" else {}
    assert made["spec"] == whole | own, "and entries of lists stay as they were written"


@pytest.mark.parametrize(
    ("kind", "spec", "field"),
    [
        ("DatasetBuild", {"source": None}, "spec.podcast.source"),
        ("DatasetBuild", {"source": {}}, "spec.podcast.source.uri"),
        ("DatasetBuild", {"source": {"uri": "x", "format": "csv"}}, "spec.podcast.source.format"),
        ("DatasetBuild", {"extraction": {"words": {"min": 1000}}}, "spec.podcast.extraction.words"),
        ("DatasetBuild", {"extraction": {"workers": 0}}, "spec.podcast.extraction.workers"),
        ("DatasetBuild", {"extraction": {"workers": "two"}}, "spec.podcast.extraction.workers"),
        ("DatasetBuild", {"images": {"require": 6}}, "spec.podcast.images.require"),
        ("DatasetBuild", {"images": {"aspectRatio": "4:3"}}, "spec.podcast.images.aspectRatio"),
        ("DatasetBuild", {"images": {"width": 640}}, "spec.podcast.images"),
        ("DatasetBuild", {"images": {"provider": "diffusers", "width": 650}}, "spec.podcast.images.width"),
        ("DatasetBuild", {"images": {"model": {"revision": "main", "uri": "m"}}}, "spec.podcast.images.model"),
        ("DatasetBuild", {"deadline": "soon"}, "spec.deadline"),
        ("FineTuneRun", {"dataset": {"ref": "d", "uri": "d"}}, "spec.dataset"),
        ("FineTuneRun", {"model": {}}, "spec.model"),
        ("FineTuneRun", {"training": {"method": "full"}, "lora": {"rank": 8}}, "spec.lora"),
        ("FineTuneRun", {"training": {"learningRate": 0}}, "spec.training.learningRate"),
        ("FineTuneRun", {"deepspeed": {"stage": 2, "offload": "all"}}, "spec.deepspeed.offload"),
        ("FineTuneRun", {"pixels": {"maxPixels": 2000}}, "spec.pixels"),
        ("FineTuneRun", {"template": {"args": ["--fast"]}}, "spec.template"),
        (
            "FineTuneRun",
            {"topology": {"requiredDomain": "rack", "preferredDomain": "zone"}},
            "spec.topology",
        ),
        ("EvalRun", {"arms": []}, "spec.arms"),
        ("EvalRun", {"baseline": "other"}, "spec.baseline"),
        ("EvalRun", {"gates": [{"metric": "turns", "arm": "base"}]}, "spec.gates[0]"),
        ("EvalRun", {"gates": [{"metric": "turns", "arm": "other", "min": 1}]}, "spec.gates"),
        ("EvalRun", {"metrics": ["humour"]}, "spec.metrics[0]"),
        ("EvalRun", {"generation": {"topP": 0}}, "spec.generation.topP"),
    ],
)
def test_a_mistake_is_told_by_its_field(
    wire: Wire, definitions: object, namespace: str, kind: Kind, spec: Object, field: str
) -> None:
    refused = wire.call("POST", runs(namespace, kind), run(kind, **spec))
    assert (refused.status, refused.body["reason"]) == (422, "Invalid"), refused.text
    assert refused.body["details"]["group"] == GROUP
    assert field in [cause["field"] for cause in refused.body["details"]["causes"]], refused.text


@pytest.mark.parametrize("kind", API_KINDS)
def test_a_run_at_work_keeps_what_its_output_depends_on(
    wire: Wire, definitions: object, namespace: str, kind: Kind
) -> None:
    made = wire.ok("POST", runs(namespace, kind), run(kind))
    path = f"{runs(namespace, kind)}/{made['metadata']['name']}"
    elsewhere = {"spec": {"output": {"uri": "elsewhere"}}}
    wire.ok("PATCH", path, elsewhere, media=MERGE)
    started = wire.ok("PATCH", f"{path}/status", {"status": {"state": "Running"}}, media=MERGE)
    assert started["metadata"]["generation"] == 2
    wire.ok("PATCH", path, {"spec": {"suspend": True}}, media=MERGE)
    refused = wire.call("PATCH", path, {"spec": {"output": {"uri": "third"}}}, media=MERGE)
    assert refused.status == 422
    message = f"Forbidden: output cannot change once the run has started; make a new {kind}"
    cause = {"field": "spec.output", "message": message, "reason": "FieldValueForbidden"}
    assert refused.body["details"]["causes"] == [cause]


@pytest.mark.parametrize("kind", API_KINDS)
def test_columns(wire: Wire, definitions: object, namespace: str, kind: Kind) -> None:
    made = wire.ok("POST", runs(namespace, kind), run(kind))
    path = runs(namespace, kind)
    state = {"status": {"state": "Pending", "reason": "Queued", "progress": {"summary": "extract 1/2"}}}
    wire.ok("PATCH", f"{path}/{made['metadata']['name']}/status", state, media=MERGE)
    table = wire.ok("GET", path, accept=TABLE)
    assert [one["name"] for one in table["columnDefinitions"]] == ["Name", *(one["name"] for one in columns(kind))]
    cells = dict(zip([one["name"] for one in table["columnDefinitions"]], table["rows"][0]["cells"], strict=True))
    assert (cells["State"], cells["Progress"], cells["Reason"]) == ("Pending", "extract 1/2", "Queued")
