"""Who may do what: anonymous callers, account tokens, roles, reviews."""

import pytest
from tests.support.patience import until
from tests.support.wire import Object, Wire

RBAC = "/apis/rbac.authorization.k8s.io/v1"


@pytest.fixture
def token(wire: Wire, namespace: str) -> str:
    """A token of the account `bot`, which may read config maps of its namespace, and write the one named `mine`."""
    wire.ok("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": "bot"}})
    rules = [
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]},
        {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["mine"], "verbs": ["update", "delete"]},
    ]
    wire.ok("POST", f"{RBAC}/namespaces/{namespace}/roles", {"metadata": {"name": "reader"}, "rules": rules})
    binding = {
        "metadata": {"name": "reader"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
        "subjects": [{"kind": "ServiceAccount", "name": "bot", "namespace": namespace}],
    }
    wire.ok("POST", f"{RBAC}/namespaces/{namespace}/rolebindings", binding)
    return token_of(wire, namespace)["status"]["token"]


def token_of(wire: Wire, namespace: str, **spec: object) -> Object:
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/bot/token"
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    return wire.ok("POST", path, body)


def review(wire: Wire, token: str, *audiences: str) -> Object:
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
    if audiences:
        body["spec"]["audiences"] = list(audiences)  # type: ignore[index]
    status: Object = wire.ok("POST", "/apis/authentication.k8s.io/v1/tokenreviews", body)["status"]
    return status


def test_a_wrong_token_is_unauthorized(wire: Wire) -> None:
    refused = wire.as_token("not-a-token").call("GET", "/api/v1/namespaces")
    assert (refused.status, refused.body["reason"], refused.body["message"]) == (401, "Unauthorized", "Unauthorized")


def test_no_token_gets_nothing(wire: Wire) -> None:
    assert wire.as_token(None).call("GET", "/api/v1/namespaces").status in (401, 403)


def test_a_role_allows_what_it_names(wire: Wire, namespace: str, configmaps: str, token: str) -> None:
    bot = wire.as_token(token)
    assert bot.call("GET", configmaps).status == 200
    refused = bot.call("POST", configmaps, {"metadata": {"name": "x"}})
    assert (refused.status, refused.body["reason"]) == (403, "Forbidden")
    assert refused.body["message"] == (
        f'configmaps is forbidden: User "system:serviceaccount:{namespace}:bot" cannot create resource "configmaps" '
        f'in API group "" in the namespace "{namespace}"'
    )
    assert bot.call("GET", "/api/v1/configmaps").status == 403
    for name in ("mine", "other"):
        wire.ok("POST", configmaps, {"metadata": {"name": name}})
    assert bot.call("DELETE", f"{configmaps}/mine").status == 200
    assert bot.call("DELETE", f"{configmaps}/other").status == 403


def test_anyone_with_a_token_reads_discovery(wire: Wire, token: str) -> None:
    bot = wire.as_token(token)
    assert bot.call("GET", "/apis").status == 200
    assert bot.call("GET", "/version").status == 200
    assert bot.call("GET", "/openapi/v3").status == 200


def test_a_token_is_for_its_audiences(wire: Wire, namespace: str, token: str) -> None:
    bound = token_of(wire, namespace, audiences=["status.example.com"])["status"]["token"]
    seen = review(wire, bound, "status.example.com", "other")
    assert seen["authenticated"] is True
    assert seen["audiences"] == ["status.example.com"]
    assert seen["user"]["username"] == f"system:serviceaccount:{namespace}:bot"
    assert f"system:serviceaccounts:{namespace}" in seen["user"]["groups"]
    assert not review(wire, bound, "other").get("authenticated")
    assert wire.as_token(bound).call("GET", "/apis").status == 401


def test_a_bound_token_ends_with_its_object(wire: Wire, namespace: str, token: str) -> None:
    secrets = f"/api/v1/namespaces/{namespace}/secrets"
    uid = wire.ok("POST", secrets, {"metadata": {"name": "s"}})["metadata"]["uid"]
    reference = {"apiVersion": "v1", "kind": "Secret", "name": "s", "uid": uid}
    bound = token_of(wire, namespace, boundObjectRef=reference)["status"]["token"]
    assert review(wire, bound)["authenticated"] is True
    wire.ok("DELETE", f"{secrets}/s")
    assert wait_refused(wire, bound)


def wait_refused(wire: Wire, token: str) -> bool:
    return until(lambda: not review(wire, token).get("authenticated"), "the token to be refused", 0.2)


def test_too_short_a_token_is_refused(wire: Wire, namespace: str, token: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/bot/token"
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 10}}
    refused = wire.call("POST", path, body)
    assert refused.status == 422
    assert refused.body["details"]["causes"][0]["field"] == "spec.expirationSeconds"


def test_access_reviews(wire: Wire, namespace: str, token: str) -> None:
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    for verb, allowed in (("list", True), ("create", False)):
        attributes = {"namespace": namespace, "verb": verb, "resource": "configmaps"}
        answer = wire.as_token(token).ok("POST", path, {"spec": {"resourceAttributes": attributes}})
        assert answer["status"]["allowed"] is allowed
    whoami = wire.as_token(token).ok("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {})
    assert whoami["status"]["userInfo"]["username"] == f"system:serviceaccount:{namespace}:bot"
