"""What the garbage controller makes of owner references."""

from typing import Any

from fabula_local.controllers.garbage_graph import Graph, item_of, judge
from fabula_local.kinds import JOB, POD

NONE: frozenset[str] = frozenset()


def obj(uid: str, *owners: str, blocks: bool = True, deleting: bool = False, finalizers: tuple[str, ...] = ()) -> Any:
    references = [
        {"apiVersion": "batch/v1", "kind": "Job", "name": owner, "uid": owner, "blockOwnerDeletion": blocks}
        for owner in owners
    ]
    meta: dict[str, Any] = {"name": uid, "namespace": "n", "uid": uid, "resourceVersion": "1"}
    meta |= {"ownerReferences": references, "finalizers": list(finalizers)}
    if deleting:
        meta["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return {"metadata": meta}


def graph(owner: Any | None, *dependents: Any) -> Graph:
    found = Graph()
    if owner is not None:
        found.put(item_of(JOB, owner))
    for dependent in dependents:
        found.put(item_of(POD, dependent))
    return found


def test_a_dependent_of_a_living_owner_stays() -> None:
    seen = graph(obj("o"), obj("d", "o"))
    verdict = judge(seen, seen.items["d"], NONE)
    assert not verdict.delete
    assert not verdict.drop_owners


def test_a_dependent_of_an_absent_owner_goes() -> None:
    seen = graph(None, obj("d", "o"))
    assert judge(seen, seen.items["d"], frozenset({"o"})).delete == "Background"


def test_an_owner_nobody_looked_up_is_not_taken_for_absent() -> None:
    seen = graph(None, obj("d", "o"))
    assert not judge(seen, seen.items["d"], NONE).delete


def test_only_the_dangling_reference_goes_while_another_owner_lives() -> None:
    seen = graph(obj("o"), obj("d", "o", "gone"))
    verdict = judge(seen, seen.items["d"], frozenset({"gone"}))
    assert verdict.drop_owners == {"gone"}
    assert not verdict.delete


def test_foreground_deletion_waits_for_blocking_dependents() -> None:
    owner = obj("o", deleting=True, finalizers=("foregroundDeletion",))
    seen = graph(owner, obj("d", "o"))
    verdict = judge(seen, seen.items["o"], NONE)
    assert [item.uid for item in verdict.delete_dependents] == ["d"]
    assert not verdict.drop_finalizer
    seen.remove("d")
    assert judge(seen, seen.items["o"], NONE).drop_finalizer == "foregroundDeletion"


def test_foreground_deletion_does_not_wait_for_others() -> None:
    owner = obj("o", deleting=True, finalizers=("foregroundDeletion",))
    seen = graph(owner, obj("d", "o", blocks=False))
    assert judge(seen, seen.items["o"], NONE).drop_finalizer == "foregroundDeletion"


def test_dependents_of_an_owner_in_foreground_deletion_pass_it_on() -> None:
    owner = obj("o", deleting=True, finalizers=("foregroundDeletion",))
    seen = graph(owner, obj("d", "o"), obj("leaf", "d"))
    assert judge(seen, seen.items["d"], NONE).delete == "Foreground"
    seen.remove("leaf")
    assert judge(seen, seen.items["d"], NONE).delete == "Background"


def test_orphans_are_cut_loose_before_the_owner_goes() -> None:
    owner = obj("o", deleting=True, finalizers=("orphan",))
    seen = graph(owner, obj("d", "o"))
    assert [item.uid for item in judge(seen, seen.items["o"], NONE).orphan_dependents] == ["d"]
    seen.put(item_of(POD, obj("d")))
    assert judge(seen, seen.items["o"], NONE).drop_finalizer == "orphan"
