"""Who owns whom, and what follows when an owner goes. Pure but for the memory of the graph."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from fabula_local.kinds import Kind, Obj, uid_of

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"


@dataclass(slots=True)
class Item:
    """An object as the graph knows it."""

    kind: Kind
    namespace: str
    name: str
    uid: str
    owners: list[Obj]
    finalizers: list[str]
    deleting: bool
    version: str

    @property
    def waits_for_dependents(self) -> bool:
        """Whether it is being deleted in the foreground."""
        return self.deleting and FOREGROUND in self.finalizers

    @property
    def orphans_dependents(self) -> bool:
        """Whether it is being deleted and its dependents shall stay."""
        return self.deleting and ORPHAN in self.finalizers

    def blocks(self, owner_uid: str) -> bool:
        """Whether this dependent keeps its owner from going."""
        return any(owner["uid"] == owner_uid and owner.get("blockOwnerDeletion") for owner in self.owners)


def item_of(kind: Kind, obj: Obj) -> Item:
    """The graph's view of an object."""
    meta = obj["metadata"]
    return Item(
        kind,
        meta.get("namespace", ""),
        meta["name"],
        uid_of(obj),
        list(meta.get("ownerReferences") or ()),
        list(meta.get("finalizers") or ()),
        "deletionTimestamp" in meta,
        meta["resourceVersion"],
    )


@dataclass(slots=True)
class Graph:
    """All objects by uid, and the dependents of each owner."""

    items: dict[str, Item] = field(default_factory=dict)
    dependents: dict[str, set[str]] = field(default_factory=dict)

    def put(self, item: Item) -> None:
        """Add an object or replace what was known of it."""
        self._unlink(item.uid)
        self.items[item.uid] = item
        for owner in item.owners:
            self.dependents.setdefault(owner["uid"], set()).add(item.uid)

    def remove(self, uid: str) -> None:
        """Forget an object; its dependents stay known as such."""
        self._unlink(uid)
        self.items.pop(uid, None)

    def _unlink(self, uid: str) -> None:
        known = self.items.get(uid)
        for owner in known.owners if known else ():
            dependents = self.dependents.get(owner["uid"])
            if dependents is not None:
                dependents.discard(uid)
                if not dependents:
                    del self.dependents[owner["uid"]]

    def dependents_of(self, uid: str) -> list[Item]:
        """The known objects that name `uid` as an owner."""
        return [self.items[dependent] for dependent in sorted(self.dependents.get(uid, ())) if dependent in self.items]

    def affected_by(self, item: Item) -> Iterable[str]:
        """Uids to look at again when an object changed or went: itself, its owners, its dependents."""
        yield item.uid
        yield from (owner["uid"] for owner in item.owners)
        yield from self.dependents.get(item.uid, ())


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do about one object."""

    delete: str = ""
    """Propagation policy with which to delete it."""
    drop_owners: frozenset[str] = frozenset()
    """Uids of owner references to take off."""
    drop_finalizer: str = ""
    delete_dependents: tuple[Item, ...] = ()
    orphan_dependents: tuple[Item, ...] = ()


def judge(graph: Graph, item: Item, absent: frozenset[str]) -> Verdict:
    """What becomes of an object. `absent` are its owners that were looked up and do not exist (any more)."""
    if item.orphans_dependents:
        left = tuple(graph.dependents_of(item.uid))
        return Verdict(orphan_dependents=left) if left else Verdict(drop_finalizer=ORPHAN)
    if item.waits_for_dependents:
        dependents = graph.dependents_of(item.uid)
        standing = tuple(dependent for dependent in dependents if not dependent.deleting)
        if any(dependent.blocks(item.uid) for dependent in dependents):
            return Verdict(delete_dependents=standing)
        return Verdict(drop_finalizer=FOREGROUND, delete_dependents=standing)
    if item.deleting or not item.owners:
        return Verdict()
    uids = {owner["uid"] for owner in item.owners}
    waiting = {uid for uid in uids if uid in graph.items and graph.items[uid].waits_for_dependents}
    solid = uids - absent - waiting
    if solid:
        # Somebody still wants it; only the references to those who do not are taken off.
        return Verdict(drop_owners=frozenset(uids - solid))
    if waiting:
        return Verdict(delete="Foreground" if graph.dependents_of(item.uid) else "Background")
    return Verdict(delete="Background")
