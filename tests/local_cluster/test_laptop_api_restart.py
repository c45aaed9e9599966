"""The laptop's API server is killed and comes back: nothing is lost, and the kubeconfig still fits."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.laptop import LaptopApi
from tests.support.wire import MERGE, Wire

CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[LaptopApi]:
    with LaptopApi(tmp_path / "state", logs_dir=tmp_path / "logs") as running:
        yield running


def test_state_and_versions_survive_a_kill(api: LaptopApi) -> None:
    before = Wire(api.kubeconfig)
    made = [before.ok("POST", CONFIGMAPS, {"metadata": {"name": f"c{number}"}}) for number in range(20)]
    before.ok("DELETE", f"{CONFIGMAPS}/c7")
    accounts = "/api/v1/namespaces/default/serviceaccounts"
    before.ok("POST", accounts, {"metadata": {"name": "bot"}})
    token = before.ok("POST", f"{accounts}/bot/token", {"spec": {}})
    written = api.kubeconfig.read_text()
    api.kill()
    api.start()
    assert api.kubeconfig.read_text() == written
    after = Wire(api.kubeconfig)
    for obj in made:
        name = obj["metadata"]["name"]
        answer = after.call("GET", f"{CONFIGMAPS}/{name}")
        assert answer.status == (404 if name == "c7" else 200)
        if answer.status == 200:
            assert answer.body["metadata"] == obj["metadata"]
    fresh = after.ok("POST", CONFIGMAPS, {"metadata": {"name": "later"}})
    assert int(fresh["metadata"]["resourceVersion"]) > int(made[-1]["metadata"]["resourceVersion"]) + 1
    # 403, not 401: the token is still good, the account just may not do this.
    assert after.as_token(token["status"]["token"]).call("GET", CONFIGMAPS).status == 403


def test_a_watch_over_a_restart_is_expired_unless_nothing_was_missed(api: LaptopApi) -> None:
    wire = Wire(api.kubeconfig)
    old = wire.ok("POST", CONFIGMAPS, {"metadata": {"name": "a"}})["metadata"]["resourceVersion"]
    last = wire.ok("POST", CONFIGMAPS, {"metadata": {"name": "b"}})["metadata"]["resourceVersion"]
    api.kill()
    api.start()
    with wire.watch(CONFIGMAPS, resourceVersion=old) as events:
        first = next(events)
    assert (first["type"], first["object"]["code"], first["object"]["reason"]) == ("ERROR", 410, "Expired")
    wire.ok("PATCH", f"{CONFIGMAPS}/a", {"data": {"k": "v"}}, media=MERGE)
    with wire.watch(CONFIGMAPS, resourceVersion=last) as events:
        assert next(events)["object"]["metadata"]["name"] == "a"


def test_custom_kinds_are_served_again(api: LaptopApi) -> None:
    wire = Wire(api.kubeconfig)
    version = {"name": "v1", "served": True, "storage": True}
    version["schema"] = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    names = {"plural": "gadgets", "kind": "Gadget"}
    spec = {"group": "example.com", "scope": "Cluster", "names": names, "versions": [version]}
    definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    wire.ok("POST", definitions, {"metadata": {"name": "gadgets.example.com"}, "spec": spec})
    wire.ok(
        "POST",
        "/apis/example.com/v1/gadgets",
        {"apiVersion": "example.com/v1", "kind": "Gadget", "metadata": {"name": "g"}},
    )
    api.kill()
    api.start()
    assert wire.ok("GET", "/apis/example.com/v1/gadgets/g")["kind"] == "Gadget"
    wire.ok("DELETE", f"{definitions}/gadgets.example.com")


def test_one_server_at_a_time(api: LaptopApi) -> None:
    second = LaptopApi(api.state_dir)
    with pytest.raises(RuntimeError, match="another API server may be using it"):
        second.start()


def bound_pod(wire: Wire, name: str) -> str:
    body = {"metadata": {"name": name}, "spec": {"containers": [{"name": "main", "image": "app:1"}]}}
    pod = wire.ok("POST", PODS, body)
    target = {"apiVersion": "v1", "kind": "Node", "name": "laptop"}
    wire.ok("POST", f"{PODS}/{name}/binding", {"metadata": {"name": name}, "target": target})
    return str(pod["metadata"]["uid"])


def test_a_bound_pod_waits_for_its_node(api: LaptopApi) -> None:
    wire = Wire(api.kubeconfig)
    bound_pod(wire, "p")
    pod = wire.ok("GET", f"{PODS}/p")
    assert pod["spec"]["nodeName"] == "laptop"
    assert pod["status"]["conditions"][0]["type"] == "PodScheduled"
    again = {"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "other"}}
    assert wire.call("POST", f"{PODS}/p/binding", again).status == 409
    assert wire.ok("GET", PODS, fieldSelector="spec.nodeName=laptop")["items"]
    marked = wire.ok("DELETE", f"{PODS}/p", {"gracePeriodSeconds": 5})
    assert marked["metadata"]["deletionGracePeriodSeconds"] == 5
    assert wire.call("GET", f"{PODS}/p").status == 200
    wire.ok("DELETE", f"{PODS}/p", {"gracePeriodSeconds": 0})
    assert wire.call("GET", f"{PODS}/p").status == 404


def test_logs_come_from_the_nodes_files(api: LaptopApi, tmp_path: Path) -> None:
    wire = Wire(api.kubeconfig)
    uid = bound_pod(wire, "p")
    waiting = wire.call("GET", f"{PODS}/p/log")
    assert waiting.status == 400
    assert 'container "main" in pod "p" is waiting to start' in waiting.body["message"]
    folder = tmp_path / "logs" / f"default_p_{uid}" / "main"
    folder.mkdir(parents=True)
    (folder / "0.log").write_text("one\ntwo\nthree\n")
    assert wire.call("GET", f"{PODS}/p/log").text == "one\ntwo\nthree\n"
    assert wire.call("GET", f"{PODS}/p/log", tailLines=2).text == "two\nthree\n"
    assert wire.call("GET", f"{PODS}/p/log", tailLines=0).text == ""
    assert wire.call("GET", f"{PODS}/p/log", limitBytes=5).text == "one\nt"
    assert wire.call("GET", f"{PODS}/p/log", container="other").status == 400
    assert wire.call("GET", f"{PODS}/p/log", previous="true").status == 400
    status = {"status": {"phase": "Succeeded"}}
    wire.ok("PATCH", f"{PODS}/p/status", status, media=MERGE)
    assert wire.call("GET", f"{PODS}/p/log", follow="true").text == "one\ntwo\nthree\n"
