"""What is read of pods: the worker's own container, whatever else is in its pod."""

from __future__ import annotations

from typing import Any

import pytest

from fabula_operator.plan.seen.api_objects import Pod


def pod(*statuses: dict[str, Any]) -> Pod:
    """A pod whose containers stand so; the kubelet tells of them by name in alphabetical order."""
    return Pod.from_object(
        {
            "metadata": {"name": "p", "uid": "u"},
            "status": {"phase": "Failed", "containerStatuses": sorted(statuses, key=lambda one: str(one["name"]))},
        }
    )


def ended(name: str, code: int, message: str = "") -> dict[str, Any]:
    return {"name": name, "state": {"terminated": {"exitCode": code, "message": message, "reason": "Error"}}}


@pytest.mark.parametrize("own", ["worker", "pytorch"])
@pytest.mark.parametrize("other", ["istio-proxy", "zz-logs"])
def test_the_workers_word_is_its_own_containers(own: str, other: str) -> None:
    found = pod(ended(own, 64, "said"), ended(other, 0, "bye"))
    assert (found.exit_code, found.termination_message) == (64, "said")


def test_a_pod_without_statuses_has_not_ended() -> None:
    assert pod().exit_code is None


def test_a_pod_whose_init_container_cannot_start_says_so() -> None:
    """The training operator gives workers one that waits for the master."""
    init = {"name": "init-pytorch", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}
    own = {"name": "pytorch", "state": {"waiting": {"reason": "PodInitializing"}}}
    status = {"phase": "Pending", "initContainerStatuses": [init], "containerStatuses": [own]}
    found = Pod.from_object({"metadata": {"name": "p", "uid": "u"}, "status": status})
    assert (found.waiting, found.waiting_message) == ("ImagePullBackOff", "no such image")
