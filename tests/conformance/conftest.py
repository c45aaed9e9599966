"""The clusters under test: a laptop cluster of our own and Kubernetes' own CRD server, or the one KUBECONFIG names.

A real cluster's answers are the truth, so no test here may rely on what only ours does. Tests marked `custom_resources`
need no core kinds; they also run on the CRD server that FABULA_REAL_CRD_SERVER names (see tests/real_crd_server).
"""

import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.real_crd_server import VARIABLE, RealCrdServer, built
from tests.support.laptop import LaptopApi
from tests.support.patience import SECONDS, until
from tests.support.wire import Wire

Kubectl = Callable[..., "subprocess.CompletedProcess[str]"]
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_REAL = pytest.param(
    "real",
    marks=pytest.mark.skipif(
        not os.environ.get(VARIABLE),
        reason=f"{VARIABLE} names no folder with Kubernetes' CRD server (make real-crd-server builds one)",
    ),
)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test on every server that has what it needs; with `records`, on every kind that has its shape."""
    if "kubeconfig" not in metafunc.fixturenames:
        return
    core = ["KUBECONFIG"] if os.environ.get("KUBECONFIG") else ["laptop"]
    custom = core if core == ["KUBECONFIG"] else [*core, _REAL]
    if "record_kind" in metafunc.fixturenames:
        kinds = ["notes"] if metafunc.definition.get_closest_marker("custom_resources") else ["configmaps", "notes"]
        pairs = [(where, kind) for kind in kinds for where in (custom if kind == "notes" else core)]
        metafunc.parametrize("kubeconfig, record_kind", [_pair(*one) for one in pairs], indirect=True, scope="session")
    else:
        marked = metafunc.definition.get_closest_marker("custom_resources")
        metafunc.parametrize("kubeconfig", custom if marked else core, indirect=True, scope="session")


def _pair(where: Any, kind: str) -> Any:
    return pytest.param("real", kind, marks=where.marks) if where is _REAL else (where, kind)


@pytest.fixture(scope="session")
def laptop_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LaptopApi]:
    """The laptop's API server."""
    with LaptopApi(tmp_path_factory.mktemp("cluster") / "state") as api:
        yield api


@pytest.fixture(scope="session")
def real_crd_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCrdServer]:
    """Kubernetes' own server of custom resources."""
    folder = Path(os.environ[VARIABLE])
    assert built(folder), f"{VARIABLE} is {folder}, but no server is built there (make real-crd-server)"
    with RealCrdServer(folder, tmp_path_factory.mktemp("real-crd-server")) as server:
        yield server


@pytest.fixture(scope="session")
def kubeconfig(request: pytest.FixtureRequest) -> Path:
    """The kubeconfig of the cluster under test."""
    if request.param == "KUBECONFIG":
        return Path(os.environ["KUBECONFIG"])
    server = request.getfixturevalue("laptop_api" if request.param == "laptop" else "real_crd_server")
    return Path(server.kubeconfig)


@pytest.fixture(scope="session")
def wire(kubeconfig: Path) -> Wire:
    """Requests as the administrator."""
    return Wire(kubeconfig)


@pytest.fixture
def namespace(wire: Wire) -> Iterator[str]:
    """A namespace of the test's own, with what the cluster puts into each; a mere name where there are none."""
    yield from _namespace(wire)


@pytest.fixture(scope="module")
def shared_namespace(wire: Wire) -> Iterator[str]:
    """A namespace that the tests of a module share."""
    yield from _namespace(wire)


def _namespace(wire: Wire) -> Iterator[str]:
    name = f"conformance-{uuid.uuid4().hex[:8]}"
    if wire.call("GET", "/api/v1").status == 404:
        yield name
        return
    wire.ok("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    for given in ("serviceaccounts/default", "configmaps/kube-root-ca.crt"):
        if wire.call("GET", f"/api/v1/namespaces/default/{given}").status == 200:
            until_served(wire, f"/api/v1/namespaces/{name}/{given}")
    yield name
    wire.call("DELETE", f"/api/v1/namespaces/{name}")


def until_served(wire: Wire, path: str) -> None:
    """Wait until a GET of the path succeeds."""
    until(lambda: wire.call("GET", path).status == 200, lambda: f"{path} to be served: {wire.call('GET', path).text}")


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
            timeout=SECONDS,
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


def _definition(group: str, plural: str, kind: str, schema: dict[str, Any], **version: Any) -> dict[str, Any]:
    one = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}, **version}
    names = {"plural": plural, "kind": kind}
    spec = {"group": group, "scope": "Namespaced", "names": names, "versions": [one]}
    return {"metadata": {"name": f"{plural}.{group}"}, "spec": spec}


def _served(wire: Wire, definition: dict[str, Any]) -> Iterator[str]:
    """Serve a kind as long as its tests run; yields its group."""
    group, plural = definition["spec"]["group"], definition["spec"]["names"]["plural"]
    wire.ok("POST", DEFINITIONS, definition)
    until_served(wire, f"/apis/{group}/v1/{plural}")
    yield group
    wire.call("DELETE", f"{DEFINITIONS}/{plural}.{group}")


@pytest.fixture(scope="session")
def widget_group(wire: Wire) -> Iterator[str]:
    """A custom kind `Widget` (widgets, wd) in a group of this run; returns the group."""
    columns = [
        {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    ]
    group = f"c{uuid.uuid4().hex[:8]}.example.com"
    found = _definition(
        group, "widgets", "Widget", WIDGET_SCHEMA, subresources={"status": {}}, additionalPrinterColumns=columns
    )
    found["spec"]["names"]["shortNames"] = ["wd"]
    yield from _served(wire, found)


@pytest.fixture
def widgets(widget_group: str, namespace: str) -> str:
    """Path of the test's own widgets."""
    return f"/apis/{widget_group}/v1/namespaces/{namespace}/widgets"


@pytest.fixture(scope="session")
def note_group(wire: Wire) -> Iterator[str]:
    """A custom kind `Note` (notes) with the shape of a ConfigMap; returns its group."""
    data = {"type": "object", "additionalProperties": {"type": "string"}}
    schema = {"type": "object", "properties": {"data": data}}
    yield from _served(wire, _definition(f"n{uuid.uuid4().hex[:8]}.example.com", "notes", "Note", schema))


@dataclass(frozen=True)
class Records:
    """Where a test keeps objects that have `data`, and what they are called."""

    path: str
    api_version: str
    kind: str
    resource: str
    """As error messages name it: plural and group."""

    def new(self, name: str, **data: str) -> dict[str, Any]:
        """An object of the kind."""
        return {"apiVersion": self.api_version, "kind": self.kind, "metadata": {"name": name}, "data": data}


@pytest.fixture(scope="session")
def record_kind(request: pytest.FixtureRequest) -> str:
    """Which kind of records the test keeps."""
    return str(request.param)


@pytest.fixture
def records(request: pytest.FixtureRequest, record_kind: str, namespace: str) -> Records:
    """The test's own ConfigMaps, or custom resources of the same shape."""
    if record_kind == "configmaps":
        return Records(f"/api/v1/namespaces/{namespace}/configmaps", "v1", "ConfigMap", "configmaps")
    group = request.getfixturevalue("note_group")
    return Records(f"/apis/{group}/v1/namespaces/{namespace}/notes", f"{group}/v1", "Note", f"notes.{group}")


@pytest.fixture
def configmaps(namespace: str) -> str:
    """Path of the test's own config maps."""
    return f"/api/v1/namespaces/{namespace}/configmaps"
