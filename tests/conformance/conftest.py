"""The cluster under test: the one that KUBECONFIG names, else a laptop cluster of our own.

A real cluster's answers are the truth, so no test here may rely on what only ours does.
"""

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.laptop import LaptopApi
from tests.support.wire import Wire

Kubectl = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The kubeconfig of the cluster under test."""
    if named := os.environ.get("KUBECONFIG"):
        yield Path(named)
        return
    with LaptopApi(tmp_path_factory.mktemp("cluster") / "state") as api:
        yield api.kubeconfig


@pytest.fixture(scope="session")
def wire(kubeconfig: Path) -> Wire:
    """Requests as the administrator."""
    return Wire(kubeconfig)


@pytest.fixture
def namespace(wire: Wire) -> Iterator[str]:
    """A namespace of the test's own, with its default account."""
    name = f"conformance-{uuid.uuid4().hex[:8]}"
    wire.ok("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    deadline = time.monotonic() + 10
    while wire.call("GET", f"/api/v1/namespaces/{name}/serviceaccounts/default").status != 200:
        assert time.monotonic() < deadline, "the namespace has no default account"
        time.sleep(0.05)
    yield name
    wire.call("DELETE", f"/api/v1/namespaces/{name}")


@pytest.fixture(scope="session")
def kubectl(kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    """Run kubectl; returns the finished process."""
    home = tmp_path_factory.mktemp("home")
    program = Path(sys.executable).parent / "kubectl"
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "HOME": str(home)}

    def run(*arguments: str, given: str | None = None, fails: bool = False) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            [str(program) if program.exists() else "kubectl", *arguments],
            env=environment,
            input=given,
            text=True,
            capture_output=True,
            timeout=60,
        )
        assert (done.returncode != 0) is fails, done.stdout + done.stderr
        return done

    return run


WIDGET_SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "Widget is what these tests write.",
    "properties": {
        "spec": {
            "type": "object",
            "required": ["size"],
            "properties": {
                "size": {"type": "integer", "minimum": 1, "maximum": 10, "description": "How large it is."},
                "color": {"type": "string", "enum": ["red", "green"], "default": "red"},
                "serial": {
                    "type": "string",
                    "maxLength": 20,
                    "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "serial is immutable"}],
                },
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
            },
        },
        "status": {"type": "object", "properties": {"phase": {"type": "string"}}},
    },
}


@pytest.fixture(scope="session")
def widget_group(wire: Wire) -> Iterator[str]:
    """A custom kind `Widget` (widgets, wd) in a group of this run; returns the group."""
    group = f"c{uuid.uuid4().hex[:8]}.example.com"
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": WIDGET_SCHEMA},
        "additionalPrinterColumns": [
            {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
            {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
        ],
    }
    names = {"plural": "widgets", "kind": "Widget", "shortNames": ["wd"]}
    spec = {"group": group, "scope": "Namespaced", "names": names, "versions": [version]}
    wire.ok("POST", path, {"metadata": {"name": f"widgets.{group}"}, "spec": spec})
    deadline = time.monotonic() + 15
    while wire.call("GET", f"/apis/{group}/v1/widgets").status != 200:
        assert time.monotonic() < deadline, "the kind is not served"
        time.sleep(0.05)
    yield group
    wire.call("DELETE", f"{path}/widgets.{group}")


@pytest.fixture
def widgets(widget_group: str, namespace: str) -> str:
    """Path of the test's own widgets."""
    return f"/apis/{widget_group}/v1/namespaces/{namespace}/widgets"


@pytest.fixture
def configmaps(namespace: str) -> str:
    """Path of the test's own config maps."""
    return f"/api/v1/namespaces/{namespace}/configmaps"
