"""Pods, Jobs and Deployments as the server completes and guards them; nothing here needs a node."""

from tests.support.wire import MERGE, Object, Wire

CONTAINER = {"name": "main", "image": "registry.example.com/app:1.0", "command": ["true"]}


def job(**spec: object) -> Object:
    template = {"spec": {"restartPolicy": "Never", "containers": [CONTAINER]}}
    return {"metadata": {"name": "j"}, "spec": {"suspend": True, "template": template, **spec}}


def jobs(namespace: str) -> str:
    return f"/apis/batch/v1/namespaces/{namespace}/jobs"


def test_a_job_is_completed(wire: Wire, namespace: str) -> None:
    made = wire.ok("POST", jobs(namespace), job())
    spec, uid = made["spec"], made["metadata"]["uid"]
    assert (spec["completions"], spec["parallelism"], spec["backoffLimit"]) == (1, 1, 6)
    assert (spec["completionMode"], spec["podReplacementPolicy"]) == ("NonIndexed", "TerminatingOrFailed")
    assert spec["selector"] == {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
    labels = spec["template"]["metadata"]["labels"]
    assert labels["batch.kubernetes.io/job-name"] == labels["job-name"] == "j"
    assert labels["controller-uid"] == uid
    container = spec["template"]["spec"]["containers"][0]
    assert container["terminationMessagePath"] == "/dev/termination-log"
    assert container["imagePullPolicy"] == "IfNotPresent"


def test_an_indexed_job_with_a_limit_per_index(wire: Wire, namespace: str) -> None:
    spec = {"completionMode": "Indexed", "completions": 2, "parallelism": 2, "backoffLimitPerIndex": 1}
    made = wire.ok("POST", jobs(namespace), job(**spec))
    assert made["spec"]["backoffLimit"] == 2147483647
    refused = wire.call("POST", jobs(namespace), job(completionMode="Indexed", parallelism=2))
    assert refused.status == 422
    assert refused.body["details"]["causes"][0]["field"] == "spec.completions"


def test_a_job_that_always_restarts_is_refused(wire: Wire, namespace: str) -> None:
    bad = job()
    bad["spec"]["template"]["spec"]["restartPolicy"] = "Always"
    refused = wire.call("POST", jobs(namespace), bad)
    assert refused.status == 422
    assert "spec.template.spec.restartPolicy" in [cause["field"] for cause in refused.body["details"]["causes"]]


def test_a_job_keeps_its_completions(wire: Wire, namespace: str) -> None:
    wire.ok("POST", jobs(namespace), job())
    refused = wire.call("PATCH", f"{jobs(namespace)}/j", {"spec": {"completions": 5}}, media=MERGE)
    assert refused.status == 422
    assert refused.body["details"]["causes"][0]["field"] == "spec.completions"
    assert (
        wire.ok("PATCH", f"{jobs(namespace)}/j", {"spec": {"parallelism": 3}}, media=MERGE)["metadata"]["generation"]
        == 2
    )


def test_a_pod_is_completed_and_its_spec_is_fixed(wire: Wire, namespace: str) -> None:
    pods = f"/api/v1/namespaces/{namespace}/pods"
    # A gate keeps every scheduler away, so that the pod stays as the server made it.
    spec = {"containers": [CONTAINER], "schedulingGates": [{"name": "example.com/wait"}]}
    made = wire.ok("POST", pods, {"metadata": {"name": "p"}, "spec": spec})
    assert made["status"]["phase"] == "Pending"
    assert made["spec"]["serviceAccountName"] == "default"
    assert (made["spec"]["restartPolicy"], made["spec"]["terminationGracePeriodSeconds"]) == ("Always", 30)
    mounts = made["spec"]["containers"][0]["volumeMounts"]
    assert mounts[0]["mountPath"] == "/var/run/secrets/kubernetes.io/serviceaccount"
    refused = wire.call("PATCH", f"{pods}/p", {"spec": {"restartPolicy": "Never"}}, media=MERGE)
    assert refused.status == 422
    assert "pod updates may not change fields other than" in refused.body["message"]
    assert wire.ok("DELETE", f"{pods}/p")["kind"] == "Pod"
    assert wire.call("GET", f"{pods}/p").status == 404


def test_a_pod_needs_its_account(wire: Wire, namespace: str) -> None:
    pods = f"/api/v1/namespaces/{namespace}/pods"
    refused = wire.call(
        "POST", pods, {"metadata": {"name": "p"}, "spec": {"serviceAccountName": "nobody", "containers": [CONTAINER]}}
    )
    assert refused.status == 403
    assert (
        f'error looking up service account {namespace}/nobody: serviceaccount "nobody" not found'
        in refused.text.replace('\\"', '"')
    )


def test_a_deployment_selects_its_template(wire: Wire, namespace: str) -> None:
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    template = {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [CONTAINER]}}
    body = {"metadata": {"name": "d"}, "spec": {"replicas": 0, "selector": {"matchLabels": {"app": "a"}}}}
    body["spec"]["template"] = template  # type: ignore[index]
    made = wire.ok("POST", path, body)
    assert made["spec"]["strategy"]["type"] == "RollingUpdate"
    change = {"spec": {"selector": {"matchLabels": {"app": "b"}}}}
    assert wire.call("PATCH", f"{path}/d", change, media=MERGE).status == 422
    scale = wire.ok("GET", f"{path}/d/scale")
    assert (scale["kind"], scale["spec"], scale["status"]["replicas"]) == ("Scale", {}, 0), "0 is left out of a spec"
    grown = wire.ok("PATCH", f"{path}/d/scale", {"spec": {"replicas": 2}}, media=MERGE)
    assert grown["spec"] == {"replicas": 2}


def test_a_service_gets_an_address_and_keeps_it(wire: Wire, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/services"
    made = wire.ok("POST", path, {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}})
    assert made["spec"]["type"] == "ClusterIP"
    assert made["spec"]["ports"][0]["targetPort"] == 80
    kept = wire.ok("PATCH", f"{path}/s", {"spec": {"selector": {"app": "a"}}}, media=MERGE)
    assert kept["spec"]["clusterIP"] == made["spec"]["clusterIP"]
