"""Request bodies: JSON, YAML or protobuf in, an object of the right kind out."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import orjson
import yaml

from fabula_local.apiserver.call import Call
from fabula_local.apiserver.errors import ApiError, bad_request, invalid, unsupported_media_type
from fabula_local.resource import Resource
from fabula_local.schema import errors, protobuf
from fabula_local.schema.errors import UNDECODABLE, FieldError

Object = dict[str, Any]

_JSON = ("", "application/json", "*/*")
_YAML = ("application/yaml", "application/apply-patch+yaml")
_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Base):  # type: ignore[misc]  # the C loader where there is one
    """YAML as Go reads it: `4e-06` is a number, and a date stays text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in _Base.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+"), list("-+.0123456789")
)
_SUMMARY = 30
"""How much of a body an answer shows once more, in brackets."""
_OPTIONS_KINDS = ("DeleteOptions", "PatchOptions", "CreateOptions", "UpdateOptions")


def decode(body: bytes, content_type: str) -> Any:
    """Parse a body by its media type; 400 where it is malformed, 415 where the type is not read."""
    if content_type in _JSON or content_type.endswith("+json"):
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError as problem:
            raise bad_request(f"error decoding: {problem}") from None
    if content_type in _YAML:
        try:
            return yaml.load(body, Loader=_Loader)  # noqa: S506  a safe loader
        except yaml.YAMLError as problem:
            raise bad_request(f"error decoding YAML: {problem}") from None
    if content_type == protobuf.MEDIA_TYPE:
        try:
            return protobuf.decode_protobuf(body)
        except (protobuf.ProtobufError, UnicodeDecodeError) as problem:
            raise bad_request(f"error decoding protobuf: {problem}") from None
    raise unsupported_media_type("application/json, application/yaml, application/vnd.kubernetes.protobuf")


def read_object(call: Call, resource: Resource, kind: str | None = None) -> Object:
    """The object in the body, with metadata; checks that it is what the URL is about."""
    obj = decode(call.body, call.content_type)
    if not isinstance(obj, dict):
        raise bad_request(f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}')
    if resource.custom and kind is None:
        _require_type(obj, resource, call.body.decode(errors="replace"))
    check_type(obj, resource, kind)
    return obj


def _require_type(obj: Object, resource: Resource, body: str) -> None:
    """400 for a custom resource that does not say what it is; a built-in one may leave that to the URL."""
    if not obj.get("kind"):
        short = body if len(body) <= _SUMMARY else f"{body[:_SUMMARY]} ..."
        raise bad_request(
            f"the object provided is unrecognized (must be of type {resource.kind}): Object 'Kind' is missing in "
            f"'{body}' ({short})"
        )
    if not obj.get("apiVersion"):
        raise bad_request(
            f"the API version in the data () does not match the expected API version ({resource.api_version})"
        )


def check_custom_type(obj: Object, resource: Resource) -> None:
    """422 for a custom resource of another kind; after a patch, of another version too."""
    version, kind = str(obj.get("apiVersion") or ""), str(obj.get("kind") or "")
    for field, value, wanted in (("apiVersion", version, resource.api_version), ("kind", kind, resource.kind)):
        if value != wanted:
            named = replace(resource, group=version.rpartition("/")[0], kind=kind)
            name = str((obj.get("metadata") or {}).get("name") or "")
            raise invalid(named, name, [errors.invalid(field, value, f"must be {wanted}")])


def check_type(obj: Object, resource: Resource, kind: str | None = None) -> None:
    """Fill in or check apiVersion and kind, and the shape of metadata."""
    if resource.custom and kind is None and obj.get("apiVersion", resource.api_version) == resource.api_version:
        check_custom_type({"apiVersion": resource.api_version, "kind": resource.kind, **obj}, resource)
    kind = kind or resource.kind
    given_version, given_kind = obj.get("apiVersion") or resource.api_version, obj.get("kind") or kind
    if given_kind != kind or given_version != resource.api_version:
        if given_kind == kind:
            raise bad_request(
                f"the API version in the data ({given_version}) does not match the expected API version "
                f"({resource.api_version})"
            )
        version = given_version.rpartition("/")[2]
        raise bad_request(
            f'{given_kind} in version "{version}" cannot be handled as a {kind}: no kind "{given_kind}" is registered '
            f'for version "{resource.api_version}"'
        )
    obj["apiVersion"], obj["kind"] = resource.api_version, kind
    metadata = obj.get("metadata")
    if metadata is None:
        obj["metadata"] = {}
    elif not isinstance(metadata, dict):
        raise bad_request(f"{kind} cannot be handled: metadata must be an object")
    for key in ("labels", "annotations"):
        values = obj["metadata"].get(key)
        if values is None:
            obj["metadata"].pop(key, None)
        elif not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
            raise bad_request(
                f'{kind} in version "{resource.version}" cannot be handled as a {kind}: '
                f"json: cannot unmarshal non-string into Go struct field ObjectMeta.metadata.{key} of type string"
            )


def strict_error(resource: Resource, unknown: list[str]) -> ApiError:
    """400 for fields that the kind does not have."""
    listed = ", ".join(f'unknown field "{path}"' for path in unknown)
    return bad_request(
        f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: '
        f"strict decoding error: {listed}"
    )


def refuse_undecodable(resource: Resource, errors_found: Sequence[FieldError]) -> None:
    """400 for what a built-in kind's Go types cannot hold."""
    head = f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}'
    for error in errors_found:
        if error.reason == UNDECODABLE:
            raise bad_request(f"{head}: {error.message}")
    for error in errors_found:
        if error.reason == "FieldValueTypeInvalid":
            raise bad_request(f"{head}: json: cannot unmarshal: {error.field}: {error.message}")


def read_delete_options(call: Call) -> Object:
    """DeleteOptions from the body, completed by the query parameters of the same names."""
    options: Object = {}
    if call.body.strip():
        read = decode(call.body, call.content_type)
        if not isinstance(read, dict) or read.get("kind", "DeleteOptions") not in _OPTIONS_KINDS:
            raise bad_request("the body of a deletion must be DeleteOptions")
        options = read
    for name in ("propagationPolicy", "dryRun"):
        if name in call.query and name not in options:
            options[name] = call.query[name] if name != "dryRun" else [call.query[name]]
    if "gracePeriodSeconds" in call.query and "gracePeriodSeconds" not in options:
        options["gracePeriodSeconds"] = call.number("gracePeriodSeconds")
    if "orphanDependents" in call.query and "orphanDependents" not in options:
        options["orphanDependents"] = call.flag("orphanDependents")
    return options
