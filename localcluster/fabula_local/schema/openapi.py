"""OpenAPI documents of the served kinds, so that kubectl can explain them, merge patches and trust server-side checks.

What kubectl 1.32 to 1.37 asks: /openapi/v3 (JSON), then one /openapi/v3/<group version> in JSON for `explain`, for the
client-side `apply` of built-in kinds (PATCH must name application/strategic-merge-patch+json) and to see whether
`fieldValidation` is declared; it then leaves validation to the server. /openapi/v2 is asked only where v3 fails or by
`explain --output plaintext-openapiv2`, always as protobuf (application/com.github.proto-openapi.spec.v2@v1.0+protobuf)
and without a fallback to JSON: there is no such document here (apiserver/documents.py has an empty one).
"""

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from fabula_local.resource import Resource

from .builtin_types import component_name, type_name, type_schema
from .decoding import DECODED_AS

Object = dict[str, Any]

_META = {
    "apiVersion": "APIVersion defines the versioned schema of this representation of an object. Servers should convert"
    " recognized schemas to the latest internal value, and may reject unrecognized values. More info:"
    " https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#resources",
    "kind": "Kind is a string value representing the REST resource this object represents. Servers may infer this from"
    " the endpoint the client submits requests to. Cannot be updated. In CamelCase. More info:"
    " https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds",
    "metadata": "Standard object's metadata. More info:"
    " https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata",
}
_VERSION = "v1.37.0"
_BODY_TYPES = ("application/json", "application/yaml")
_PATCH_TYPES = ("application/json-patch+json", "application/merge-patch+json", "application/apply-patch+yaml")
_STRATEGIC = "application/strategic-merge-patch+json"
_OBJECT_VERBS = (
    ("get", "get", "get"),
    ("put", "update", "put"),
    ("patch", "patch", "patch"),
    ("delete", "delete", "delete"),
)


def openapi_v3_paths(resources: Iterable[Resource]) -> Object:
    """The /openapi/v3 index: one entry a group version, with a hash that changes when its kinds do.

    kubectl keeps documents on disk by that hash, so it must come from what is in them, not from this process.
    """
    hashes: dict[str, Any] = {}
    for resource in resources:
        key = f"apis/{resource.api_version}" if resource.group else f"api/{resource.version}"
        hashes.setdefault(key, hashlib.sha256()).update(_fingerprint(resource))
    return {
        "paths": {
            key: {"serverRelativeURL": f"/openapi/v3/{key}?hash={digest.hexdigest().upper()}"}
            for key, digest in sorted(hashes.items())
        }
    }


def _fingerprint(resource: Resource) -> bytes:
    """What the document says of the kind; the schema of a built-in one is that of this version of Kubernetes."""
    parts: list[Any] = [_VERSION, resource.plural, resource.kind, resource.namespaced, sorted(resource.subresources)]
    if resource.custom:
        parts.append(resource.schema)
    return json.dumps([*parts, resource.verbs], sort_keys=True).encode()


def openapi_v3_group(resources: Iterable[Resource], group: str, version: str) -> Object:
    """The OpenAPI 3 document of one group version; its paths are empty where nothing is served in it."""
    builder = _Components()
    served = [resource for resource in resources if (resource.group, resource.version) == (group, version)]
    paths: Object = {}
    for resource in served:
        _add_paths(paths, resource, builder)
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": _VERSION},
        "paths": paths,
        "components": {"schemas": dict(sorted(builder.done.items()))},
    }


def model_name(resource: Resource) -> str:
    """The component name of a kind: io.k8s.api.batch.v1.Job, or dev.fabula.v1alpha1.EvalRun for a custom one."""
    if not resource.custom and resource.schema is not None and (name := type_name(resource.schema)):
        return name
    return ".".join([*reversed(resource.group.split(".")), resource.version, resource.kind])


