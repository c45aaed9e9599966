"""How a Deployment rolls, played through with its ReplicaSets answering at once."""

from datetime import UTC, datetime
from typing import Any

from fabula_local.controllers.deployment_plan import plan_deployment, template_hash

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def deployment(image: str, replicas: int = 4, **spec: Any) -> dict[str, Any]:
    template = {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "c", "image": image}]}}
    return {
        "metadata": {"name": "d", "namespace": "n", "uid": "u", "generation": 1},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "a"}}, "template": template, **spec},
    }


def settle(wanted: dict[str, Any], sets: list[dict[str, Any]]) -> list[dict[str, int]]:
    """Carry plans out until nothing is left to do; the sizes after each step."""
    history = []
    for _ in range(30):
        plan = plan_deployment(wanted, sets, NOW)
        if plan.create:
            sets.append(plan.create)
        for found, number in plan.scale:
            found["spec"]["replicas"] = number
        if not plan.create and not plan.scale:
            wanted["status"] = plan.status
            return history
        for found in sets:
            number = found["spec"]["replicas"]
            found["status"] = {"replicas": number, "readyReplicas": number, "availableReplicas": number}
        history.append({found["metadata"]["name"]: found["spec"]["replicas"] for found in sets})
    raise AssertionError(f"the roll does not end: {history[-3:]}")


def test_a_new_deployment_gets_its_pods() -> None:
    wanted, sets = deployment("one"), []
    settle(wanted, sets)
    assert [found["spec"]["replicas"] for found in sets] == [4]
    assert wanted["status"]["availableReplicas"] == 4
    states = {entry["type"]: entry["status"] for entry in wanted["status"]["conditions"]}
    assert states == {"Available": "True", "Progressing": "True"}


def test_a_roll_keeps_within_surge_and_availability() -> None:
    sets: list[dict[str, Any]] = []
    settle(deployment("one"), sets)
    steps = settle(deployment("two"), sets)
    for step in steps:
        assert 3 <= sum(step.values()) <= 5
    assert sorted(steps[-1].values()) == [0, 4]


def test_recreate_never_mixes_templates() -> None:
    sets: list[dict[str, Any]] = []
    recreate = {"strategy": {"type": "Recreate"}}
    settle(deployment("one", **recreate), sets)
    for step in settle(deployment("two", **recreate), sets):
        assert min(step.values()) == 0


def test_a_template_has_one_hash() -> None:
    assert template_hash({"a": 1, "b": 2}) == template_hash({"b": 2, "a": 1})
    assert template_hash({"a": 1}) != template_hash({"a": 2})
