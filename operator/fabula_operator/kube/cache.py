"""What is known of the cluster: fed by watch events and lists in any order, older news never replaces newer."""

from __future__ import annotations

import logging
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple, TypeVar

from fabula_api.outside import plain
from fabula_api.recipes import Kind
from fabula_operator.kube.admission import waits
from fabula_operator.kube.claims import Claims
from fabula_operator.kube.own_writes import OwnWrites, Written
from fabula_operator.kube.packed import Packed
from fabula_operator.kube.resources import CHILDREN, RUNS, Obj
from fabula_operator.plan.kinds import KINDS
from fabula_operator.plan.seen.api_objects import Child, Pod, controller_kind, controller_uid
from fabula_operator.plan.seen.observed import Environment, Observed, Reference, Report, Run, Waiting, read_status
from fabula_operator.plan.stages.references import named_runs
from fabula_operator.render.names import RUN_UID

logger = logging.getLogger(__name__)
T = TypeVar("T")
_REMEMBERED_DELETIONS = 10_000


class Key(NamedTuple):
    """Names one run."""

    kind: Kind
    namespace: str
    name: str


def run_uid(obj: Obj) -> str | None:
    """Uid of the run that an object's label names."""
    uid = (obj["metadata"].get("labels") or {}).get(RUN_UID)
    return str(uid) if uid else None


def _version(obj: Obj) -> int:
    text = str(obj["metadata"].get("resourceVersion") or "0")
    return int(text) if text.isdigit() else 0


def _is_number(obj: Obj) -> bool:
    return str(obj["metadata"].get("resourceVersion")).isdigit()


def _newer(obj: Obj, known: Packed) -> bool:
    """Whether `obj` is news. An object that was made again under its name is another one, and so always is."""
    if obj["metadata"]["uid"] != known.uid:
        return True
    version = obj["metadata"].get("resourceVersion")
    before = known.version or "0"
    return bool(version != known.version) and _version(obj) >= (int(before) if before.isdigit() else 0)


