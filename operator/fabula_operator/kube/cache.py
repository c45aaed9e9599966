"""What is known of the cluster: fed by watch events and lists in any order, older news never replaces newer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from fabula_api.recipes import Kind
from fabula_kube.work_queue import Urgency
from fabula_operator.kube.claims import Claims
from fabula_operator.kube.deletions import Deletions
from fabula_operator.kube.news import Key as Key
from fabula_operator.kube.news import has_number, key_of, newer
from fabula_operator.kube.news import run_uid as run_uid
from fabula_operator.kube.own_writes import OwnWrites, Written
from fabula_operator.kube.packed import Packed
from fabula_operator.kube.resources import CHILDREN, RUNS, Obj
from fabula_operator.plan.groups.group import has_groups
from fabula_operator.plan.seen.api_objects import controller_uid
from fabula_operator.plan.stages.references import named_runs, names_runs

Owned = dict[tuple[str, str], Packed]
"""By kind and name."""


class Cache:
    """Runs, their children and pods. Feed it with `put` and `drop`; both tell which runs to look at again.

    What is known already is no news, such as the watch's echo of what was put in when it was written.
    """

    def __init__(self) -> None:
        self._runs: dict[Key, Packed] = {}
        self._keys: dict[str, Key] = {}
        self._owned: dict[tuple[str, str], Owned] = {}
        """(Namespace, run uid) to children and pods: a label in another namespace reaches no run."""
        self._named_by: dict[Key, set[Key]] = {}
        self._admissions: dict[str, dict[str, str]] = {}
        """Run uid to what Kueue says of its queued children, by their uid."""
        self.foreign: dict[str, str] = {}
        """Uid of an object that was left out to why, so that it is said once."""
        self.claims = Claims()
        self.deletions = Deletions()
        self.own_writes = OwnWrites()
        self.comparable: bool | None = None
        """Whether versions of one resource compare as integers; None until the server was asked."""

    def wrote(self, run: str, obj: Obj) -> set[Key]:
        """Take what a write for a run answered, as news."""
        if not self.comparable or not has_number(obj):
            self.own_writes.wrote(run, obj)
        return self.put(obj, ours=True)

    def put(self, obj: Obj, *, ours: bool = False) -> set[Key]:
        """Take news of an object; the runs that may be affected. News older than what is known are ignored."""
        meta = obj["metadata"]
        if meta["uid"] in self.deletions:
            return set()
        if obj["kind"] in RUNS:
            return self._put_run(obj, ours=ours)
        uid = run_uid(obj)
        if uid is None:
            return set()
        owned = self._owned.setdefault((meta["namespace"], uid), {})
        known = owned.get((obj["kind"], meta["name"]))
        echo = not ours and self.own_writes.heard(uid, obj)
        if known is not None and not newer(obj, known):
            return self._affected(meta["namespace"], uid) if echo else set()
        owned[obj["kind"], meta["name"]] = Packed.of(obj, known)
        return self._affected(meta["namespace"], uid)

    def _put_run(self, obj: Obj, *, ours: bool) -> set[Key]:
        key, uid = key_of(obj), obj["metadata"]["uid"]
        known = self._runs.get(key)
        echo = not ours and self.own_writes.heard(uid, obj)
        if known is not None and not newer(obj, known):
            return {key} if echo else set()
        kept = Packed.of(obj, known)
        self._index(key, known, kept)
        self._runs[key] = kept
        self._keys[uid] = key
        return {key, *self._named_by.get(key, ())}

    def drop(self, obj: Obj) -> set[Key]:
        """Take news of a deletion; the runs that may be affected. Later news of the same object are ignored."""
        meta = obj["metadata"]
        self.deletions.add(meta["uid"])
        if obj["kind"] in RUNS:
            return self._drop_run(obj)
        self.foreign.pop(meta["uid"], None)
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

    def _drop_run(self, obj: Obj) -> set[Key]:
        key, uid = key_of(obj), obj["metadata"]["uid"]
        known = self._runs.get(key)
        if known is not None and known.uid == uid:
            self._index(key, known, None)
            del self._runs[key]
        self._keys.pop(uid, None)
        self.own_writes.forget(uid)
        self.deletions.add_run(key, uid)
        self._owned.pop((key.namespace, uid), None)
        self._admissions.pop(uid, None)
        return {key, *self._named_by.get(key, ())}

    def sync(self, before: Iterable[Obj], listed: Iterable[Obj]) -> None:
        """Take a live list of a run's children and pods: what was known `before` it was asked for and is not in it is
        gone. What was heard of meanwhile may be younger than the list."""
        objects = list(listed)
        there = {obj["metadata"]["uid"] for obj in objects}
        for obj in before:
            if obj["metadata"]["uid"] not in there:
                self.drop(obj)
        for obj in objects:
            self.put(obj)

    def waiting(self) -> dict[str, str]:
        """Uids of children that a queue has not admitted, with the uids of their runs."""
        return {child.uid: uid for (_, uid), owned in self._owned.items() for child in owned.values() if child.queued}

    def admit(self, waiting: Mapping[str, str], messages: Mapping[str, str]) -> set[Key]:
        """Take what Kueue says of the children that wait, by their uid; the runs for which that is news."""
        by_run: dict[str, dict[str, str]] = {}
        for child, uid in waiting.items():
            if child in messages:
                by_run.setdefault(uid, {})[child] = messages[child]
        changed = {uid for uid in {*by_run, *self._admissions} if by_run.get(uid) != self._admissions.get(uid)}
        self._admissions = by_run
        return {self._keys[uid] for uid in changed if uid in self._keys}

    def admissions(self, uid: str) -> Mapping[str, str]:
        """What Kueue says of a run's queued children, by their uid."""
        return self._admissions.get(uid, {})

    def urgency(self, key: Key) -> Urgency:
        """How soon to look at a run of which nothing is known to have happened: nobody's answer may be awaited."""
        run = self._runs.get(key)
        return Urgency.RESYNCED if run is None or run.answered else Urgency.ASKED

    def get(self, key: Key) -> Obj | None:
        """The run as last heard of."""
        run = self._runs.get(key)
        return run.open() if run is not None else None

    def key_of(self, uid: str) -> Key | None:
        """The run with that uid."""
        return self._keys.get(uid)

    def keys(self) -> list[Key]:
        """All runs."""
        return list(self._runs)

    def packed(self) -> Iterable[tuple[Key, Packed]]:
        """All runs as they are kept: the same as before as long as nothing is new of one."""
        return self._runs.items()

    def runs(self, kind: Kind | None = None, state: str | None = None) -> Iterator[Obj]:
        """All runs as objects, or those of a kind, or in a state."""
        for key, run in list(self._runs.items()):
            if kind in (None, key.kind) and state in (None, run.state):
                yield run.read()

    def uids(self, kind: str) -> dict[str, Packed]:
        """All objects of a kind by their uid."""
        if kind in RUNS:
            return {run.uid: run for key, run in self._runs.items() if key.kind == kind}
        owned = (obj for all_ in self._owned.values() for obj in all_.items())
        return {obj.uid: obj for (owned_kind, _), obj in owned if owned_kind == kind}

    def owned(self, uid: str) -> list[Obj]:
        """A run's children and pods as last heard of."""
        return [obj.open() for obj in self._of(uid).values()]

    def pod(self, uid: str, name: str) -> Obj | None:
        """A pod of a run."""
        pod = self._of(uid).get(("Pod", name))
        return pod.open() if pod is not None else None

    def pods(self, uid: str) -> list[Obj]:
        """All pods of a run."""
        return [obj.open() for (kind, _), obj in self._of(uid).items() if kind == "Pod"]

    def child_uids(self, uid: str) -> set[str]:
        """Uids of a run's Jobs and PyTorchJobs."""
        return {
            child.uid
            for (kind, _), child in self._of(uid).items()
            if kind in CHILDREN and controller_uid(child.open()["metadata"]) == uid
        }

    def _of(self, uid: str) -> Owned:
        key = self._keys.get(uid)
        return self._owned.get((key.namespace, uid), {}) if key is not None else {}

    def _affected(self, namespace: str, uid: str) -> set[Key]:
        key = self._keys.get(uid)
        return {key} if key is not None and key.namespace == namespace else set()

    def _index(self, key: Key, old: Packed | None, new: Packed | None) -> None:
        if not names_runs(key.kind) and not has_groups(key.kind):
            # Nothing of it is kept here, so it need not be unpacked.
            return
        before, after = (run.open() if run is not None else None for run in (old, new))
        for obj, add in ((before, False), (after, True)):
            for kind, name in named_runs(key.kind, (obj or {}).get("spec") or {}):
                waiting = self._named_by.setdefault(Key(kind, key.namespace, name), set())
                (waiting.add if add else waiting.discard)(key)
        self.claims.change(f"{key.namespace}/{key.name}", before, after)
