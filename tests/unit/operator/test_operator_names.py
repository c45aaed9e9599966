"""Names and labels of what is made for a run: valid, short, and never those of another run's."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.support.launches import CASES, SETTINGS, templates

from fabula_operator.render import Launch, child_name, manifest, ranks_service
from fabula_operator.render.names import CHILD_NAME_LIMIT, label_value
from fabula_operator.render.ranks_service import service_name


@pytest.mark.parametrize("run", ["a", "a" * 63, "a.b.c", "x" * 200, "run-" * 20 + "z"])
@pytest.mark.parametrize("arm", [None, "base", "b" * 63])
def test_names_are_valid_short_and_differ(run: str, arm: str | None) -> None:
    names = {
        child_name(run, stage, arm, "sha256:" + key * 64, attempt)
        for stage in ("infer", "illustrate")
        for key in "ab"
        for attempt in (None, 1, 64)
    }
    assert len(names) == 12
    for name in names:
        assert len(name) <= CHILD_NAME_LIMIT
        assert name[0].isalnum()
        assert name[-1].isalnum()
        assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


def test_runs_whose_names_differ_by_a_dot_have_different_children() -> None:
    assert child_name("a.b", "s", None, "sha256:" + "a" * 64) != child_name("a-b", "s", None, "sha256:" + "a" * 64)


@pytest.mark.parametrize("run", ["32b", "8b.lora", "1" * 63, "4" * 200])
def test_a_pytorchjob_has_a_name_that_the_training_operator_takes(run: str) -> None:
    """A DNS label as of RFC 1035, and so has the Service of each of 1,024 replicas."""
    name = child_name(run, "train", None, "sha256:" + "a" * 64, 64)
    assert re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", name)
    assert len(f"{name}-worker-1022") <= 63
    assert name != child_name(f"r{run}", "train", None, "sha256:" + "a" * 64, 64)


def test_long_names_become_valid_labels() -> None:
    assert len(label_value("n" * 200)) == 63
    assert label_value("short") == "short"


LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
SERVICE = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
PART = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True)
RUN_NAMES = st.one_of(
    st.lists(PART, min_size=1, max_size=8).map(lambda parts: ".".join(parts)[:253].rstrip("-.")),
    # Names that are alike for as long as they can be.
    st.builds(lambda fill, end: fill * (253 - len(end)) + end, st.sampled_from("a3"), PART),
    st.builds(lambda dots: "".join(f"a{dot}" for dot in dots) + "z", st.text("-.", max_size=120)),
)
NAMED = ("stories", "stories.v2", "stories-v2", "a" * 253, "a" * 252 + "b", "3.5b", "a." * 126 + "z", "a-" * 126 + "z")


def renamed(case: str, name: str) -> tuple[Launch, dict[str, Any]]:
    launch = replace(CASES[case], run=replace(CASES[case].run, name=name))
    made: Any = manifest(launch, SETTINGS)
    return launch, made


def assert_names_are_valid(name: str) -> list[str]:
    """Each label and name that is made for a run of that name; the names of its objects."""
    found = []
    for case in ("job-infer-arm", "job-train-two-nodes", "pytorchjob-two-nodes-a100"):
        launch, made = renamed(case, name)
        metas = [made["metadata"], *(template["metadata"] for template in templates(made))]
        for key, value in (pair for meta in metas for pair in meta["labels"].items()):
            assert VALUE.fullmatch(value), (key, value)
        child = made["metadata"]["name"]
        kind = SERVICE if made["kind"] == "PyTorchJob" else LABEL
        for pod in (child, f"{child}-master-0", f"{child}-worker-1022", f"{child}-1022-abcde"):
            assert kind.fullmatch(pod), pod
        if made["kind"] == "Job":
            # What the Job's controller makes a label of, and the host that the ranks call.
            assert VALUE.fullmatch(child) and len(f"{child}-0.{service_name(launch)}") <= 253
        service: Any = ranks_service(launch)
        assert SERVICE.fullmatch(service["metadata"]["name"])
        assert all(VALUE.fullmatch(value) for value in service["metadata"]["labels"].values())
        found.append(f"{made['kind']}/{child}")
        assert made["metadata"]["ownerReferences"][0]["name"] == name
    return found


@given(RUN_NAMES)
@example("stories.v2")
@example("a" * 253)
def test_whatever_a_run_is_called_its_objects_and_labels_are_valid(name: str) -> None:
    assert_names_are_valid(name)


def test_runs_of_other_names_have_other_objects_and_labels() -> None:
    made = [one for name in NAMED for one in assert_names_are_valid(name)]
    assert len(made) == len(set(made))
    assert len({label_value(name) for name in NAMED}) == len(NAMED)
