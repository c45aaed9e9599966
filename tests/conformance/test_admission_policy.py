"""The admission policy, compiled and judged by Kubernetes' own CEL with `authorizer`: who may write which field."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.real_crd_server import ADMISSION, VARIABLE

from fabula_api.admission import PARAMETERS, RULES

POLICY = Path(__file__).parents[2] / "crds/admission-policy.yaml"
FOLDER = os.environ.get(VARIABLE)
needs_kubernetes = pytest.mark.skipif(
    not FOLDER or not (Path(FOLDER) / ADMISSION).exists(),
    reason=f"{VARIABLE} names no folder with the program that judges policies; `make real-crd-server` builds it",
)
PODS = "create /pods team/"
LISTS = {"endpoints": "https://bedrock.example\n https://vpce.example/base ", "priorityClasses": "batch\n\nlow"}


@dataclass(frozen=True)
class Row:
    """One field, a value, what its author has to have for it, and values that no right allows."""

    kind: str
    field: str
    value: Any
    rights: tuple[str, ...] = ()
    never: tuple[Any, ...] = ()


ROWS = (
    *(Row(kind, "secretRef", {"name": "aws"}, ("get /secrets team/aws",)) for kind in
      ("DatasetBuild", "FineTuneRun", "EvalRun")),
    Row("FineTuneRun", "serviceAccountName", "cloud", ("impersonate /serviceaccounts team/cloud",)),
    Row("EvalRun", "serviceAccountName", "cloud", ("use fabula.dev/serviceaccounts team/cloud",)),
    Row("FineTuneRun", "template.command", ["sh", "-c", "env"], (PODS,)),
    Row("FineTuneRun", "template.args", ["x"], (PODS,)),
    Row("FineTuneRun", "template.image", "evil", (PODS,)),
    Row("FineTuneRun", "template.env", {"PYTHONPATH": "/x"}, (PODS,)),
    *(Row("DatasetBuild", f"podcast.{block}.endpointUrl", url, never=(
        "http://bedrock.example", "https://bedrock.example.evil", "https://bedrock.example@evil/", "https://vpce.example",
        "https://evil", " https://bedrock.example", "",
    )) for block in ("extraction", "images") for url in ("https://bedrock.example", "https://vpce.example/base/x")),
    *(Row("EvalRun", f"{entries}[].endpointUrl", "https://bedrock.example", never=("https://evil", ""))
      for entries in ("arms", "judges")),
    *(Row(kind, "scheduling.priorityClassName", "batch", never=("system-node-critical", "bat", "")) for kind in
      ("DatasetBuild", "FineTuneRun", "EvalRun")),
)  # fmt: skip


def run(kind: str, field: str | None = None, value: Any = None, **spec: Any) -> dict[str, Any]:
    """A run with one field of its spec set."""
    made: dict[str, Any] = {"recipe": "podcast", **spec}
    if field is not None:
        *parents, last = field.split(".")
        at = made
        for part in parents:
            if part.endswith("[]"):
                at = at.setdefault(part.removesuffix("[]"), [{"name": "x"}])[0]
            else:
                at = at.setdefault(part, {})
        at[last] = value
    meta = {"name": "x", "namespace": "team"}
    return {"apiVersion": "fabula.dev/v1alpha1", "kind": kind, "metadata": meta, "spec": made}


def judged(writes: list[dict[str, Any]], lists: dict[str, str] | None = None) -> list[list[str]]:
    """The messages that refuse each write."""
    documents = list(yaml.safe_load_all(POLICY.read_text()))
    policy = next(one for one in documents if one["kind"] == "ValidatingAdmissionPolicy")
    config = next(one for one in documents if one["kind"] == "ConfigMap")
    question = {"policy": policy, "parameters": {**config, "data": LISTS if lists is None else lists}, "writes": writes}
    program = Path(str(FOLDER)) / ADMISSION
    done = subprocess.run([program], input=json.dumps(question), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    found: list[list[str]] = json.loads(done.stdout)
    return found


def field_of(messages: list[str]) -> list[str]:
    return [one.partition(":")[0] for one in messages]


def test_every_rule_has_a_row() -> None:
    assert {f"spec.{row.field}" for row in ROWS} == {rule.field for rule in RULES}


def test_the_binding_names_the_lists_and_the_policy_fails_closed() -> None:
    lists, policy, binding = yaml.safe_load_all(POLICY.read_text())
    assert lists["metadata"]["name"] == PARAMETERS == binding["spec"]["paramRef"]["name"]
    assert policy["spec"]["failurePolicy"] == "Fail"
    assert (binding["spec"]["policyName"], binding["spec"]["validationActions"]) == ("fabula-runs", ["Deny"])


@needs_kubernetes
def test_an_author_without_rights_may_write_runs_and_none_of_these_fields() -> None:
    writes = [{"object": run(row.kind, row.field, row.value)} for row in ROWS if row.rights]
    writes += [{"object": run(row.kind, row.field, value)} for row in ROWS for value in row.never]
    rows = [row for row in ROWS if row.rights] + [row for row in ROWS for _ in row.never]
    answers = judged([*writes, *({"object": run(kind)} for kind in ("DatasetBuild", "FineTuneRun", "EvalRun"))])
    assert [field_of(one) for one in answers] == [[f"spec.{row.field}"] for row in rows] + [[], [], []]


@needs_kubernetes
def test_with_the_right_or_on_the_list_it_is_written() -> None:
    rights = [{"object": run(row.kind, row.field, row.value), "rights": row.rights} for row in ROWS]
    assert judged(rights) == [[] for _ in ROWS]


@needs_kubernetes
def test_a_right_elsewhere_is_none() -> None:
    def moved(right: str) -> list[str]:
        return [right.replace(" team/", " other/"), right.replace("/aws", "/else"), right.replace("/cloud", "/else")]

    rows = [row for row in ROWS if row.rights]
    others = [
        [one for right in row.rights for one in moved(right) if one not in row.rights] + ["list /pods team/"]
        for row in rows
    ]
    answers = judged(
        [{"object": run(row.kind, row.field, row.value), "rights": one} for row, one in zip(rows, others, strict=True)]
    )
    assert [field_of(one) for one in answers] == [[f"spec.{row.field}"] for row in rows]


@needs_kubernetes
def test_who_changes_something_else_needs_no_right_for_what_stays() -> None:
    before = [run(row.kind, row.field, row.value) for row in ROWS]
    after = [run(row.kind, row.field, row.value, suspend=True) for row in ROWS]
    pairs = [{"object": new, "oldObject": old} for new, old in zip(after, before, strict=True)]
    assert judged(pairs, {"endpoints": "", "priorityClasses": ""}) == [[] for _ in ROWS]
    mine, other = ({"name": name} for name in ("aws", "other"))
    asked = run("FineTuneRun", "secretRef", other)
    changed = [
        {"object": asked, "oldObject": old} for old in (run("FineTuneRun", "secretRef", mine), run("FineTuneRun"))
    ]
    assert [field_of(one) for one in judged(changed)] == [["spec.secretRef"], ["spec.secretRef"]]


@needs_kubernetes
@pytest.mark.parametrize("lists", [{}, {"endpoints": ""}])
def test_nothing_is_listed_where_the_lists_are_empty(lists: dict[str, str]) -> None:
    rows = [row for row in ROWS if not row.rights]
    answers = judged([{"object": run(row.kind, row.field, row.value)} for row in rows], lists)
    assert [field_of(one) for one in answers] == [[f"spec.{row.field}"] for row in rows]
