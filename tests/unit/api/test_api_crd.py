"""The generated CRDs: structural, bounded, described, and in step with the models."""

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
from pydantic import BaseModel

from fabula_api.base import EACH, camel
from fabula_api.crd import crd, crds
from fabula_api.fields import field_at
from fabula_api.generate import outputs
from fabula_api.recipes import API_KINDS, Kind, block_of, recipes
from fabula_api.rules import fixed_fields
from fabula_api.specs import spec_type
from fabula_local.schema.cel import CelRules
from fabula_local.schema.crd import validate_crd
from fabula_local.schema.structural import prune, validate

ROOT = Path(__file__).resolve().parents[3]


def fields(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, field in schema.get("properties", {}).items():
        yield from fields(field, f"{path}.{name}")
    if "items" in schema:
        yield from fields(schema["items"], f"{path}[]")
    if isinstance(schema.get("additionalProperties"), dict):
        yield from fields(schema["additionalProperties"], f"{path}{{}}")


def schema_of(kind: Kind, part: str) -> dict[str, Any]:
    root = crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return dict(root["properties"][part])


@pytest.mark.parametrize("kind", API_KINDS)
@pytest.mark.parametrize("part", ["spec", "status"])
def test_every_field_is_typed_and_bounded(kind: Kind, part: str) -> None:
    for path, field in fields(schema_of(kind, part)):
        assert "type" in field, path
        assert "$ref" not in field and "anyOf" not in field and "title" not in field, path
        if field["type"] == "string" and "enum" not in field:
            assert "maxLength" in field, f"{path} has no maxLength: CEL would charge it as endless"
        if field["type"] == "array":
            assert "maxItems" in field, path
        if "additionalProperties" in field:
            assert "maxProperties" in field, path


def test_what_is_installed_tells_of_each_field_what_kubectl_explain_leaves_out() -> None:
    for definition in crds():
        spec = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
        for path, field in fields(spec):
            told = field.get("description", "")
            assert "\n" not in told, path
            if "properties" in field or not told:
                continue
            if field.get("default") not in (None, [], {}):
                assert "Default:" in told, path
            for bound in ("minimum", "maximum"):
                assert bound not in field or str(field[bound]) in told, path
    tuning = next(one for one in crds() if one["spec"]["names"]["kind"] == "FineTuneRun")
    lora = tuning["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["lora"]
    assert lora["properties"]["rank"]["description"].endswith("Default: `16`. At least 1, at most 512.")
    assert lora["properties"]["dropout"]["description"].endswith("Default: `0.05`. At least 0, below 1.")


@pytest.mark.parametrize("kind", API_KINDS)
@pytest.mark.parametrize("part", ["spec", "status"])
def test_every_field_explains_itself(kind: Kind, part: str) -> None:
    bare = [
        path
        for path, field in fields(schema_of(kind, part))
        if path and not path.endswith(("[]", "{}")) and not field.get("description")
    ]
    assert bare == []


@pytest.mark.parametrize("kind", API_KINDS)
def test_a_status_has_no_defaults(kind: Kind) -> None:
    assert [path for path, field in fields(schema_of(kind, "status")) if "default" in field] == []


@pytest.mark.parametrize("kind", API_KINDS)
def test_nested_blocks_default_so_that_their_fields_do(kind: Kind) -> None:
    spec = schema_of(kind, "spec")
    blocks = {camel(recipe.block) for recipe in recipes().values() if block_of(kind, recipe)}
    for name, field in spec["properties"].items():
        inner = field.get("properties", {})
        if inner and name not in {*spec.get("required", ()), *blocks} and any("default" in f for f in inner.values()):
            assert "default" in field, f"spec.{name} must default, or its fields never get theirs"


@pytest.mark.parametrize("kind", API_KINDS)
def test_no_entry_of_a_list_has_a_default(kind: Kind) -> None:
    """`kubectl apply` compares a list as a whole: an entry that the server adds to would differ from its file."""
    root = crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    assert [path for path, field in fields(root) if "[]" in path and "default" in field] == []


def entries(kind: Kind) -> Iterator[tuple[str, type[BaseModel]]]:
    """(path, model) of what the lists of a kind's specs hold."""
    for recipe in recipes():
        yield from entries_of(spec_type(kind, recipe), "", False)


def entries_of(model: type[BaseModel], path: str, entry: bool) -> Iterator[tuple[str, type[BaseModel]]]:
    if entry:
        yield path, model
    for name, field in model.model_fields.items():
        for one in (field.annotation, *get_args(field.annotation)):
            if isinstance(one, type) and issubclass(one, BaseModel):
                is_list = get_origin(field.annotation) is list
                yield from entries_of(one, f"{path}.{camel(name)}" + ("[]" if is_list else ""), entry or is_list)


@pytest.mark.parametrize("kind", API_KINDS)
def test_an_entry_tells_what_the_models_fill_in(kind: Kind) -> None:
    told = dict(fields(schema_of(kind, "spec")))
    for path, model in entries(kind):
        for name, field in model.model_fields.items():
            default = field.get_default(call_default_factory=True)
            if not field.is_required() and not isinstance(default, BaseModel) and default not in (None, [], {}):
                assert "Default:" in told[f"{path}.{camel(name)}"]["description"], f"{path}.{name}"


@pytest.mark.parametrize(
    ("kind", "field", "entry", "told"),
    [
        ("EvalRun", "judges", {"name": "j", "model": "m"}, []),
        ("EvalRun", "judges", {"name": "j", "model": "m", "provider": "openai"}, ["provider openai needs endpointUrl"]),
        ("EvalRun", "rubrics", {"name": "r", "task": "t", "scale": {}}, []),
        ("EvalRun", "rubrics", {"name": "r", "task": "t", "scale": {"max": 3}}, []),
        ("EvalRun", "rubrics", {"name": "r", "task": "t", "scale": {"min": 5}}, ["min must be less than max"]),
    ],
)
def test_the_rules_of_an_entry_know_its_defaults(kind: Kind, field: str, entry: Any, told: list[str]) -> None:
    schema = schema_of(kind, "spec")["properties"][field]
    holder = {"type": "object", "properties": {field: schema}}
    value = {field: [entry]}
    assert validate(value, holder) == []
    found = CelRules(holder).check(value, None)
    assert len(found) == len(told)
    assert all(said in one.message for said, one in zip(told, found, strict=True)), found


@pytest.mark.parametrize("kind", API_KINDS)
def test_no_rule_reads_what_an_entry_may_lack(kind: Kind) -> None:
    """A rule above a list, `self.judges.all(one, one.provider ...)`, has to ask `has(one.provider)` first."""
    models = dict(entries(kind))
    for path, schema in fields(schema_of(kind, "spec")):
        for rule in schema.get("x-kubernetes-validations", ()):
            over = re.findall(r"self\.(\w+)\.(?:all|exists|exists_one|map|filter)\((\w+),", rule["rule"])
            for field, variable in over:
                known = models[f"{path}.{field}[]"].model_fields if f"{path}.{field}[]" in models else {}
                optional = {camel(name) for name, one in known.items() if not one.is_required()}
                for name in optional & set(re.findall(rf"(?<!has\()\b{variable}\.(\w+)", rule["rule"])):
                    assert f"has({variable}.{name})" in rule["rule"], f"{path}: {rule['rule']}"


@pytest.mark.parametrize("kind", API_KINDS)
def test_no_null_means_something_else_than_nothing(kind: Kind) -> None:
    """A CRD's default takes the place of a null, so a field that has one could never be set to it."""
    for recipe in recipes():
        for path, model in [("", spec_type(kind, recipe)), *blocks_of(spec_type(kind, recipe), "")]:
            for name, field in model.model_fields.items():
                default = field.get_default(call_default_factory=True)
                if type(None) in get_args(field.annotation) and not field.is_required():
                    assert default is None, f"{path}.{name}: null would be {default}"


def blocks_of(model: type[BaseModel], path: str) -> Iterator[tuple[str, type[BaseModel]]]:
    for name, field in model.model_fields.items():
        for one in (field.annotation, *get_args(field.annotation)):
            if isinstance(one, type) and issubclass(one, BaseModel):
                yield f"{path}.{name}", one
                yield from blocks_of(one, f"{path}.{name}")


def defaults() -> Iterator[Any]:
    """Each default of each generated file, with the schema of its own place."""
    for kind in API_KINDS:
        definition = crd(kind)
        for version in definition["spec"]["versions"]:
            for where, field in fields(version["schema"]["openAPIV3Schema"]):
                if "default" in field:
                    yield pytest.param(field, id=f"{definition['spec']['names']['kind']}{where}")


@pytest.mark.parametrize("field", list(defaults()))
def test_a_default_keeps_its_own_rules_as_written(field: dict[str, Any]) -> None:
    """Kubernetes fills in nothing below a default before it checks it; one that breaks a rule refuses the whole CRD."""
    holder = {"type": "object", "properties": {"default": field}}
    value = {"default": field["default"]}
    assert prune(copy.deepcopy(value), holder) == []
    assert validate(value, holder) == []
    assert CelRules(holder).check(value, value, ratchet=False) == []


@pytest.mark.parametrize("kind", API_KINDS)
def test_a_block_s_default_fills_in_what_its_fields_would(kind: Kind) -> None:
    """A default that names its fields says what they say: a block that is left out equals one that is empty."""
    for path, field in fields(schema_of(kind, "spec")):
        if not isinstance(field.get("default"), dict) or "properties" not in field:
            continue
        for name, value in field["default"].items():
            if (own := field["properties"][name].get("default")) is not None:
                assert value == own, f"{path}.{name}"


@pytest.mark.parametrize("kind", API_KINDS)
def test_the_laptop_s_api_accepts_the_definition(kind: Kind) -> None:
    assert validate_crd(crd(kind)) == []


def test_the_paper_s_values_are_the_defaults() -> None:
    spec = schema_of("FineTuneRun", "spec")["properties"]
    training = {name: field.get("default") for name, field in spec["training"]["properties"].items()}
    assert (training["learningRate"], training["weightDecay"], training["warmupRatio"]) == (4e-6, 0.1, 0.1)
    assert (training["gradientAccumulationSteps"], training["maxGradNorm"], training["neftuneNoiseAlpha"]) == (
        4,
        0.3,
        5,
    )
    assert spec["lora"]["properties"]["rank"]["default"] == 16
    assert spec["lora"]["properties"]["alpha"]["default"] == 32
    assert spec["pixels"]["properties"]["maxPixels"]["default"] == 451_584


def test_exclusive_bounds_are_booleans_as_crds_want_them() -> None:
    rate = schema_of("FineTuneRun", "spec")["properties"]["training"]["properties"]["learningRate"]
    assert rate["minimum"] == 0
    assert rate["exclusiveMinimum"] is True


@pytest.mark.parametrize("kind", API_KINDS)
def test_fixed_fields_exist_in_the_spec(kind: Kind) -> None:
    known = {path.removeprefix(".") for path, _ in fields(schema_of(kind, "spec"))}
    assert {camel(path) for _, path in fixed_fields(kind)} <= known


@pytest.mark.parametrize("recipe", recipes())
@pytest.mark.parametrize("kind", API_KINDS)
def test_stages_read_fields_that_exist(recipe: str, kind: Kind) -> None:
    own = spec_type(kind, recipe)
    names = set()
    for stage in recipes()[recipe].stages.get(kind, ()):
        chosen = (stage.shards, stage.resources, stage.skip_unless[0] if stage.skip_unless else None)
        paths = [*stage.reads, *(path for path in chosen if path)]
        if stage.device not in ("cpu", "cuda"):
            paths.append(stage.device)
        for path in paths:
            if path.startswith(EACH):
                assert stage.for_each is not None
                path = f"{stage.for_each}.{path.removeprefix(EACH)}"
            known = isinstance(getattr(own, path, None), property) or field_at(own, path)
            assert known, f"{recipe} {kind} {stage.name}: no field {path}"
        assert set(stage.after) <= names, f"{stage.name} comes before a stage it reads"
        names.add(stage.name)


def test_generated_files_are_in_step_with_the_models() -> None:
    stale = [path for path, content in outputs().items() if (ROOT / path).read_text() != content]
    assert stale == [], "run `make generate`"


@pytest.mark.parametrize("kind", API_KINDS)
def test_no_field_has_a_name_that_yaml_takes_for_a_boolean(kind: Kind) -> None:
    """YAML 1.1, which Helm and kubectl read, takes a bare `n` or `on` for one, and the field is gone."""
    booleans = {"y", "n", "yes", "no", "on", "off", "true", "false"}
    names = {path.rpartition(".")[2] for part in ("spec", "status") for path, _ in fields(schema_of(kind, part))}
    assert not {name.lower() for name in names} & booleans