class _Components:
    """Named schemas, converted once each; fields of a named type become references."""

    def __init__(self) -> None:
        self.done: dict[str, Object] = {}

    def kind(self, resource: Resource) -> str:
        """Add a kind and its list; returns the kind's component name."""
        name = model_name(resource)
        marker = [{"group": resource.group, "version": resource.version, "kind": resource.kind}]
        if "x-kubernetes-group-version-kind" not in self.done.get(name, {}):
            schema = resource.schema or {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
            self.done[name] = {}
            self.done[name] = {**self._members(schema, root=True), "x-kubernetes-group-version-kind": marker}
            self.done[f"{name}List"] = self._list(resource, name)
        return name

    def reference(self, name: str) -> Object:
        return {"$ref": f"#/components/schemas/{name}"}

    def _list(self, resource: Resource, name: str) -> Object:
        meta = self._named(type_schema("meta_v1", "ListMeta"), component_name("meta_v1", "ListMeta"))
        items = {"type": "array", "description": f"List of {resource.plural}.", "items": self.reference(name)}
        properties = {field: {"type": "string", "description": _META[field]} for field in ("apiVersion", "kind")}
        return {
            "description": f"{resource.list_kind} is a list of {resource.kind}",
            "type": "object",
            "required": ["items"],
            "properties": {
                **properties,
                "items": items,
                "metadata": self._wrapped(meta, "Standard list metadata.", {}),
            },
            "x-kubernetes-group-version-kind": [
                {"group": resource.group, "version": resource.version, "kind": resource.list_kind}
            ],
        }

    def _named(self, schema: Object, name: str) -> Object:
        if name not in self.done:
            self.done[name] = {}
            self.done[name] = self._members(schema)
        return self.reference(name)

    def _wrapped(self, reference: Object, description: str, extra: Object) -> Object:
        return {"allOf": [reference], **({"description": description} if description else {}), **extra}

    def convert(self, schema: Object) -> Object:
        if name := type_name(schema):
            reference = self._named(schema, name)
            extra = {"default": schema["default"]} if "default" in schema else {}
            words = schema.get("description", "")
            type_words = self.done[name].get("description")
            return self._wrapped(reference, "" if words == type_words else words, extra)
        return self._members(schema)

    def _members(self, schema: Object, *, root: bool = False) -> Object:
        result: Object = {}
        for key, value in schema.items():
            if key == "properties":
                result[key] = {name: self.convert(sub) for name, sub in value.items()}
            elif key in ("items", "additionalProperties", "not") and isinstance(value, dict):
                result[key] = self.convert(value)
            elif key in ("oneOf", "anyOf", "allOf"):
                result[key] = [self.convert(sub) for sub in value]
            elif key != DECODED_AS:
                result[key] = value
        if root:
            self._root(result)
        if result.get("x-kubernetes-int-or-string") and "oneOf" not in result and "anyOf" not in result:
            result["oneOf"] = [{"type": "integer"}, {"type": "string"}]
        return result

    def _root(self, result: Object) -> None:
        properties = result.setdefault("properties", {})
        for field in ("apiVersion", "kind"):
            known = properties.get(field, {})
            properties[field] = {"type": "string", **known, "description": known.get("description") or _META[field]}
        meta = self._named(type_schema("meta_v1", "ObjectMeta"), component_name("meta_v1", "ObjectMeta"))
        properties["metadata"] = self._wrapped(meta, _META["metadata"], {"default": {}})


def _add_paths(paths: Object, resource: Resource, builder: _Components) -> None:
    name = builder.kind(resource)
    prefix = f"/apis/{resource.api_version}" if resource.group else f"/api/{resource.version}"
    scope = "/namespaces/{namespace}" if resource.namespaced else ""
    collection = f"{prefix}{scope}/{resource.plural}"
    make = _Operations(resource, builder, name)
    served = set(resource.verbs)
    on_collection = {}
    if "list" in served:
        on_collection["get"] = make.operation("list", "get", listed=True)
    if "create" in served:
        on_collection["post"] = make.operation("post", "post")
    if "deletecollection" in served:
        on_collection["delete"] = make.operation("deletecollection", "delete")
    paths[collection] = {**on_collection, "parameters": make.path_parameters(named=False)}
    if resource.namespaced and "list" in served:
        paths[f"{prefix}/{resource.plural}"] = {"get": make.operation("list", "get", listed=True), "parameters": []}
    if "get" not in served:
        return
    on_object = {verb: make.operation(action, verb) for verb, needs, action in _OBJECT_VERBS if needs in served}
    paths[f"{collection}/{{name}}"] = {**on_object, "parameters": make.path_parameters(named=True)}
    if "status" in resource.subresources:
        on_status = {verb: make.operation(action, verb) for verb, _, action in _OBJECT_VERBS if verb != "delete"}
        paths[f"{collection}/{{name}}/status"] = {**on_status, "parameters": make.path_parameters(named=True)}


class _Operations:
    """Operations of one kind in the shape that kubectl looks for."""

    def __init__(self, resource: Resource, builder: _Components, name: str) -> None:
        self.resource, self.builder, self.name = resource, builder, name
        self.gvk = {"group": resource.group, "version": resource.version, "kind": resource.kind}

    def operation(self, action: str, verb: str, *, listed: bool = False) -> Object:
        """One operation: its parameters, its body and what it answers."""
        reference = self.builder.reference(self.name + ("List" if listed else ""))
        parameters = [self._query("pretty", "string")]
        if verb in ("post", "put", "patch"):
            parameters += [self._query(name, "string") for name in ("dryRun", "fieldManager", "fieldValidation")]
        if verb == "patch":
            parameters.append(self._query("force", "boolean"))
        if verb == "delete":
            parameters.append(self._query("dryRun", "string"))
        types: tuple[str, ...] = _BODY_TYPES
        if verb == "patch":
            types = _PATCH_TYPES if self.resource.custom else (*_PATCH_TYPES, _STRATEGIC)
        result: Object = {
            "description": f"{action} {self.resource.kind}",
            "operationId": f"{action}{self.resource.group.title().replace('.', '')}{self.resource.version.title()}"
            f"{'Namespaced' if self.resource.namespaced else ''}{self.resource.kind}{'List' if listed else ''}",
            "tags": [f"{self.resource.group or 'core'}_{self.resource.version}"],
            "parameters": parameters,
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": self.gvk,
        }
        if verb in ("post", "put", "patch"):
            body = {"type": "object"} if verb == "patch" else reference
            content = {media_type: {"schema": body} for media_type in types}
            result["requestBody"] = {"required": True, "content": content}
        content = {media_type: {"schema": reference} for media_type in _BODY_TYPES}
        result["responses"] = {"200": {"description": "OK", "content": content}}
        return result

    def path_parameters(self, *, named: bool) -> list[Object]:
        """The parameters in the path itself."""
        names = [*(["name"] if named else []), *(["namespace"] if self.resource.namespaced else [])]
        return [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string", "uniqueItems": True}}
            for name in names
        ]

    def _query(self, name: str, kind: str) -> Object:
        return {"name": name, "in": "query", "schema": {"type": kind, "uniqueItems": True}}
