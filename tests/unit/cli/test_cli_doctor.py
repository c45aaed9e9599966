"""What the doctor says of a cluster: each line OK, a note, or what to do."""

from datetime import UTC, datetime
from typing import Any

import pytest

from fabula_api.crd import crds
from fabula_cli.checks import Unseen, seen
from fabula_cli.diagnosis import Facts, Right, judge
from fabula_cli.model_cache import CacheSeen
from fabula_cli.worker_secret import SecretSeen
from fabula_kube.errors import ApiError
from fabula_operator.render.worker_defaults import ModelCache

NOW = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
CRDS: dict[str, dict[str, Any]] = {one["metadata"]["name"]: one for one in crds()}
OTHERS = ("pytorchjobs.kubeflow.org", "clusterqueues.kueue.x-k8s.io", "podmonitors.monitoring.coreos.com")
FULL = CRDS | {name: {} for name in OTHERS}
FORBIDDEN = Unseen("Forbidden")


def lease(holder: str = "one", renewed: str = "2026-01-31T11:59:58.000000Z") -> dict[str, Any]:
    return {
        "metadata": {"namespace": "fabula", "name": "fabula"},
        "spec": {"holderIdentity": holder, "renewTime": renewed},
    }


def deployment(ready: int) -> dict[str, Any]:
    """The operator's, of two replicas."""
    return {"metadata": {"namespace": "fabula"}, "spec": {"replicas": 2}, "status": {"readyReplicas": ready}}


def node(gpus: int, product: str | None) -> dict[str, Any]:
    labels = {"nvidia.com/gpu.product": product} if product else {}
    return {"metadata": {"labels": labels}, "status": {"allocatable": {"nvidia.com/gpu": str(gpus)}}}


CLAIM = ModelCache(claim="models")
BOUND: dict[str, Any] = {"spec": {"accessModes": ["ReadWriteMany"]}, "status": {"phase": "Bound"}}
REFUSED = '{"outcome":"Failed","failure":{"reason":"CredentialsRefused","message":"model: a/b is gated"}}'


def filling(*ends: str) -> dict[str, Any]:
    """The Job that fills the cache."""
    pod = {"spec": {"containers": [{"args": ["a/b", "c/d@v1"]}]}}
    conditions = [{"type": one, "status": "True"} for one in ends]
    return {"metadata": {"name": "fill"}, "spec": {"template": pod}, "status": {"conditions": conditions}}


def quota(gpus: str, memory: str) -> dict[str, Any]:
    """A namespace's quota, and what of it is used."""
    hard = {"requests.nvidia.com/gpu": "8", "requests.memory": "3Ti", "count/pods": "100"}
    used = {"requests.nvidia.com/gpu": gpus, "requests.memory": memory}
    return {"metadata": {"name": "team"}, "status": {"hard": hard, "used": used}}


def died(word: str) -> dict[str, Any]:
    """A pod of that Job which left a last word."""
    state = {"terminated": {"exitCode": 77, "message": word, "finishedAt": "2026-01-31T11:00:00Z"}}
    labels = {"job-name": "fill"}
    return {"metadata": {"labels": labels}, "status": {"containerStatuses": [{"state": state}]}}


def facts(**changed: Any) -> Facts:
    """A cluster that has everything, but for what a test changes."""
    right = Right("create", "fabula.dev", "evalruns", True)
    has: dict[str, Any] = {
        "namespace": "default", "crds": FULL, "user_rights": [right], "account": "fabula/operator",
        "operator_rights": [right], "leases": [lease()], "nodes": [node(8, "NVIDIA-H200")], "local_queues": ["team"],
        "monitors": ["ServiceMonitor fabula"], "root": "s3://bucket/root",
        "cache": CacheSeen(CLAIM, BOUND, [filling("Complete")]),
    }  # fmt: skip
    return Facts(**(has | changed))


def test_a_cluster_that_has_everything_is_ok() -> None:
    found = judge(facts(), NOW)
    assert {one.state for one in found} == {"OK"}
    assert len(found) == 15


def test_a_laptop_has_no_settings_of_an_installation_to_note() -> None:
    found = judge(facts(deployments=[], secret=None, cache=None), NOW)
    assert {one.about for one in found} & {"worker secret", "model cache"} == set()
    assert {one.state for one in found} == {"OK"}


@pytest.mark.parametrize(
    ("code", "reason", "why"), [(404, "Unknown", "NotFound"), (403, "Forbidden", "Forbidden"), (502, "Unknown", "502")]
)
def test_what_cannot_be_looked_at_has_a_reason(code: int, reason: str, why: str) -> None:
    def look() -> None:
        raise ApiError(code, reason, "no")

    assert seen(look) == Unseen(why)


OLD = {
    name: {**one, "spec": {**one["spec"], "versions": [{"name": "v1", "served": True}]}} for name, one in CRDS.items()
}


