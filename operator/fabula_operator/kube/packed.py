"""Objects as the cache keeps them, since ten thousand whole ones would fill a pod: what looks, reports and metrics ask
of them, as JSON, a quarter of what the same takes as Python values."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import orjson

from fabula_api.once import once
from fabula_operator.kube.admission import waits
from fabula_operator.kube.resources import CHILDREN, RUNS, Obj

OPEN = 2048
"""Objects that are kept as Python values too: those of the runs that are looked at right now."""
_METADATA = (
    "name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "labels",
    "ownerReferences",
)  # fmt: skip
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


@dataclass(frozen=True, slots=True)
class Packed:
    """One object, with what is asked of all of them beside it."""

    uid: str
    version: str | None
    state: str | None
    """A run's status.state."""
    answered: bool
    """Whether the status of a run is of the spec that it has."""
    queued: bool
    """Whether it is a child that a queue has not admitted."""
    rest: bytes
    spec: bytes
    """By itself, so that news of a status leave what follows from the spec as it was worked out."""

    @classmethod
    def of(cls, obj: Obj, known: Packed | None = None) -> Packed:
        """The object as it is kept beside, or instead of, the one that was known under its name."""
        kept, meta = trimmed(obj), obj["metadata"]
        queued = obj["kind"] in CHILDREN and waits(kept)
        spec = _packed(kept.pop("spec", None))
        if known is not None and known.spec == spec:
            spec = known.spec
        run = obj["kind"] in RUNS
        state = kept["status"].get("state") if run else None
        answered = not run or kept["status"].get("observedGeneration") == meta.get("generation", 1)
        state = state if isinstance(state, str) else None
        return cls(meta["uid"], meta.get("resourceVersion"), state, answered, queued, _packed(kept), spec)

    def open(self) -> Obj:
        """The object. Nobody may change it: others get the same one."""
        return _opened(self)

    def read(self) -> Obj:
        """The object, where all are read one after the other."""
        return _whole(_read(self.rest), _read(self.spec))


def trimmed(obj: Obj) -> Obj:
    """The object without managed fields, without what kubectl keeps in it, and without what its pods are made of."""
    meta = obj["metadata"]
    kept: Obj = {"apiVersion": obj.get("apiVersion"), "kind": obj["kind"]}
    kept["metadata"] = {name: meta[name] for name in _METADATA if name in meta}
    if meta.get("annotations"):
        kept["metadata"]["annotations"] = {
            name: value for name, value in meta["annotations"].items() if name != _LAST_APPLIED
        }
    if obj["kind"] in RUNS:
        kept["spec"] = obj.get("spec") or {}
    elif obj["kind"] != "Pod":
        kept["spec"] = _without_templates(obj.get("spec"))
    kept["status"] = _of_pod(obj.get("status") or {}) if obj["kind"] == "Pod" else obj.get("status") or {}
    return kept


def _of_pod(status: Obj) -> Obj:
    """How a pod and its containers stand, without where they run and what they are made of."""
    kept: Obj = {name: status[name] for name in ("phase", "reason", "message", "conditions") if name in status}
    for name in ("containerStatuses", "initContainerStatuses"):
        if status.get(name):
            kept[name] = [
                {"name": container.get("name"), "state": container.get("state")} for container in status[name]
            ]
    return kept


def _without_templates(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {name: _without_templates(item) for name, item in value.items() if name not in ("template", "selector")}


def _packed(value: Any) -> bytes:
    """JSON in no more memory than it needs: what orjson gives keeps the room that it was written in."""
    try:
        return bytes(memoryview(orjson.dumps(value)))
    except TypeError:
        # A whole number of more than 64 bits, or a lone surrogate: whoever may create objects may write them.
        return json.dumps(value).encode()


def _read(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text)


@once(OPEN)
def _opened(packed: Packed) -> Obj:
    return _whole(_read(packed.rest), _spec(packed.spec))


@once(OPEN)
def _spec(spec: bytes) -> Obj | None:
    value: Obj | None = _read(spec)
    return value


def _whole(rest: Obj, spec: Obj | None) -> Obj:
    if spec is not None:
        rest["spec"] = spec
    return rest
