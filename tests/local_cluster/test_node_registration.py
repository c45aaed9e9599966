"""The node's own object: what it publishes, and what it takes off."""

from pathlib import Path
from typing import Any

from fabula_local.node.registration import NOT_READY, node_object, without_not_ready
from fabula_local.node.settings import NodeSettings

OTHER = {"key": "example.com/gpu", "effect": "NoSchedule"}


def node(*taints: dict[str, str]) -> dict[str, Any]:
    made = node_object(NodeSettings(Path("state")), None, kubelet_port=1, ready=True)
    return {**made, "spec": {"podCIDR": "10.0.0.0/24", **({"taints": list(taints)} if taints else {})}}


def test_it_publishes_only_addresses_that_lead_to_it() -> None:
    """An API server dials a Hostname before an InternalIP, and nothing resolves this node's name."""
    assert node()["status"]["addresses"] == [{"type": "InternalIP", "address": "127.0.0.1"}]


def test_the_taint_of_a_new_node_goes_and_others_stay() -> None:
    new = [{"key": NOT_READY, "effect": "NoSchedule"}, {"key": NOT_READY, "effect": "NoExecute"}]
    alone, beside = without_not_ready(node(*new)), without_not_ready(node(OTHER, *new))
    assert alone is not None
    assert alone["spec"] == {"podCIDR": "10.0.0.0/24"}
    assert beside is not None
    assert beside["spec"]["taints"] == [OTHER]


def test_a_node_without_it_is_not_written() -> None:
    assert without_not_ready(node()) is None
    assert without_not_ready(node(OTHER)) is None