@pytest.mark.parametrize(
    ("about", "changed", "state", "words"),
    [
        ("EvalRun", {"crds": {}}, "MISSING", "apply crds/"),
        ("EvalRun", {"crds": OLD}, "MISSING", "v1alpha1 is not served"),
        ("kinds", {"crds": FORBIDDEN}, "NOTE", "Forbidden"),
        ("your rights", {"user_rights": [Right("list", "", "pods", False)]}, "MISSING", "may not list pods"),
        ("your rights", {"user_rights": FORBIDDEN}, "NOTE", "Forbidden"),
        ("operator", {"leases": []}, "MISSING", "helm install"),
        ("operator", {"leases": [lease(holder="")]}, "MISSING", "nobody holds"),
        ("operator", {"leases": [lease(renewed="2026-01-31T11:00:00Z")]}, "MISSING", "3600 s ago"),
        ("operator", {"leases": [lease(renewed="2026-01-31T11:00:00Z"), lease("two")]}, "OK", "two holds"),
        ("operator", {"leases": FORBIDDEN}, "NOTE", "Forbidden"),
        ("operator", {"deployments": [deployment(2)]}, "OK", "one holds the Lease fabula/fabula; 2 of 2 are ready"),
        ("operator", {"deployments": [deployment(1)]}, "NOTE", "but 1 of 2 are ready: see kubectl -n fabula get pods"),
        ("operator's rights", {"operator_rights": [Right("create", "batch", "jobs", False)]}, "MISSING", "jobs.batch"),
        ("operator's rights", {"account": None}, "NOTE", "not found"),
        ("store", {"root": None}, "NOTE", "--artifact-root"),
        ("store", {"store_problem": "s3://bucket/root: access denied"}, "MISSING", "access denied"),
        ("store", {"root": "file:///data", "store_problem": "no such folder"}, "NOTE", "only pods reach"),
        ("worker secret", {"secret": FORBIDDEN}, "NOTE", "Forbidden"),
        ("worker secret", {"secret": SecretSeen("hub", None)}, "MISSING", "Secret hub (workers.secretName) is not in"),
        ("worker secret", {"secret": SecretSeen("hub", ("HF_TOKEN",))}, "OK", "hub gives workers HF_TOKEN"),
        ("worker secret", {"secret": SecretSeen("hub", ())}, "OK", "without HF_TOKEN, gated models"),
        ("quotas", {"quotas": FORBIDDEN}, "NOTE", "Forbidden"),
        ("quotas", {"quotas": [quota("7", "2Ti")]}, "OK", "there is room in team"),
        ("quotas", {"quotas": [quota("8", "900Gi")]}, "MISSING", "team: 8 of 8 requests.nvidia.com/gpu are used"),
        ("quotas", {"quotas": [quota("0", "3072Gi")]}, "MISSING", "team: 3072Gi of 3Ti requests.memory are used"),
        ("model cache", {"cache": FORBIDDEN}, "NOTE", "Forbidden"),
        ("model cache", {"cache": CacheSeen(None)}, "NOTE", "Set workers.modelCache.claim"),
        ("model cache", {"cache": CacheSeen(ModelCache(host_path="/mnt/models"))}, "OK", "/mnt/models on each node"),
        ("model cache", {"cache": CacheSeen(CLAIM)}, "MISSING", "claim models is not in namespace default"),
        ("model cache", {"cache": CacheSeen(CLAIM, FORBIDDEN)}, "NOTE", "Forbidden"),
        ("model cache", {"cache": CacheSeen(CLAIM, BOUND)}, "OK", "no Job fills it"),
        (
            "model cache",
            {"cache": CacheSeen(CLAIM, BOUND | {"status": {"phase": "Lost"}})},
            "MISSING",
            "lost its volume",
        ),
        (
            "model cache",
            {"cache": CacheSeen(CLAIM, {"spec": {"accessModes": ["ReadWriteOnce"]}})},
            "OK",
            "not bound yet (ReadWriteOnce: it serves one node)",
        ),
        ("model cache", {"cache": CacheSeen(CLAIM, BOUND, [filling()])}, "NOTE", "is filling it with a/b, c/d@v1"),
        (
            "model cache",
            {"cache": CacheSeen(CLAIM, BOUND, [filling("Failed")], [died(REFUSED)])},
            "MISSING",
            "failed to fill it with a/b, c/d@v1: CredentialsRefused: model: a/b is gated",
        ),
        (
            "model cache",
            {"cache": CacheSeen(CLAIM, BOUND, [filling("Failed")], [died("Killed")])},
            "MISSING",
            "its log",
        ),
        ("GPUs", {"nodes": [node(0, None)]}, "NOTE", "no node offers"),
        ("GPUs", {"nodes": [node(8, None)]}, "MISSING", "GPU feature discovery"),
        ("GPUs", {"nodes": [node(8, "Voodoo")]}, "NOTE", "Voodoo is not known"),
        ("GPUs", {"nodes": FORBIDDEN}, "NOTE", "Forbidden"),
        ("training operator", {"crds": CRDS}, "NOTE", "Indexed Jobs"),
        ("Kueue", {"crds": CRDS}, "NOTE", "not installed"),
        ("Kueue", {"local_queues": []}, "MISSING", "no LocalQueue in default"),
        ("Prometheus", {"crds": CRDS}, "NOTE", "not installed"),
        ("Prometheus", {"monitors": []}, "MISSING", "nothing scrapes"),
        ("Prometheus", {"monitors": ["PodMonitor fabula-workers"]}, "MISSING", "the operator, which has all figures"),
    ],
)
def test_each_line_says_what_to_do(about: str, changed: dict[str, Any], state: str, words: str) -> None:
    (line,) = (one for one in judge(facts(**changed), NOW) if one.about == about)
    assert (line.state, words in line.said) == (state, True), line


def test_kinds_of_an_older_version_lack_fields() -> None:
    lacking = crds()
    for one in lacking:
        del one["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["recipe"]
    found = judge(facts(crds={one["metadata"]["name"]: one for one in lacking}), NOW)
    assert [one.said for one in found[:3]] == [
        "is older than this command: it lacks spec.recipe. Upgrade the CRDs before the operator"
    ] * 3
