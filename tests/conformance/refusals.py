"""Requests and what a real kube-apiserver 1.36 answered to them: status, reason, message and the fields it named.

Paths are below the test's namespace; "..." in a message stands for what differs from one cluster to the next. The
namespace holds the ConfigMap `a`, the suspended Job `j1` and the Pod `p1`, which a scheduling gate holds back.
"""

# ruff: noqa: E501  (the server's sentences are kept whole)

from dataclasses import dataclass, field
from typing import Any

from tests.support.wire import APPLY, JSON_PATCH, MERGE, STRATEGIC, Object

CONFIG, JOBS, PODS = "v1/configmaps", "batch/v1/jobs", "v1/pods"
EVENTS, SECRETS, LEASES = "v1/events", "v1/secrets", "coordination.k8s.io/v1/leases"


@dataclass(frozen=True)
class Refusal:
    """One request and its answer."""

    name: str
    method: str
    where: str
    """API version, plural and what follows below the namespace, for example "batch/v1/jobs/j1/status"."""
    body: Any
    status: int
    reason: str
    message: str
    fields: tuple[str, ...] = ()
    """The field of each cause, in order."""
    media: str = "application/json"
    query: dict[str, str] = field(default_factory=dict)


def container(**more: Any) -> Object:
    return {"name": "m", "image": "registry.example.com/app:1.0", "command": ["true"], **more}


def pod_spec(*containers: Object, **more: Any) -> Object:
    return {"restartPolicy": "Never", "containers": list(containers) or [container()], **more}


def pod(name: str, *containers: Object, **more: Any) -> Object:
    """A pod that no scheduler takes, should it be accepted."""
    gated = {"schedulingGates": [{"name": "example.com/wait"}], **more}
    return {"metadata": {"name": name}, "spec": pod_spec(*containers, **gated)}


def job(name: str, pods: Object | None = None, **spec: Any) -> Object:
    """A Job that makes no pods, should it be accepted."""
    whole = {"suspend": True, "template": {"spec": pods if pods is not None else pod_spec()}, **spec}
    return {"metadata": {"name": name}, "spec": whole}


def config(name: str | None = None, **more: Any) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name or "new"}, **more}


def _job(name: str, body: Object, message: str, *fields: str) -> Refusal:
    whole = f'Job.batch "{body["metadata"]["name"]}" is invalid: {message}'
    return Refusal(f"job {name}", "POST", JOBS, body, 422, "Invalid", whole, fields)


def _pod(name: str, body: Object, message: str, *fields: str) -> Refusal:
    whole = f'Pod "{body["metadata"]["name"]}" is invalid: {message}'
    return Refusal(f"pod {name}", "POST", PODS, body, 422, "Invalid", whole, fields)


def _job_status(name: str, status: Object, message: str, *fields: str) -> Refusal:
    whole = f'Job.batch "j1" is invalid: {message}'
    return Refusal(
        f"job status {name}", "PATCH", f"{JOBS}/j1/status", {"status": status}, 422, "Invalid", whole, fields, MERGE
    )


LONG, LABEL = "a" * 64, "y" * 64
_FIRST = "spec.template.spec.containers[0]"
_CONDITIONS = [{"type": "Complete", "status": "True"}]
_MODES = "spec.podFailurePolicy.rules[0].onExitCodes"


def _exit_codes(**codes: Any) -> Object:
    rule = {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [1], **codes}}
    return {"rules": [rule]}


