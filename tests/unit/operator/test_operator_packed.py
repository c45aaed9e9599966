"""Objects as the cache keeps them: packing loses nothing that a look asks for, and news of a status keep the spec."""

from __future__ import annotations

from typing import Any

import pytest

from fabula_operator.kube.packed import Packed, trimmed


def run(**status: Any) -> dict[str, Any]:
    meta = {"name": "tune", "namespace": "team", "uid": "u", "resourceVersion": "7", "managedFields": [{"a": 1}]}
    return {"kind": "FineTuneRun", "metadata": meta, "spec": {"recipe": "podcast"}, "status": status}


@pytest.mark.parametrize("spec", [{"recipe": "podcast"}, {"prompt": "\ud800"}, {"count": 2**70}, {}])
def test_an_object_comes_out_as_it_went_in(spec: dict[str, Any]) -> None:
    obj = run(state="Running") | {"spec": spec}
    packed = Packed.of(obj)
    assert packed.open() == packed.read() == trimmed(obj)
    assert (packed.uid, packed.version, packed.state) == ("u", "7", "Running")


def test_news_of_a_status_keep_what_follows_from_the_spec() -> None:
    first = Packed.of(run(state="Pending"))
    second = Packed.of(run(state="Running"), first)
    assert second.spec is first.spec
    assert second.open()["status"] == {"state": "Running"}


def test_a_state_that_is_no_text_is_none() -> None:
    assert Packed.of(run(state=["Running"])).state is None