class Cache:
    """Runs, their children and pods. Feed it with `put` and `drop`; both tell which runs to look at again.

    What is known already is no news, such as the watch's echo of what was put in when it was written.
    """

    def __init__(self) -> None:
        self._runs: dict[Key, Packed] = {}
        self._keys: dict[str, Key] = {}
        self._owned: dict[tuple[str, str], dict[tuple[str, str], Packed]] = {}
        """(Namespace, run uid) to children and pods by (kind, name): a label in another namespace reaches no run."""
        self._foreign: dict[str, str] = {}
        """Uid of an object that was left out to why, so that it is said once."""
        self._named_by: dict[Key, set[Key]] = {}
        self._deleted: OrderedDict[str, None] = OrderedDict()
        self._deletions: Counter[str] = Counter()
        self._gone: OrderedDict[Key, str] = OrderedDict()
        """Deleted runs to their uids."""
        self._admissions: dict[str, dict[str, str]] = {}
        """Run uid to what Kueue says of its queued children, by their uid."""
        self._claims = Claims()
        self.own_writes = OwnWrites()
        self.comparable: bool | None = None
        """Whether versions of one resource compare as integers; None until the server was asked."""

    def wrote(self, run: str, obj: Obj) -> set[Key]:
        """Take what a write for a run answered, as news."""
        if not self.comparable or not _is_number(obj):
            self.own_writes.wrote(run, obj)
        return self.put(obj, own=True)

    def put(self, obj: Obj, *, own: bool = False) -> set[Key]:
        """Take news of an object; the runs that may be affected. News older than what is known are ignored."""
        meta = obj["metadata"]
        if meta["uid"] in self._deleted:
            return set()
        if obj["kind"] in RUNS:
            key = Key(obj["kind"], meta["namespace"], meta["name"])
            known = self._runs.get(key)
            echo = not own and self.own_writes.told(meta["uid"], obj)
            if known is not None and not _newer(obj, known):
                return {key} if echo else set()
            kept = Packed.of(obj, known)
            self._index(key, known, kept)
            self._runs[key] = kept
            self._keys[meta["uid"]] = key
            return {key, *self._named_by.get(key, ())}
        uid = run_uid(obj)
        if uid is None:
            return set()
        owned = self._owned.setdefault((meta["namespace"], uid), {})
        known = owned.get((obj["kind"], meta["name"]))
        echo = not own and self.own_writes.told(uid, obj)
        if known is not None and not _newer(obj, known):
            return self._affected(meta["namespace"], uid) if echo else set()
        owned[obj["kind"], meta["name"]] = Packed.of(obj, known)
        return self._affected(meta["namespace"], uid)

    def _affected(self, namespace: str, uid: str) -> set[Key]:
        key = self._keys.get(uid)
        return {key} if key is not None and key.namespace == namespace else set()

    def _of(self, uid: str) -> dict[tuple[str, str], Packed]:
        key = self._keys.get(uid)
        return self._owned.get((key.namespace, uid), {}) if key is not None else {}

    def drop(self, obj: Obj) -> set[Key]:
        """Take news of a deletion; the runs that may be affected. Later news of the same object are ignored."""
        meta = obj["metadata"]
        self._deleted[meta["uid"]] = None
        while len(self._deleted) > _REMEMBERED_DELETIONS:
            self._deleted.popitem(last=False)
        if obj["kind"] in RUNS:
            key = Key(obj["kind"], meta["namespace"], meta["name"])
            known = self._runs.get(key)
            if known is not None and known.uid == meta["uid"]:
                self._index(key, known, None)
                del self._runs[key]
            self._keys.pop(meta["uid"], None)
            self.own_writes.forget(meta["uid"])
            self._deletions[key.namespace] += 1
            self._gone[key] = meta["uid"]
            self._gone.move_to_end(key)
            while len(self._gone) > _REMEMBERED_DELETIONS:
                self._gone.popitem(last=False)
            self._owned.pop((meta["namespace"], meta["uid"]), None)
            self._admissions.pop(meta["uid"], None)
            return {key, *self._named_by.get(key, ())}
        self._foreign.pop(meta["uid"], None)
        if (uid := run_uid(obj)) is None:
            return set()
        self.own_writes.read(uid, Written(obj["kind"], meta["name"]))
        owned = self._owned.get((meta["namespace"], uid), {})
        known = owned.get((obj["kind"], meta["name"]))
        if known is not None and known.uid == meta["uid"]:
            del owned[obj["kind"], meta["name"]]
            if not owned:
                del self._owned[meta["namespace"], uid]
        return self._affected(meta["namespace"], uid)

    def owned(self, uid: str) -> list[Obj]:
        """A run's children and pods as last heard of."""
        return [one.open() for one in self._of(uid).values()]

    def sync(self, before: Iterable[Obj], found: Iterable[Obj]) -> None:
        """Take a live list of a run's children and pods: what was known `before` it was asked for and is not in it is
        gone. What was heard of meanwhile may be younger than the list."""
        objects = list(found)
        there = {obj["metadata"]["uid"] for obj in objects}
        for obj in before:
            if obj["metadata"]["uid"] not in there:
                self.drop(obj)
        for obj in objects:
            self.put(obj)

    def waiting(self) -> dict[str, str]:
        """Uids of children that a queue has not admitted, with the uids of their runs."""
        return {
            child.uid: uid
            for (_, uid), owned in self._owned.items()
            for (kind, _), child in owned.items()
            if kind in CHILDREN and waits(child.read())
        }

    def admit(self, waiting: Mapping[str, str], told: Mapping[str, str]) -> set[Key]:
        """Take what Kueue says of the children that wait, by their uid; the runs for which that is news."""
        found: dict[str, dict[str, str]] = {}
        for child, uid in waiting.items():
            if child in told:
                found.setdefault(uid, {})[child] = told[child]
        changed = {uid for uid in {*found, *self._admissions} if found.get(uid) != self._admissions.get(uid)}
        self._admissions = found
        return {self._keys[uid] for uid in changed if uid in self._keys}

    def uids(self, kind: str) -> dict[str, Packed]:
        """All objects of a kind by their uid."""
        if kind in RUNS:
            return {one.uid: one for key, one in self._runs.items() if key.kind == kind}
        owned = (one for all_ in self._owned.values() for one in all_.items())
        return {one.uid: one for (owned_kind, _), one in owned if owned_kind == kind}

    def get(self, key: Key) -> Obj | None:
        """The run as last heard of."""
        found = self._runs.get(key)
        return found.open() if found is not None else None

    def gone(self, key: Key) -> str | None:
        """Uid of the run of that name that was deleted last."""
        return self._gone.get(key)

    def deletions(self, namespace: str) -> int:
        """How many runs of a namespace went, as far as this process heard."""
        return self._deletions[namespace]

    def key_of(self, uid: str) -> Key | None:
        """The run with that uid."""
        return self._keys.get(uid)

    def pod(self, uid: str, name: str) -> Obj | None:
        """A pod of a run."""
        found = self._of(uid).get(("Pod", name))
        return found.open() if found is not None else None

    def pods(self, uid: str) -> list[Obj]:
        """All pods of a run."""
        return [one.open() for (kind, _), one in self._of(uid).items() if kind == "Pod"]

    def child_uids(self, uid: str) -> set[str]:
        """Uids of a run's Jobs and PyTorchJobs."""
        return {
            one.uid
            for (kind, _), one in self._of(uid).items()
            if kind in CHILDREN and controller_uid(one.open()["metadata"]) == uid
        }

    def keys(self) -> list[Key]:
        """All runs."""
        return list(self._runs)

    def packed(self) -> Iterable[tuple[Key, Packed]]:
        """All runs as they are kept: the same as before as long as nothing is new of one."""
        return self._runs.items()

    def runs(self, kind: Kind | None = None, state: str | None = None) -> Iterator[Obj]:
        """All runs as objects, or those of a kind, or in a state."""
        for key, one in list(self._runs.items()):
            if kind in (None, key.kind) and state in (None, one.state):
                yield one.read()

    def observed(
        self, key: Key, environment: Environment, reports: tuple[Report, ...], obstacle: Waiting | None
    ) -> Observed | None:
        """Everything a plan for the run may look at; None when there is no such run."""
        obj = self.get(key)
        if obj is None:
            return None
        run = Run.from_object(obj)
        uid = run.identity.uid
        owned = [one.open() for _, one in sorted(self._of(uid).items())]
        # Labels can be forged: a child is controlled by the run, a pod by a child, which may be gone before its pods.
        children = self._read(
            Child.from_object,
            (one for one in owned if one["kind"] in CHILDREN and controller_uid(one["metadata"]) == uid),
        )
        pods = self._read(
            Pod.from_object,
            (one for one in owned if one["kind"] == "Pod" and controller_kind(one["metadata"]) in CHILDREN),
        )
        references = {
            (kind, name): self._reference(Key(kind, key.namespace, name))
            for kind, name in sorted(named_runs(key.kind, obj.get("spec") or {}))
        }
        admissions = self._admissions.get(uid, {})
        claims = self._claims.beside(obj, environment.artifact_root) if key.kind == "FineTuneRun" else {}
        return Observed(run, environment, children, pods, references, reports, admissions, obstacle, claims)

    def _read(self, read: Callable[[Obj], T], objects: Iterable[Obj]) -> tuple[T, ...]:
        """The objects as values. What does not parse was not made by us: it is left out, and the log says so once."""
        found = []
        for one in objects:
            try:
                found.append(read(one))
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                meta, why = one["metadata"], str(error) or type(error).__name__
                if self._foreign.get(meta["uid"]) != why:
                    self._foreign[meta["uid"]] = why
                    logger.warning("%s %s/%s is left out: %s", one["kind"], meta["namespace"], meta["name"], plain(why))
        return tuple(found)

    def _reference(self, key: Key) -> Reference:
        obj = self.get(key)
        if obj is None:
            return Reference(key.kind, key.name, exists=False)
        status = read_status(key.kind, obj.get("status"))
        kind = KINDS[key.kind]
        artifact, (samples, train_samples) = kind.made(status), kind.samples(status)
        return Reference(
            key.kind,
            key.name,
            state=status.state,
            uri=artifact.uri if artifact else None,
            digest=artifact.digest if artifact else None,
            reason=status.reason,
            samples=samples,
            train_samples=train_samples,
            recipe=(obj.get("spec") or {}).get("recipe"),
            dry_run=(obj.get("spec") or {}).get("dryRun") is True,
        )

    def _index(self, key: Key, old: Packed | None, new: Packed | None) -> None:
        if key.kind == "DatasetBuild":
            # It names no run, and claims no work.
            return
        before, after = (one.open() if one is not None else None for one in (old, new))
        for obj, add in ((before, False), (after, True)):
            for kind, name in named_runs(key.kind, (obj or {}).get("spec") or {}):
                waiting = self._named_by.setdefault(Key(kind, key.namespace, name), set())
                (waiting.add if add else waiting.discard)(key)
        self._claims.change(f"{key.namespace}/{key.name}", before, after)
