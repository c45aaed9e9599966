"""What a client accepts: the objects themselves, a Table for people, or only their metadata."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
import yaml

from fabula_local.apiserver.errors import not_acceptable
from fabula_local.resource import Resource
from fabula_local.schema.tables import table

Object = dict[str, Any]

JSON = "application/json"
YAML = "application/yaml"
_MEDIA = {JSON: JSON, "application/*": JSON, "*/*": JSON, YAML: YAML}
_META_VERSION = "meta.k8s.io/v1"


@dataclass(frozen=True, slots=True)
class Form:
    """The form of an answer: "Object", "Table" or "PartialObjectMetadata", and its media type."""

    shape: str = "Object"
    media: str = JSON
    include: str = "Metadata"

    @property
    def plain(self) -> bool:
        """Whether encoded objects can be sent as they are."""
        return self.shape == "Object" and self.media == JSON


PLAIN = Form()


def negotiate(accept: str, include: str) -> Form:
    """The first form in the Accept header that is served; 406 where there is none."""
    if not accept or accept == JSON:
        return PLAIN
    for clause in accept.split(","):
        media, *parameters = [part.strip() for part in clause.split(";")]
        options = dict(part.partition("=")[::2] for part in parameters)
        served = _MEDIA.get(media.lower())
        if served is None:
            continue
        shape = options.get("as")
        if shape is None:
            return Form(media=served)
        shape = "PartialObjectMetadata" if shape == "PartialObjectMetadataList" else shape
        if (
            shape in ("Table", "PartialObjectMetadata")
            and options.get("g") == "meta.k8s.io"
            and options.get("v") == "v1"
        ):
            return Form(shape, served, include or "Metadata")
    raise not_acceptable("application/json, application/yaml")


def encode(obj: Any, form: Form = PLAIN) -> bytes:
    """Encode a finished document."""
    if form.media == YAML:
        text: str = yaml.safe_dump(obj, sort_keys=False)
        return text.encode()
    return orjson.dumps(obj)


def shaped(obj: Object, resource: Resource | None, form: Form) -> Object:
    """One object in the form asked; a Status and other foreign objects stay as they are."""
    if form.shape == "Object" or resource is None or obj.get("kind") != resource.kind:
        return obj
    if form.shape == "Table":
        return as_table(resource, [obj], form, {"resourceVersion": obj["metadata"].get("resourceVersion", "")})
    return partial(obj)


def partial(obj: Object) -> Object:
    """Only the metadata."""
    return {"kind": "PartialObjectMetadata", "apiVersion": _META_VERSION, "metadata": obj["metadata"]}


def as_table(resource: Resource, objects: list[Object], form: Form, metadata: Object) -> Object:
    """A Table of objects, with list metadata."""
    document = table(resource, objects, form.include, datetime.now(UTC))
    document["metadata"] = metadata
    return document


def partial_list(objects: list[Object], metadata: Object) -> Object:
    """A list of metadata."""
    items = [partial(obj) for obj in objects]
    return {"kind": "PartialObjectMetadataList", "apiVersion": _META_VERSION, "metadata": metadata, "items": items}
