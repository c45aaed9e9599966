"""Inputs that a spec names by their place: their digests are found out first, and decide the keys of what follows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.support.observations import NOW, complete, edited, launches, observed, reference, said, step

from fabula_api.externals import unresolved
from fabula_api.recipes import Kind, recipes
from fabula_api.specs import parse_spec
from fabula_operator.plan.lifecycle import plan
from fabula_operator.plan.seen.observed import Observed
from fabula_operator.render.launch import Launch

COMMIT = "commit:" + "1" * 40
FOUND = {"dataset": "sha256:" + "b" * 64, "model": COMMIT}
BY_PLACE: dict[Kind, dict[str, Any]] = {
    "DatasetBuild": {"images": {"provider": "diffusers", "model": {"uri": "models/sd3"}, "device": "cpu"}},
    "FineTuneRun": {"dataset": {"uri": "data/a"}, "model": {"name": "Qwen/Qwen3-VL-4B-Instruct"}},
    "EvalRun": {
        "arms": [
            {"name": "base", "model": {"uri": "m"}, "gpusPerShard": 0},
            {"name": "tuned", "model": {"uri": "m"}, "adapter": {"uri": "adapters/a"}, "gpusPerShard": 0},
        ],
        "clipModel": {"uri": "clip"},
        "gates": [],
    },
}
WANTED = {
    "DatasetBuild": ["imageModel"],
    "FineTuneRun": ["dataset", "model"],
    "EvalRun": ["model/base", "model/tuned", "adapter/tuned", "clipModel"],
}


def digests_of(kind: Kind, spec: dict[str, Any], changed: str | None = None) -> dict[str, str]:
    """What `resolve` finds; the content of one input may have changed."""
    parsed = parse_spec(kind, observed(kind, spec).run.spec)
    return {one.name: "sha256:" + ("e" if one.name == changed else "b") * 64 for one in unresolved(parsed)}


def resolved(seen: Observed, digests: dict[str, str]) -> Observed:
    """The run after its `resolve` said so."""
    seen, made = step(seen)
    assert "resolve" in [launch.stage for launch in launches(made)]
    return seen_with(seen, digests)


def seen_with(seen: Observed, digests: dict[str, str]) -> Observed:
    (child,) = [one for one in seen.children if one.stage == "resolve"]
    pods = [
        replace(pod, phase="Succeeded", exit_code=0, termination_message=said(digests=digests), finished_at=NOW)
        if pod.owner_uid == child.uid
        else pod
        for pod in seen.pods
    ]
    children = [replace(one, complete=True, finished_at=NOW) if one is child else one for one in seen.children]
    return replace(seen, children=tuple(children), pods=tuple(pods))


def outputs(kind: Kind, changed: str | None = None) -> dict[str, Launch]:
    """All launches of a whole life, by stage and arm."""
    seen = resolved(observed(kind, BY_PLACE[kind]), digests_of(kind, BY_PLACE[kind], changed))
    found: dict[str, Launch] = {}
    for _ in range(8):
        seen, made = step(seen)
        found |= {f"{one.stage}/{one.arm}" if one.arm else one.stage: one for one in launches(made)}
        # A ledger has no manifest, so its key is its digest.
        sharded = any(one.shape == "sharded" for one in launches(made))
        seen = complete(seen, **({"artifact": None} if sharded else {}))
    return found


@pytest.mark.parametrize("kind", list(BY_PLACE))
def test_what_is_named_by_its_place_is_looked_up_first(kind: Kind) -> None:
    spec = BY_PLACE[kind]
    assert list(digests_of(kind, spec)) == WANTED[kind]
    made = plan(observed(kind, spec), NOW)
    looked_up = {name.partition("/")[0] for name in WANTED[kind]}
    readers = {stage.name for stage in recipes()["podcast"].stages[kind] if looked_up & set(stage.external)}
    started = {launch.stage: launch for launch in launches(made)}
    assert "resolve" in started
    assert not readers & started.keys()
    assert started["resolve"].template.command == []


@pytest.mark.parametrize("kind", list(BY_PLACE))
def test_any_content_that_changes_changes_the_keys_of_those_that_read_it_and_no_other(kind: Kind) -> None:
    before = outputs(kind)
    readers = {
        "imageModel": {"illustrate"}, "dataset": {"train"}, "model": {"train"}, "model/base": {"infer/base", "score"},
        "model/tuned": {"infer/tuned", "score"}, "adapter/tuned": {"infer/tuned", "score"}, "clipModel": {"score"},
    }  # fmt: skip
    for name in WANTED[kind]:
        after = outputs(kind, changed=name)
        assert after.keys() == before.keys()
        other = {stage for stage in before if before[stage].key != after[stage].key}
        assert other - {"assemble"} == readers[name]
        assert {stage for stage in before if before[stage].output != after[stage].output} == other


def test_the_digests_are_in_the_status_and_every_reader_is_given_its_own() -> None:
    seen = resolved(observed("FineTuneRun", BY_PLACE["FineTuneRun"]), FOUND)
    seen, made = step(seen)
    (train,) = launches(made)
    assert [(one.name, one.uri, one.digest) for one in train.inputs] == [
        ("dataset", "file:///artifacts/data/a", "sha256:" + "b" * 64),
        ("model", "Qwen/Qwen3-VL-4B-Instruct", COMMIT),
    ]
    lineage = {entry.name: entry.digest for entry in seen.run.status.lineage}
    assert lineage == FOUND
    again, made = step(replace(seen, pods=(), children=tuple(one for one in seen.children if one.stage != "resolve")))
    assert launches(made) == [], "what was found is remembered, also when its Job is gone"
    assert again.run.status.stages[0].digests == FOUND


def test_a_digest_that_is_given_needs_no_look_and_makes_the_same_key() -> None:
    spec: dict[str, Any] = {"dataset": {"uri": "data/a"}, "model": {"uri": "m"}}
    looked = launches(step(resolved(observed("FineTuneRun", spec), digests_of("FineTuneRun", spec)))[1])
    digest = "sha256:" + "b" * 64
    given = {"dataset": {"uri": "data/a", "digest": digest}, "model": {"uri": "m", "digest": digest}}
    (train,) = launches(plan(observed("FineTuneRun", given), NOW))
    assert (train.stage, train.key) == ("train", looked[0].key)
    elsewhere = given | {"dataset": {"uri": "copies/a", "digest": digest}}
    assert launches(plan(observed("FineTuneRun", elsewhere), NOW))[0].key == train.key


def test_a_dataset_by_its_place_and_by_the_run_that_made_it_are_one_work() -> None:
    by_ref = observed("FineTuneRun")
    made = reference("DatasetBuild")
    by_uri = observed("FineTuneRun", {"dataset": {"uri": made.uri, "digest": made.digest}})
    assert launches(plan(by_ref, NOW))[0].output == launches(plan(by_uri, NOW))[0].output


def test_a_commit_of_the_hub_is_taken_as_it_is_and_a_branch_is_looked_up() -> None:
    def first(revision: str | None) -> str:
        spec = {"model": {"name": "Qwen/Qwen3-VL-4B-Instruct", "revision": revision}}
        return launches(plan(observed("FineTuneRun", spec), NOW))[0].stage

    assert [first(one) for one in ("1" * 40, "main", None)] == ["train", "resolve", "resolve"]


def test_a_look_that_tells_less_than_was_asked_ends_the_run() -> None:
    seen = resolved(observed("FineTuneRun", BY_PLACE["FineTuneRun"]), {"model": COMMIT})
    seen, made = step(seen)
    assert launches(made) == []
    assert made.status is not None
    assert made.status.reason == "ResultUnreadable"
    assert "dataset" in (made.status.failure.message if made.status.failure else "")


def test_an_edit_to_another_place_is_looked_up_anew() -> None:
    seen = resolved(observed("FineTuneRun", BY_PLACE["FineTuneRun"]), FOUND)
    seen = edited(step(seen)[0], dataset={"uri": "data/b"})
    made = plan(seen, NOW)
    assert "resolve" in [launch.stage for launch in launches(made)]
    assert "train" not in [launch.stage for launch in launches(made)]


def test_the_look_has_the_run_s_environment_but_not_its_image_or_command() -> None:
    template = {"image": "own", "command": ["run"], "env": {"HF_ENDPOINT": "https://hub.test"}}
    seen = observed("FineTuneRun", {"dataset": {"uri": "data/a"}, "template": template})
    (resolve,) = launches(plan(seen, NOW))
    assert (resolve.stage, resolve.template.image, resolve.template.command) == ("resolve", None, [])
    assert resolve.template.env == {"HF_ENDPOINT": "https://hub.test"}
