"""Server-side apply and the managedFields that every write leaves behind.

Semantics: sigs.k8s.io/structured-merge-diff (merge.Updater) and apimachinery's managedfields package.
"""

from typing import Any

from .field_set import FieldSet, difference, intersection, paths, union
from .field_walk import compare, field_set, merge, remove, root_schema, with_named_members
from .merge import clone

Object = dict[str, Any]
Key = tuple[str, str, str, str]
"""Manager, operation, apiVersion, subresource: entries with the same key are one."""

_UNTRACKED: FieldSet = {
    "f:apiVersion": {},
    "f:kind": {},
    "f:metadata": {
        ".": {},
        "f:name": {},
        "f:namespace": {},
        "f:creationTimestamp": {},
        "f:selfLink": {},
        "f:uid": {},
        "f:clusterName": {},
        "f:generation": {},
        "f:managedFields": {},
        "f:resourceVersion": {},
    },
}
_BEFORE_FIRST_APPLY = "before-first-apply"


class ApplyConflict(Exception):
    """An apply without force would change what others own."""

    def __init__(self, conflicts: list[tuple[str, str]], managers: list[str]) -> None:
        self.conflicts = conflicts
        """(manager, field path) pairs, the path as in ".spec.lora.rank"."""
        self.managers = managers
        """For each conflict the manager as the message words it: "x" using v1."""
        super().__init__(self._text())

    def _text(self) -> str:
        if len(self.conflicts) == 1:
            return f"Apply failed with 1 conflict: conflict with {self.managers[0]}: {self.conflicts[0][1]}"
        lines = []
        for manager in sorted(set(self.managers)):
            lines.append(f"conflicts with {manager}:")
            lines += [
                f"- {path}" for (_, path), owner in zip(self.conflicts, self.managers, strict=True) if owner == manager
            ]
        return f"Apply failed with {len(self.conflicts)} conflicts: " + "\n".join(lines)


class _Managers:
    """The owners of an object's fields, read from and written to managedFields."""

    def __init__(self, entries: list[Object] | None) -> None:
        self.sets: dict[Key, FieldSet] = {}
        self.times: dict[Key, str] = {}
        for entry in entries or []:
            if not entry.get("manager") and not entry.get("operation"):
                continue
            key = (
                entry.get("manager", ""),
                entry.get("operation", ""),
                entry.get("apiVersion", ""),
                entry.get("subresource", ""),
            )
            self.sets[key] = entry.get("fieldsV1") or {}
            self.times[key] = entry.get("time", "")

    def entries(self) -> list[Object]:
        """managedFields in the order of the real server: applies first, then by time and name."""
        order = sorted(self.sets, key=lambda key: (key[1], self.times.get(key, ""), key[0], key[2], key[3]))
        return [self._entry(key) for key in order if self.sets[key]]

    def _entry(self, key: Key) -> Object:
        manager, operation, api_version, subresource = key
        entry: Object = {"manager": manager, "operation": operation, "apiVersion": api_version}
        if time := self.times.get(key):
            entry["time"] = time
        entry |= {"fieldsType": "FieldsV1", "fieldsV1": self.sets[key]}
        if subresource:
            entry["subresource"] = subresource
        return entry

    def shown(self, key: Key) -> str:
        """The manager in the words of a conflict."""
        manager, operation, api_version, subresource = key
        text = f'"{manager}"' + (f' with subresource "{subresource}"' if subresource else "")
        return f"{text} using {api_version}" if operation == "Update" else text


def track_update(
    old: Object | None, new: Object, *, manager: str, subresource: str, schema: Object | None, now: str
) -> None:
    """Set new["metadata"]["managedFields"] after a create, update or patch by the manager.

    Entries sent in `new` replace the stored ones, an empty list or none keeps them and [{}] clears them, as on a real
    server. An entry's time changes only when this write changed a field, so a write that changes nothing stays one.
    """
    meta = new["metadata"]
    sent = meta.get("managedFields")
    stored = old["metadata"].get("managedFields") if old else None
    if old is not None and sent == stored and _same(old, new):
        return
    managers = _Managers(sent or stored)
    whole = root_schema(schema)
    changed, removed = compare(_claimable(old) if old else {}, _claimable(new), whole)
    changed = difference(changed, _UNTRACKED)
    if removed:
        for key, fields in managers.sets.items():
            managers.sets[key] = difference(fields, removed)
    if changed:
        own_key = (manager, "Update", new.get("apiVersion", ""), subresource)
        for key, fields in managers.sets.items():
            if key != own_key:
                managers.sets[key] = difference(fields, changed)
        managers.sets[own_key] = union(managers.sets.get(own_key, {}), changed)
        managers.times[own_key] = now
    entries = managers.entries()
    if entries:
        meta["managedFields"] = entries
    else:
        meta.pop("managedFields", None)


