"""Which objects a list, watch or deletecollection is about.

Grammar is the schema package's; this adds what can be selected: the fields that Kubernetes indexes for each kind.
"""

from dataclasses import dataclass
from typing import Any

from fabula_local.apiserver.errors import bad_request
from fabula_local.resource import Resource
from fabula_local.schema.selectors import LabelMatch, SelectorError, parse_field_selector, parse_label_selector

Object = dict[str, Any]
FieldTerm = tuple[str, str, str]

_FIELDS: dict[str, tuple[str, ...]] = {
    "pods": (
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.nominatedNodeName",
    ),
    "events": (
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "source",
        "type",
    ),
    "nodes": ("spec.unschedulable",),
    "namespaces": ("status.phase", "name"),
    "secrets": ("type",),
    "jobs.batch": ("status.successful",),
    "replicasets.apps": ("status.replicas",),
}


@dataclass(frozen=True)
class Selector:
    """A test for stored objects."""

    labels: LabelMatch | None = None
    fields: tuple[FieldTerm, ...] = ()

    def __bool__(self) -> bool:
        return self.labels is not None or bool(self.fields)

    def matches(self, obj: Object) -> bool:
        """Whether the object is selected."""
        if self.labels is not None and not self.labels(obj["metadata"].get("labels") or {}):
            return False
        return all((_field(obj, path) == value) is (operator == "=") for path, operator, value in self.fields)


EVERYTHING = Selector()


def selector_of(resource: Resource, labels: str, fields: str) -> Selector:
    """Parse the labelSelector and fieldSelector parameters; 400 where one is malformed or names another field."""
    if not labels and not fields:
        return EVERYTHING
    try:
        match: LabelMatch | None = parse_label_selector(labels) if labels else None
        terms = parse_field_selector(fields)
    except SelectorError as problem:
        raise bad_request(str(problem)) from problem
    allowed = _selectable(resource)
    for path, _, _ in terms:
        if path not in allowed:
            raise bad_request(
                f'Unable to find "{resource.group}/{resource.version}, Resource={resource.plural}" that match label '
                f'selector "{labels}", field selector "{fields}": field label not supported: {path}'
            )
    return Selector(match, tuple(terms))


def exact_name(fields: str) -> str:
    """The one name that a field selector leaves, or nothing; authorization sees such lists as reads of that name."""
    try:
        terms = parse_field_selector(fields)
    except SelectorError:
        return ""
    return next((value for path, operator, value in terms if path == "metadata.name" and operator == "="), "")


def _selectable(resource: Resource) -> set[str]:
    allowed = {"metadata.name", *_FIELDS.get(resource.group_resource, ())}
    if resource.namespaced:
        allowed.add("metadata.namespace")
    return allowed | {path.lstrip(".") for path in resource.extra.get("selectableFields", ())}


def _field(obj: Object, path: str) -> str:
    path = _ALIASES.get(path, path)
    value: Any = obj
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return _UNSET.get(path, "")
    return str(value)


_ALIASES = {"name": "metadata.name", "status.successful": "status.succeeded", "source": "source.component"}
_UNSET = {"spec.unschedulable": "false", "spec.hostNetwork": "false", "status.succeeded": "0", "status.replicas": "0"}
