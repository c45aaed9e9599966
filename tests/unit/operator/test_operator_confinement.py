"""Runs stay below their namespace's folder and what is shared, for every field that names a place, of every kind."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.support.observations import NOW, condition, observed, reference

from fabula_api.recipes import Kind
from fabula_operator.plan.lifecycle import plan
from fabula_operator.plan.seen.observed import Environment, Observed
from fabula_operator.settings import read

ROOT = "s3://bucket/root"
NEEDED = ["--artifact-root", ROOT, "--status-url", "https://x", "--tls-cert", "c", "--tls-key", "k"]
OWN = {
    "DatasetBuild": {
        "podcast": {"source": {"uri": "team/in.jsonl"}, "images": {"provider": "none"}}, "output": {"uri": "team/mine"},
    },
    "FineTuneRun": {"dataset": {"uri": "team/data"}, "model": {"uri": "shared/models/m"}},
    "EvalRun": {
        "samples": {"uri": f"{ROOT}/shared/vist"},
        "arms": [{"name": "base", "model": {"uri": "team/m"}, "adapter": {"uri": "team/a"}, "gpusPerShard": 0}],
        "gates": [],
    },
}  # fmt: skip
FOREIGN = (
    "other/data", "team2/data", f"{ROOT}/other/x", "s3://elsewhere/team/x", "s3://bucket/root", "file:///root/team/x",
    "sharedmodels/m",
)  # fmt: skip
FIELDS: list[tuple[Kind, str]] = [
    ("DatasetBuild", "podcast.source.uri"), ("DatasetBuild", "output.uri"), ("FineTuneRun", "dataset.uri"),
    ("FineTuneRun", "model.uri"), ("FineTuneRun", "output.uri"), ("EvalRun", "samples.uri"),
    ("EvalRun", "arms[0].model.uri"), ("EvalRun", "arms[0].adapter.uri"), ("EvalRun", "output.uri"),
]  # fmt: skip


def seen(kind: Kind, spec: dict[str, Any], shared: tuple[str, ...] | None = ("shared",)) -> Observed:
    return observed(kind, spec, environment=Environment(ROOT, shared=shared))


def with_field(spec: dict[str, Any], field: str, value: str) -> dict[str, Any]:
    made = {**spec}
    first, _, rest = field.partition(".")
    if first == "arms[0]":
        made["arms"] = [with_field(spec["arms"][0], rest, value)]
    elif rest:
        made[first] = with_field(spec.get(first) or {}, rest, value)
    else:
        made[first] = value
    return made


def accepted(one: Observed) -> tuple[str, str, str]:
    status = plan(one, NOW).status
    assert status is not None
    found = next(each for each in status.conditions if each.type == "Accepted")
    return found.status, found.reason, found.message


@pytest.mark.parametrize("kind", OWN)
def test_what_is_own_or_shared_is_accepted(kind: Kind) -> None:
    assert accepted(seen(kind, OWN[kind]))[0] == "True"


@pytest.mark.parametrize("place", FOREIGN)
@pytest.mark.parametrize(("kind", "field"), FIELDS)
def test_what_leads_out_of_the_namespace_is_refused_by_its_field(kind: Kind, field: str, place: str) -> None:
    status, reason, message = accepted(seen(kind, with_field(OWN[kind], field, place)))
    assert (status, reason) == ("False", "OutsideNamespace")
    assert message.startswith(f"spec.{field}: ")


@pytest.mark.parametrize(("kind", "field"), FIELDS)
def test_nothing_is_confined_where_the_operator_says_so(kind: Kind, field: str) -> None:
    assert accepted(seen(kind, with_field(OWN[kind], field, "other/data"), shared=None))[0] == "True"


def test_what_is_shared_is_read_only() -> None:
    _, reason, message = accepted(seen("FineTuneRun", {**OWN["FineTuneRun"], "output": {"uri": "shared/models/m"}}))
    assert (reason, "write below" in message) == ("OutsideNamespace", True)


@pytest.mark.parametrize("name", ["/artifacts/other/model", "../other/model", "./x", "a/b/c", "s3://b/c"])
def test_a_models_name_is_no_path(name: str) -> None:
    _, reason, message = accepted(seen("FineTuneRun", {**OWN["FineTuneRun"], "model": {"name": name}}))
    assert (reason, "spec.model.name" in message) == ("OutsideNamespace", True)


def test_a_run_that_names_another_ones_folder_as_its_own_lends_it_to_nobody() -> None:
    forged = reference("DatasetBuild", uri=f"{ROOT}/other/DatasetBuild/x")
    spec = {"dataset": {"ref": "data"}, "model": {"uri": "team/m"}}
    one = replace(seen("FineTuneRun", spec), references={("DatasetBuild", "data"): forged})
    assert condition(plan(one, NOW).status, "Accepted") == ("False", "OutsideNamespace")


@pytest.mark.parametrize(
    ("options", "shared"),
    [
        ([], ()),
        (["--shared-prefixes", "shared, s3://corpora/x"], ("shared", "s3://corpora/x")),
        (["--namespace", "team"], None),
        (["--namespace", "team", "--confine", "on"], ()),
        (["--confine", "off", "--shared-prefixes", "a"], None),
    ],
)
def test_runs_are_confined_where_the_whole_cluster_is_watched(options: list[str], shared: tuple[str, ...]) -> None:
    assert read([*NEEDED, *options], {}).shared == shared


@pytest.mark.parametrize("options", [["--confine", "maybe"], ["--shared-prefixes", "../up"]])
def test_a_boundary_that_is_none_is_refused(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read([*NEEDED, *options], {})
    assert options[0] in capsys.readouterr().err