def _claimable(obj: Object) -> Object:
    """The object without managedFields and resourceVersion, which change with every write and belong to nobody."""
    meta = obj.get("metadata", {})
    if "managedFields" not in meta and "resourceVersion" not in meta:
        return obj
    return {
        **obj,
        "metadata": {name: value for name, value in meta.items() if name not in ("managedFields", "resourceVersion")},
    }


def _same(old: Object, new: Object) -> bool:
    return _claimable(old) == _claimable(new)


def server_side_apply(
    live: Object | None,
    applied: Object,
    *,
    manager: str,
    force: bool,
    schema: Object | None,
    subresource: str = "",
    now: str,
) -> Object:
    """The live object with the applied configuration merged in and managedFields set. Raises ApplyConflict.

    What this manager applied before and leaves out now is removed, unless others own it too. Give the configuration
    without the parts that this endpoint ignores (status on the object itself, all but status on the subresource).
    """
    whole = root_schema(schema)
    config = _claimable(applied)
    owned = difference(field_set(config, whole), _UNTRACKED)
    own_key = (manager, "Apply", applied.get("apiVersion", ""), subresource)
    if live is None:
        managers = _Managers(None)
        result = clone(config)
        managers.sets[own_key], managers.times[own_key] = owned, now
        result.setdefault("metadata", {})["managedFields"] = managers.entries()
        return result  # type: ignore[no-any-return]
    current = _claimable(live)
    managers = _Managers(live.get("metadata", {}).get("managedFields"))
    if not managers.sets:
        first = (_BEFORE_FIRST_APPLY, "Update", live.get("apiVersion", ""), "")
        managers.sets[first] = difference(field_set(current, whole), _UNTRACKED)
        managers.times[first] = now
    last: FieldSet = {}
    for key in [key for key in managers.sets if key[:2] == own_key[:2] and key[3] == subresource]:
        last = union(last, managers.sets[key])
        if key != own_key:
            del managers.sets[key]
    merged = merge(current, config, whole)
    others = [key for key in managers.sets if key != own_key]
    if last:
        held = owned
        for key in others:
            held = union(held, managers.sets[key])
        merged = _pruned(merged, last, held, whole)
    changed, removed = compare(current, merged, whole)
    _settle(managers, others, changed, removed, force=force)
    unchanged = managers.sets.get(own_key) == owned and not changed and not removed
    managers.sets[own_key] = owned
    if not unchanged:
        managers.times[own_key] = now
    meta = {**merged.get("metadata", {}), "managedFields": managers.entries()}
    if (version := live.get("metadata", {}).get("resourceVersion")) is not None:
        meta["resourceVersion"] = version
    return clone({**merged, "metadata": meta})  # type: ignore[no-any-return]


def _pruned(merged: Object, last: FieldSet, held: FieldSet, whole: Object) -> Object:
    """Without what the manager applied before, but for what anyone holds now, itself included.

    What it applied goes with all below it, also defaults that nobody owns (merge.Updater's prune: remove, add back what
    is owned, add back what the manager never had).
    """
    last = with_named_members(last, whole)
    everything = _members_of(merged, whole)
    left = _members_of(remove(merged, last, whole) or {}, whole)
    gone = difference(everything, union(left, with_named_members(held, whole)))
    left = _members_of(remove(merged, gone, whole) or {}, whole)
    return remove(merged, intersection(difference(everything, left), last), whole) or {}


def _members_of(value: Object, whole: Object) -> FieldSet:
    return with_named_members(field_set(value, whole), whole)


def _settle(managers: _Managers, others: list[Key], changed: FieldSet, removed: FieldSet, *, force: bool) -> None:
    """Take changed fields from their other owners, or raise where that was not forced."""
    conflicts: list[tuple[str, str]] = []
    words: list[str] = []
    for key in others:
        contested = intersection(managers.sets[key], changed)
        for path in paths(contested):
            conflicts.append((key[0], path))
            words.append(managers.shown(key))
        managers.sets[key] = difference(difference(managers.sets[key], contested), removed)
    if conflicts and not force:
        raise ApplyConflict(conflicts, words)
