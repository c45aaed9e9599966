"""The API server's decisions that need no server: request paths, roles, history, discovery order, selectors."""

from pathlib import Path
from typing import Any

import pytest

from fabula_local.apiserver.auth.rbac import Attributes, Authorizer, denial, matches
from fabula_local.apiserver.call import User
from fabula_local.apiserver.errors import ApiError
from fabula_local.apiserver.persistence import Database
from fabula_local.apiserver.registry import Registry
from fabula_local.apiserver.request import RequestInfo, request_info
from fabula_local.apiserver.selectors import exact_name, selector_of
from fabula_local.apiserver.store import Store
from fabula_local.schema.builtin import builtin_resources


@pytest.mark.parametrize(
    ("line", "query", "expected"),
    [
        ("GET /api/v1/pods", {}, ("list", "", "pods", "", "", "")),
        ("GET /api/v1/namespaces/a/pods", {"watch": "1"}, ("watch", "", "pods", "a", "", "")),
        ("GET /api/v1/namespaces/a/pods/p/log", {}, ("get", "", "pods", "a", "p", "log")),
        ("GET /api/v1/namespaces/a", {}, ("get", "", "namespaces", "a", "a", "")),
        ("PUT /api/v1/namespaces/a/finalize", {}, ("update", "", "namespaces", "a", "a", "finalize")),
        ("DELETE /apis/batch/v1/namespaces/a/jobs", {}, ("deletecollection", "batch", "jobs", "a", "", "")),
        ("PATCH /apis/batch/v1/namespaces/a/jobs/j/status", {}, ("patch", "batch", "jobs", "a", "j", "status")),
    ],
)
def test_requests_are_read_as_the_api_reads_them(line: str, query: dict[str, str], expected: tuple[str, ...]) -> None:
    method, path = line.split()
    info = request_info(method, path, query)
    assert info.is_resource
    assert (info.verb, info.group, info.resource, info.namespace, info.name, info.subresource) == expected


@pytest.mark.parametrize("path", ["/", "/api", "/apis", "/apis/batch", "/apis/batch/v1", "/version", "/openapi/v3"])
def test_other_paths_are_no_resources(path: str) -> None:
    assert request_info("GET", path, {}) == RequestInfo("get", path)


@pytest.mark.parametrize(
    ("rule", "wanted", "allowed"),
    [
        ({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}, Attributes("get", "", "pods"), True),
        ({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}, Attributes("get", "", "pods", "log"), False),
        ({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}, Attributes("x", "g", "r", "s"), True),
        ({"verbs": ["get"], "apiGroups": [""], "resources": ["*/log"]}, Attributes("get", "", "pods", "log"), True),
        (
            {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["a"]},
            Attributes("get", "", "pods", name="b"),
            False,
        ),
        ({"verbs": ["get"], "nonResourceURLs": ["/api/*"]}, Attributes("get", path="/api/v1"), True),
        ({"verbs": ["get"], "nonResourceURLs": ["/api/*"]}, Attributes("get", path="/metrics"), False),
        ({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}, Attributes("get", path="/api"), False),
    ],
)
def test_rules(rule: dict[str, Any], wanted: Attributes, allowed: bool) -> None:
    assert matches(rule, wanted) is allowed


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(Database(tmp_path / "state.db"), history_length=4)


def put(store: Store, kind: str, name: str, namespace: str = "", **body: Any) -> int:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return store.put(kind, {"kind": "K", "apiVersion": "v1", "metadata": metadata, **body}).revision


def test_a_role_binding_holds_in_its_namespace_and_follows_changes(store: Store) -> None:
    authorizer, bot = Authorizer(store), User("system:serviceaccount:a:bot")
    wanted = Attributes("get", "", "pods", namespace="a")
    assert authorizer.allows(bot, wanted) is None
    rules = [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]
    put(store, "clusterroles.rbac.authorization.k8s.io", "reader", rules=rules)
    subjects = [{"kind": "ServiceAccount", "name": "bot"}]
    role = {"kind": "ClusterRole", "name": "reader"}
    put(store, "rolebindings.rbac.authorization.k8s.io", "b", "a", roleRef=role, subjects=subjects)
    assert authorizer.allows(bot, wanted)
    assert authorizer.allows(bot, Attributes("get", "", "pods", namespace="b")) is None
    assert authorizer.allows(User("other"), wanted) is None
    put(store, "clusterroles.rbac.authorization.k8s.io", "reader", rules=[])
    assert authorizer.allows(bot, wanted) is None


def test_a_denial_says_who_what_and_where() -> None:
    wanted = Attributes("get", "batch", "jobs", "status", "a", "j")
    assert denial(User("me"), wanted) == (
        'User "me" cannot get resource "jobs/status" in API group "batch" in the namespace "a"'
    )


def test_history_is_bounded_and_says_where_it_begins(store: Store) -> None:
    history = store.history("things")
    start = store.revision
    revisions = [put(store, "things", f"t{number}") for number in range(20)]
    assert history.floor > start
    kept = history.since(history.floor)
    assert 4 <= len(kept) <= 8
    assert [change.revision for change in kept] == revisions[-len(kept) :]
    assert history.since(revisions[-2])[0].now.name == "t19"


def test_a_reopened_store_has_everything_and_no_history(tmp_path: Path) -> None:
    database = Database(tmp_path / "state.db")
    before = Store(database, history_length=4)
    put(before, "things", "kept", "a", data={"k": "v"})
    gone = before.put("things", {"kind": "K", "apiVersion": "v1", "metadata": {"name": "gone"}})
    last = before.delete("things", gone.copy()).revision
    database.close()
    after = Store(Database(tmp_path / "state.db"), history_length=4)
    assert [stored.name for stored in after.all("things")] == ["kept"]
    assert after.all("things", "a").__next__().obj["data"] == {"k": "v"}
    assert after.revision == last
    assert after.history("things").floor == last


def test_versions_are_in_the_order_of_preference() -> None:
    registry = Registry(builtin_resources())
    schema = {"openAPIV3Schema": {"type": "object"}}
    names = {"plural": "widgets", "kind": "Widget"}
    offered = ["v1alpha1", "v2beta1", "v1", "v2", "v1beta2", "other"]
    versions = [{"name": name, "served": True, "storage": name == "v1", "schema": schema} for name in offered]
    spec = {"group": "example.com", "scope": "Cluster", "names": names, "versions": versions}
    registry.define({"metadata": {"name": "widgets.example.com"}, "spec": spec})
    assert registry.groups()["example.com"] == ["v2", "v1", "v2beta1", "v1beta2", "v1alpha1", "other"]
    registry.withdraw("widgets.example.com")
    assert "example.com" not in registry.groups()


def test_field_selectors_know_their_kinds() -> None:
    pods = next(item for item in builtin_resources() if item.plural == "pods")
    selector = selector_of(pods, "", "spec.nodeName=,status.phase!=Failed")
    assert selector.matches({"metadata": {}, "spec": {}, "status": {"phase": "Pending"}})
    assert not selector.matches({"metadata": {}, "spec": {"nodeName": "n"}, "status": {}})
    with pytest.raises(ApiError, match=r"field label not supported: spec\.containers"):
        selector_of(pods, "", "spec.containers=x")
    assert exact_name("metadata.name=p,status.phase=Running") == "p"
