"""Objects as the cache keeps them: trimmed JSON, a quarter of what the same takes as Python values."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import orjson

from fabula_api.once import once
from fabula_operator.kube.admission import waits
from fabula_operator.kube.resources import CHILDREN, RUNS, Obj
from fabula_operator.kube.trim import trimmed

OPEN = 2048
"""Objects that are kept as Python values too: those of the runs that are looked at right now."""


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
