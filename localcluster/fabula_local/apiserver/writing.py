"""Creating and updating objects: the one path that every write of a client takes.

Decode, prune, default, admit, validate, number, store; in the order of k8s.io/apiserver/pkg/registry/generic. Nothing
here awaits, so that a write sees one state of the store from beginning to end.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from fabula_local.apiserver import codec, metadata
from fabula_local.apiserver.call import Answer, Call
from fabula_local.apiserver.conversion import from_storage, to_storage
from fabula_local.apiserver.errors import ApiError, already_exists, forbidden, invalid
from fabula_local.apiserver.registry import Registry, storage_key
from fabula_local.apiserver.store import Store, Stored
from fabula_local.apiserver.strategies import strategy_of
from fabula_local.resource import Resource
from fabula_local.schema.apply import track_update
from fabula_local.schema.errors import FieldError, required
from fabula_local.schema.structural import apply_defaults, prune, validate

Object = dict[str, Any]
_NAME_ATTEMPTS = 8


class Writer:
    """Writes objects on behalf of calls."""

    def __init__(self, store: Store, registry: Registry) -> None:
        self.store = store
        self.registry = registry

    def lookup(self, kind: str, namespace: str, name: str) -> Mapping[str, Any] | None:
        """The stored object of a kind key, for admission rules."""
        stored = self.store.get(kind, namespace, name)
        return stored.obj if stored else None

    def create(self, call: Call, resource: Resource, namespace: str, obj: Object, *, applied: bool = False) -> Answer:
        """Create the object; `applied` keeps the managedFields that server-side apply has set."""
        kind, meta = storage_key(resource), obj["metadata"]
        metadata.place(resource, obj, namespace)
        if meta.get("resourceVersion"):
            raise ApiError(500, "", "resourceVersion should not be set on objects to be created")
        self._name(kind, resource, obj)
        self._check_namespace(resource, namespace, meta["name"])
        managed = meta.get("managedFields")
        metadata.begin(obj)
        if applied and managed:
            meta["managedFields"] = managed
        if "status" in resource.subresources:
            obj.pop("status", None)
        strategy = strategy_of(resource)
        self._complete(resource, obj)
        strategy.prepare_create(obj, self)
        if strategy.counts_generation:
            meta["generation"] = 1
        errors = self._errors(resource, obj, None)
        if errors:
            raise invalid(resource, meta["name"], errors)
        strategy.settle(obj)
        if self.store.get(kind, namespace, meta["name"]):
            raise already_exists(resource, meta["name"])
        _tidy(meta)
        if not applied:
            self._track(call, resource, None, obj, "")
        if call.dry_run():
            return Answer(obj, 201)
        stored = self.store.put(kind, self._kept(resource, obj))
        return present(resource, stored, 201)

    def update(
        self,
        call: Call,
        resource: Resource,
        stored: Stored,
        new: Object,
        subresource: str = "",
        *,
        applied: bool = False,
        replaced: bool = False,
    ) -> Answer:
        """Put the new state in place of the object, or of the part of it that the subresource is.

        A write that changes nothing is none. `replaced` says that the client sent the whole object (PUT).
        """
        old = from_storage(resource, stored.copy())
        name = stored.name
        metadata.place(resource, new, stored.namespace)
        metadata.check_uid(resource, new, old, replaced=replaced)
        metadata.carry_over(resource, new, old)
        strategy = strategy_of(resource)
        if subresource == "status":
            new = _with_status(old, new, keep_managed=applied)
        elif "status" in resource.subresources:
            _keep(new, old, "status")
        self._complete(resource, new)
        if not subresource:
            strategy.prepare_update(new, old)
        _tidy(new["metadata"])
        errors = metadata.check_update(new, old)
        if not subresource:
            errors += strategy.validate_update(new, old)
        elif subresource == "status":
            errors += strategy.validate_status(new, old)
        errors += self._errors(resource, new, old, subresource)
        if errors:
            raise invalid(resource, name, errors)
        if strategy.counts_generation and _desired(new, resource) != _desired(old, resource):
            new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1
        same_owners = _owners(new) == _owners(old) or not (applied or _owners(new))
        if same_owners and _content(new) == _content(old):
            return present(resource, stored, 200)
        if not applied:
            self._track(call, resource, old, new, subresource)
        return self.save(call, resource, new)

    def save(self, call: Call, resource: Resource, new: Object) -> Answer:
        """Store a prepared state; an object whose deletion only waited for finalizers goes now."""
        if call.dry_run():
            return Answer(new)
        kind = storage_key(resource)
        kept = self._kept(resource, new)
        gone = released(kept)
        stored = self.store.delete(kind, kept) if gone else self.store.put(kind, kept)
        return present(resource, stored, 200)

    def read_fields(self, call: Call, resource: Resource, obj: Object) -> list[str]:
        """Drop fields that the kind does not have, and return them, unless the call wants that ignored."""
        if resource.schema is None:
            return []
        unknown = prune(obj, resource.schema)
        if not unknown or call.field_validation == "Ignore":
            return []
        if call.field_validation == "Warn":
            call.warnings.extend(f'unknown field "{path}"' for path in unknown)
            return []
        return unknown

    def _kept(self, resource: Resource, obj: Object) -> Object:
        return to_storage(obj, self.registry.stored_version(resource))

    def _name(self, kind: str, resource: Resource, obj: Object) -> None:
        meta = obj["metadata"]
        if meta.get("name"):
            return
        prefix = meta.get("generateName")
        if not prefix:
            raise invalid(resource, "", [required("metadata.name", "name or generateName is required")])
        for _ in range(_NAME_ATTEMPTS):
            meta["name"] = metadata.random_name(prefix)
            if not self.store.get(kind, meta.get("namespace", ""), meta["name"]):
                return
        raise already_exists(resource, meta["name"])

    def _check_namespace(self, resource: Resource, namespace: str, name: str) -> None:
        if not resource.namespaced:
            return
        stored = self.lookup("namespaces", "", namespace)
        if stored is None:
            details = {"name": namespace, "kind": "namespaces"}
            raise ApiError(404, "NotFound", f'namespaces "{namespace}" not found', details)
        if stored["metadata"].get("deletionTimestamp"):
            why = f"unable to create new content in namespace {namespace} because it is being terminated"
            cause = {
                "reason": "NamespaceTerminating",
                "message": f"namespace {namespace} is being terminated",
                "field": "metadata.namespace",
            }
            raise forbidden(resource, name, why, [cause])

    def _complete(self, resource: Resource, obj: Object) -> None:
        # A kind's own defaults come first: they look at what was left out, which the schema's constants would fill.
        strategy_of(resource).default(obj)
        if resource.schema is not None:
            prune(obj, resource.schema)
            apply_defaults(obj, resource.schema)

    def _errors(self, resource: Resource, new: Object, old: Object | None, subresource: str = "") -> list[FieldError]:
        errors = metadata.check(resource, new)
        if resource.schema is None:
            return errors
        schema_errors = validate(new, resource.schema)
        if schema_errors and old is not None:
            # As with Kubernetes' ratcheting, what was wrong before and is left as it was does not stand in the way.
            known = set(validate(old, resource.schema))
            schema_errors = [error for error in schema_errors if error not in known]
        if not resource.custom:
            return errors + self._builtin_errors(resource, new, schema_errors, subresource)
        errors += schema_errors
        rules = self.registry.rules(resource)
        if rules is not None:
            errors += rules.check(new, old, errors)
        return errors

    def _builtin_errors(
        self, resource: Resource, new: Object, schema_errors: list[FieldError], subresource: str
    ) -> list[FieldError]:
        """Kubernetes decodes built-in kinds into Go types and then asks the kind's own rules, not its schema.

        So what does not fit its type is no 422, what stands twice in a list is the rules' business, and where the
        rules have a word on a field, theirs is told. A status subresource is asked only for its own rules.
        """
        codec.refuse_undecodable(resource, schema_errors)
        ruled = [] if subresource else strategy_of(resource).validate(new)
        ruled_fields = {error.field for error in ruled}
        return [e for e in schema_errors if e.reason != "FieldValueDuplicate" and e.field not in ruled_fields] + ruled

    def _track(self, call: Call, resource: Resource, old: Object | None, new: Object, subresource: str) -> None:
        track_update(
            old,
            new,
            manager=call.field_manager,
            subresource=subresource,
            schema=resource.schema or {},
            now=metadata.timestamp(),
        )


def present(resource: Resource, stored: Stored, code: int = 200) -> Answer:
    """The stored object in the version of this resource."""
    if stored.obj.get("apiVersion") == resource.api_version:
        return Answer(stored.obj, code, stored.raw)
    return Answer(from_storage(resource, stored.copy()), code)


def released(obj: Object) -> bool:
    """Whether the object is to be deleted and nothing holds it any more."""
    meta = obj["metadata"]
    if not meta.get("deletionTimestamp") or meta.get("finalizers") or meta.get("deletionGracePeriodSeconds"):
        return False
    return not (obj.get("kind") == "Namespace" and (obj.get("spec") or {}).get("finalizers"))


def _with_status(old: Object, new: Object, *, keep_managed: bool) -> Object:
    result: Object = orjson.loads(orjson.dumps(old))
    _keep(result, new, "status")
    if keep_managed:
        _keep(result["metadata"], new["metadata"], "managedFields")
    return result


def _keep(target: Object, source: Object, key: str) -> None:
    if key in source:
        target[key] = source[key]
    else:
        target.pop(key, None)


def _tidy(meta: Object) -> None:
    for key in ("labels", "annotations", "finalizers", "ownerReferences"):
        if key in meta and not meta[key]:
            del meta[key]


def _desired(obj: Object, resource: Resource) -> bytes:
    """What generation counts: everything but metadata and status for custom kinds, the spec for built-in ones."""
    left_out = {"metadata", "status"} if "status" in resource.subresources else {"metadata"}
    part = {key: value for key, value in obj.items() if key not in left_out}
    return orjson.dumps(part, option=orjson.OPT_SORT_KEYS)


def _content(obj: Object) -> bytes:
    meta = {key: value for key, value in obj["metadata"].items() if key != "managedFields"}
    return orjson.dumps({**obj, "metadata": meta}, option=orjson.OPT_SORT_KEYS)


def _owners(obj: Object) -> list[Object]:
    entries = obj["metadata"].get("managedFields") or []
    return [{key: value for key, value in entry.items() if key != "time"} for entry in entries]
