"""What Kubernetes refuses is refused with the same status, reason, message and fields; what it accepts is accepted."""

import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.conformance.refusals import REFUSALS, Refusal, config, container, job, pod, pod_spec
from tests.support.wire import Object, Wire


def path(where: str, namespace: str) -> str:
    """The URL path of "v1/pods/p" or "batch/v1/jobs" in a namespace."""
    group, _, rest = where.partition("v1/")
    return f"/{'apis/' + group if group else 'api/'}v1/namespaces/{namespace}/{rest}"


@pytest.fixture(scope="module")
def prepared(wire: Wire, shared_namespace: str) -> str:
    """A namespace with the objects that the requests name."""
    wire.ok("POST", path("v1/configmaps", shared_namespace), config("a", data={"k": "1"}))
    wire.ok("POST", path("batch/v1/jobs", shared_namespace), job("j1"))
    wire.ok("POST", path("v1/pods", shared_namespace), pod("p1"))
    return shared_namespace


@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: case.name)
def test_refused(wire: Wire, prepared: str, case: Refusal) -> None:
    answer = wire.call(case.method, path(case.where, prepared), case.body, media=case.media, **case.query)
    assert answer.status == case.status, answer.text
    assert answer.body["reason"] == case.reason
    pattern = re.escape(case.message).replace(r"\.\.\.", ".*")
    assert re.fullmatch(pattern, answer.body["message"]), answer.body["message"]
    causes = (answer.body.get("details") or {}).get("causes") or []
    assert tuple(cause["field"] for cause in causes) == case.fields


ACCEPTED: dict[str, tuple[str, Object]] = {
    "a negative grace period": ("v1/pods", pod("a1", terminationGracePeriodSeconds=-1)),
    "the same variable twice": ("v1/pods", pod("a2", container(env=[{"name": "A"}, {"name": "A", "value": "1"}]))),
    "the same port twice": ("v1/pods", pod("a3", container(ports=[{"containerPort": 80}, {"containerPort": 80}]))),
    "odd names of variables": ("v1/pods", pod("a4", container(env=[{"name": "1 a-b.c"}]))),
    "a limit without a request": ("v1/pods", pod("a5", container(resources={"limits": {"nvidia.com/gpu": 1}}))),
    "a sidecar": ("v1/pods", pod("a6", initContainers=[container(name="s", restartPolicy="Always")])),
    "quantities of every kind": (
        "v1/pods",
        pod("a7", container(resources={"requests": {"cpu": 0.5, "memory": "1e3", "ephemeral-storage": ".5Gi"}})),
    ),
    "a toleration of everything": ("v1/pods", pod("a8", tolerations=[{"operator": "Exists"}])),
    "a volume without a source": (
        "v1/pods",
        pod("a9", container(volumeMounts=[{"name": "v", "mountPath": "/v"}]), volumes=[{"name": "v"}]),
    ),
    "a field of the pod in a variable": (
        "v1/pods",
        pod("a10", container(env=[{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['a']"}}}])),
    ),
    "a policy with every action": (
        "batch/v1/jobs",
        job(
            "a11",
            pod_spec(container(), initContainers=[container(name="i")]),
            podFailurePolicy={
                "rules": [
                    {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]},
                    {"action": "FailIndex", "onExitCodes": {"operator": "In", "values": [1, 3]}},
                    {"action": "FailJob", "onExitCodes": {"containerName": "i", "operator": "NotIn", "values": [0]}},
                ]
            },
            completionMode="Indexed",
            completions=2,
            backoffLimitPerIndex=1,
            maxFailedIndexes=1,
        ),
    ),
    "a Job with labels on its pods": (
        "batch/v1/jobs",
        job("a12", template={"metadata": {"labels": {"a": "b"}}, "spec": pod_spec()}),
    ),
    "a ConfigMap with bytes": ("v1/configmaps", config("a13", data={"a": "1"}, binaryData={"b": "AAE="})),
    "a Secret of a type of one's own": ("v1/secrets", {"metadata": {"name": "a14"}, "type": "example.com/t"}),
    "a released Lease": (
        "coordination.k8s.io/v1/leases",
        {"metadata": {"name": "a15"}, "spec": {"holderIdentity": "", "renewTime": "2024-01-01T00:00:00.000000Z"}},
    ),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted(wire: Wire, prepared: str, name: str) -> None:
    where, body = ACCEPTED[name]
    wire.ok("POST", path(where, prepared), body)


def test_a_suspended_job_is_steered_but_not_changed(wire: Wire, prepared: str) -> None:
    where = path("batch/v1/jobs", prepared)
    wire.ok("POST", where, job("steered"))
    spec = {"nodeSelector": {"disk": "ssd"}, "tolerations": [{"operator": "Exists"}]}
    change: Any = {"spec": {"template": {"metadata": {"annotations": {"a": "b"}}, "spec": spec}}}
    media = "application/merge-patch+json"
    steered = wire.ok("PATCH", f"{where}/steered", change, media=media)
    assert steered["spec"]["template"]["spec"]["nodeSelector"] == {"disk": "ssd"}
    change["spec"]["template"]["spec"] = {"hostNetwork": True}
    assert wire.call("PATCH", f"{where}/steered", change, media=media).status == 422


def test_the_log_of_a_pod_that_no_node_has_is_empty(wire: Wire, prepared: str) -> None:
    answer = wire.call("GET", path("v1/pods/p1/log", prepared))
    assert (answer.status, answer.text) == (204, "")


GOLDEN = sorted((Path(__file__).parents[1] / "unit/operator/golden").glob("job-*.yaml"))


@pytest.mark.parametrize("manifest", GOLDEN, ids=lambda manifest: manifest.stem)
def test_what_the_operator_renders_is_accepted(wire: Wire, prepared: str, manifest: Path) -> None:
    body = yaml.safe_load(manifest.read_text().replace("KEY", "0a1b2c"))
    body["metadata"]["namespace"] = prepared
    options = {"dryRun": "All", "fieldValidation": "Strict"}
    wire.ok("POST", path("batch/v1/jobs", prepared), body, **options)


@pytest.mark.parametrize(
    "kind",
    [
        *("v1/replicationcontrollers", "v1/resourcequotas", "v1/limitranges", "v1/persistentvolumes"),
        *("apps/v1/statefulsets", "apps/v1/daemonsets", "apps/v1/controllerrevisions", "batch/v1/cronjobs"),
        *("networking.k8s.io/v1/ingresses", "storage.k8s.io/v1/storageclasses"),
    ],
)
@pytest.mark.skipif("KUBECONFIG" in os.environ, reason="a real cluster serves them")
def test_a_kind_that_nothing_acts_on_is_not_found(wire: Wire, prepared: str, kind: str) -> None:
    assert wire.call("POST", path(kind, prepared), {"metadata": {"name": "x"}}).status == 404
    group, _, plural = kind.rpartition("/")
    served = wire.call("GET", f"/{'apis/' + group if '/' in group else 'api/' + group}")
    names = [one["name"] for one in served.body["resources"]] if served.status == 200 else []
    assert plural not in names