JOB_REFUSALS = [
    _job("no containers", job("u2", {"restartPolicy": "Never", "containers": []}), "spec.template.spec.containers: Required value", "spec.template.spec.containers"),
    _job("dup containers", job("u3", pod_spec(container(), container())), 'spec.template.spec.containers[1].name: Duplicate value: "m"', "spec.template.spec.containers[1].name"),
    _job("no image", job("u4", pod_spec({"name": "m"})), f"{_FIRST}.image: Required value", f"{_FIRST}.image"),
    _job("negative", job("u0", backoffLimit=-1), "spec.backoffLimit: Invalid value: -1: must be greater than or equal to 0", "spec.backoffLimit"),
    _job("negative ttl", job("u1", ttlSecondsAfterFinished=-1), "spec.ttlSecondsAfterFinished: Invalid value: -1: must be greater than or equal to 0", "spec.ttlSecondsAfterFinished"),
    _job(
        "maxFailedIndexes without index",
        job("u7", maxFailedIndexes=1),
        "[spec.backoffLimitPerIndex: Required value: when maxFailedIndexes is specified, spec.maxFailedIndexes: Invalid "
        "value: 1: requires indexed completion mode]",
        "spec.backoffLimitPerIndex", "spec.maxFailedIndexes",
    ),
    _job("podFailurePolicy bad", job("u8", podFailurePolicy=_exit_codes(values=[0])), f"{_MODES}.values[0]: Invalid value: 0: must not be 0 for the In operator", f"{_MODES}.values[0]"),
    _job("podFailurePolicy unknown container", job("u9", podFailurePolicy=_exit_codes(containerName="zz")), f'{_MODES}.containerName: Invalid value: "zz": must be one of the container or initContainer names in the pod template', f"{_MODES}.containerName"),
    _job(
        "podReplacementPolicy",
        job("u10", podFailurePolicy=_exit_codes(), podReplacementPolicy="TerminatingOrFailed"),
        'spec.podReplacementPolicy: Unsupported value: "TerminatingOrFailed": supported values: "Failed"',
        "spec.podReplacementPolicy",
    ),
    _job("selector", job("u11", selector={"matchLabels": {"a": "b"}}), "[spec.selector: Invalid value: ...: `selector` not auto-generated, spec.template.metadata.labels: Invalid value: ...", "spec.selector", "spec.template.metadata.labels"),
    _job("requests above limits", job("u12", pod_spec(container(resources={"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}))), f'{_FIRST}.resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1', f"{_FIRST}.resources.requests"),
    _job("gpu without limit", job("u13", pod_spec(container(resources={"requests": {"nvidia.com/gpu": "1"}}))), f"{_FIRST}.resources.limits: Required value: Limit must be set for non overcommitable resources", f"{_FIRST}.resources.limits"),
    Refusal("job bad quantity", "POST", JOBS, job("u14", pod_spec(container(resources={"requests": {"cpu": "abc"}}))), 400, "BadRequest", "Job in version \"v1\" cannot be handled as a Job: quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"),
    _job("mount unknown", job("u15", pod_spec(container(volumeMounts=[{"name": "v", "mountPath": "/v"}]))), f'{_FIRST}.volumeMounts[0].name: Not found: "v"', f"{_FIRST}.volumeMounts[0].name"),
    _job("volume twice", job("u16", pod_spec(volumes=[{"name": "v"}, {"name": "v"}])), 'spec.template.spec.volumes[1].name: Duplicate value: "v"', "spec.template.spec.volumes[1].name"),
    _job("env bad", job("u17", pod_spec(container(env=[{"name": "A=B"}]))), f"{_FIRST}.env[0].name: Invalid value: \"A=B\": a valid environment variable name must consist only of printable ASCII characters other than '='", f"{_FIRST}.env[0].name"),
    _job("label", {**job("u20"), "metadata": {"name": "u20", "labels": {"x": LABEL}}}, f'metadata.labels: Invalid value: "{LABEL}": must be no more than 63 bytes', "metadata.labels"),
    _job("long name", job(LONG), f'spec.template.labels: Invalid value: "{LONG}": must be no more than 63 bytes', "spec.template.labels", "spec.template.labels"),
    _job("indexed long name", job("a" * 62, completionMode="Indexed", completions=1), f'metadata.name: Invalid value: "{"a" * 62}": will not able to create pod with invalid DNS label: {"a" * 62}-0', "metadata.name"),
    Refusal("job template changed", "PATCH", f"{JOBS}/j1", {"spec": {"template": {"spec": {"containers": [{"name": "m", "image": "z"}]}}}}, 422, "Invalid", 'Job.batch "j1" is invalid: spec.template.spec: Invalid value: ...: field is immutable', ("spec.template.spec",), STRATEGIC),
    _job_status("counts", {"active": -1, "ready": 0}, "[status.active: Invalid value: -1: must be greater than or equal to 0, status.ready: Invalid value: 0: cannot set more ready pods than active]", "status.active", "status.ready"),
    _job_status(
        "complete at once",
        {"conditions": _CONDITIONS},
        "[status.completionTime: Required value: completionTime is required for Complete jobs, status.conditions: Invalid "
        "value: cannot set Complete=True condition without the SuccessCriteriaMet=true condition, status.startTime: Required "
        "value: startTime is required for finished job]",
        "status.completionTime", "status.conditions", "status.startTime",
    ),
]  # fmt: skip

POD_REFUSALS = [
    _pod("port", pod("u23", container(ports=[{"containerPort": 99999}])), "spec.containers[0].ports[0].containerPort: Invalid value: 99999: must be between 1 and 65535, inclusive", "spec.containers[0].ports[0].containerPort"),
    _pod("toleration", pod("u24", tolerations=[{"key": "k", "operator": "Exists", "value": "x"}]), "spec.tolerations[0].operator: Invalid value: \"x\": value must be empty when `operator` is 'Exists'", "spec.tolerations[0].operator"),
    _pod("affinity", pod("u25", affinity={"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}}), "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms: Required value: must have at least one node selector term", "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"),
    Refusal("pod binding without name", "POST", f"{PODS}/p1/binding", {"target": {"kind": "Node", "name": "n"}}, 400, "BadRequest", "name in URL does not match name in Binding object"),
    Refusal("pod binding of a gated pod", "POST", f"{PODS}/p1/binding", {"metadata": {"name": "p1"}, "target": {"kind": "Node", "name": "n"}}, 409, "Conflict", 'Operation cannot be fulfilled on pods/binding "p1": pod p1 has non-empty .spec.schedulingGates'),
]  # fmt: skip

_DELETE_OPTIONS = 'DeleteOptions.meta.k8s.io "" is invalid: propagationPolicy: '
_KEY = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or "
    "'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)
_PATCH_FAILS = "the server rejected our request due to an error in our request"

OTHER_REFUSALS = [
    Refusal("cm key", "POST", CONFIG, config("bk", data={"a/b": ""}), 422, "Invalid", f'ConfigMap "bk" is invalid: data[a/b]: Invalid value: "a/b": {_KEY}', ("data[a/b]",)),
    Refusal("cm finalizer", "POST", CONFIG, {"metadata": {"name": "bf", "finalizers": ["bad"]}}, 422, "Invalid", 'ConfigMap "bf" is invalid: metadata.finalizers[0]: Invalid value: "bad": name is neither a standard finalizer name nor is it fully qualified', ("metadata.finalizers[0]",)),
    Refusal("cm owner", "POST", CONFIG, {"metadata": {"name": "bo", "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "x", "uid": ""}]}}, 422, "Invalid", 'ConfigMap "bo" is invalid: metadata.ownerReferences.uid: Invalid value: "": must not be empty', ("metadata.ownerReferences.uid",)),
    Refusal("cm dry run", "POST", CONFIG, config("d"), 422, "Invalid", 'CreateOptions.meta.k8s.io "" is invalid: dryRun: Unsupported value: ["Some"]: supported values: "All"', ("dryRun",), query={"dryRun": "Some"}),
    Refusal("cm field manager", "POST", CONFIG, config("d"), 422, "Invalid", 'CreateOptions.meta.k8s.io "" is invalid: fieldManager: Too long: may not be more than 128 bytes', ("fieldManager",), query={"fieldManager": "x" * 129}),
    Refusal("list resourceVersion", "GET", CONFIG, None, 400, "BadRequest", 'invalid resource version: resourceVersion: Invalid value: "abc": strconv.ParseUint: parsing "abc": invalid syntax', query={"resourceVersion": "abc"}),
    Refusal("list resourceVersionMatch", "GET", CONFIG, None, 422, "Invalid", 'ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided', ("resourceVersionMatch",), query={"resourceVersionMatch": "Exact"}),
    Refusal("put other uid", "PUT", f"{CONFIG}/a", {"metadata": {"name": "a", "uid": "x"}}, 409, "Conflict", 'Operation cannot be fulfilled on configmaps "a": StorageError: invalid object, Code: 4, Key: /registry/configmaps/.../a, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: x, UID in object meta: ...'),
    Refusal("merge uid", "PATCH", f"{CONFIG}/a", {"metadata": {"uid": "nope"}}, 422, "Invalid", 'ConfigMap "a" is invalid: metadata.uid: Invalid value: "nope": field is immutable', ("metadata.uid", "metadata.uid"), MERGE),
    Refusal("merge array", "PATCH", f"{CONFIG}/a", [], 400, "BadRequest", "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}", media=MERGE),
    Refusal("json patch test", "PATCH", f"{CONFIG}/a", [{"op": "test", "path": "/data/k", "value": "9"}], 422, "Invalid", _PATCH_FAILS, media=JSON_PATCH),
    Refusal("json patch path", "PATCH", f"{CONFIG}/a", [{"op": "remove", "path": "/data/none"}], 422, "Invalid", _PATCH_FAILS, media=JSON_PATCH),
    Refusal("json patch operation", "PATCH", f"{CONFIG}/a", [{"op": "frob", "path": "/data"}], 422, "Invalid", _PATCH_FAILS, media=JSON_PATCH),
    Refusal("apply managedFields", "PATCH", f"{CONFIG}/s", {**config("s"), "metadata": {"name": "s", "managedFields": []}}, 400, "BadRequest", "metadata.managedFields must be nil", media=APPLY, query={"fieldManager": "m"}),
    Refusal("apply uid", "PATCH", f"{CONFIG}/s2", {**config("s2"), "metadata": {"name": "s2", "uid": "x"}}, 409, "Conflict", 'Operation cannot be fulfilled on configmaps "s2": uid mismatch: the provided object specified uid x, and no existing object was found', media=APPLY, query={"fieldManager": "m"}),
    Refusal("apply without type", "PATCH", f"{CONFIG}/s", {"metadata": {"name": "s"}}, 400, "BadRequest", "invalid object type: /, Kind=", media=APPLY, query={"fieldManager": "m"}),
    Refusal("delete policy", "DELETE", f"{CONFIG}/a", {"propagationPolicy": "Bad"}, 422, "Invalid", f'{_DELETE_OPTIONS}Unsupported value: "Bad": supported values: "Foreground", "Background", "Orphan", "nil"', ("propagationPolicy",)),
    Refusal("delete orphan and policy", "DELETE", f"{CONFIG}/a", {"propagationPolicy": "Orphan", "orphanDependents": True}, 422, "Invalid", f'{_DELETE_OPTIONS}Invalid value: "Orphan": orphanDependents and deletionPropagation cannot be both set', ("propagationPolicy",)),
    Refusal("delete resourceVersion", "DELETE", f"{CONFIG}/a", {"preconditions": {"resourceVersion": "1"}}, 409, "Conflict", 'Operation cannot be fulfilled on ConfigMap "a": the ResourceVersion in the precondition (1) does not match the ResourceVersion in record (...). The object might have been modified'),
    Refusal("event of another namespace", "POST", EVENTS, {"metadata": {"name": "e2"}, "involvedObject": {"kind": "Pod", "name": "p", "namespace": "other"}}, 422, "Invalid", 'Event "e2" is invalid: involvedObject.namespace: Invalid value: "other": does not match event.namespace', ("involvedObject.namespace",)),
    Refusal("secret type", "POST", SECRETS, {"metadata": {"name": "s"}, "type": "kubernetes.io/tls"}, 422, "Invalid", 'Secret "s" is invalid: [data[tls.crt]: Required value, data[tls.key]: Required value]', ("data[tls.crt]", "data[tls.key]")),
    Refusal("lease", "POST", LEASES, {"metadata": {"name": "l"}, "spec": {"leaseDurationSeconds": 0}}, 422, "Invalid", 'Lease.coordination.k8s.io "l" is invalid: spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0', ("spec.leaseDurationSeconds",)),
    Refusal("lease time", "POST", LEASES, {"metadata": {"name": "l"}, "spec": {"renewTime": "2024-01-01T00:00:00Z"}}, 400, "BadRequest", 'Lease in version "v1" cannot be handled as a Lease: parsing time "2024-01-01T00:00:00Z" as "2006-01-02T15:04:05.000000Z07:00": cannot parse "Z" as ".000000"'),
]  # fmt: skip

REFUSALS = [*JOB_REFUSALS, *POD_REFUSALS, *OTHER_REFUSALS]
