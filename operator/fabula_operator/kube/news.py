"""What an object says of itself: whose it is, and which of two versions is the newer one."""

from __future__ import annotations

from typing import NamedTuple

from fabula_api.recipes import Kind
from fabula_operator.kube.packed import Packed
from fabula_operator.kube.resources import Obj
from fabula_operator.render.names import RUN_UID


class Key(NamedTuple):
    """Names one run."""

    kind: Kind
    namespace: str
    name: str


def key_of(run: Obj) -> Key:
    """The run's own."""
    return Key(run["kind"], run["metadata"]["namespace"], run["metadata"]["name"])


def run_uid(obj: Obj) -> str | None:
    """Uid of the run that an object's label names."""
    uid = (obj["metadata"].get("labels") or {}).get(RUN_UID)
    return str(uid) if uid else None


def has_number(obj: Obj) -> bool:
    """Whether the object's version is a number, and so can be compared where the server documents that."""
    return str(obj["metadata"].get("resourceVersion")).isdigit()


def newer(obj: Obj, known: Packed) -> bool:
    """Whether `obj` is news. An object that was made again under its name is another one, and so always is."""
    if obj["metadata"]["uid"] != known.uid:
        return True
    version = obj["metadata"].get("resourceVersion")
    return bool(version != known.version) and _number(version) >= _number(known.version)


def _number(version: str | None) -> int:
    text = str(version or "0")
    return int(text) if text.isdigit() else 0
