"""What every model of the API shares: camelCase on the wire, docstrings as descriptions, bounded scalars.

Kubernetes charges CEL rules by the worst size of what they read, so every string, list and map here has a bound.
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Self, TypedDict

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, GetJsonSchemaHandler, StringConstraints
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema

from fabula_api.attribute_docs import attribute_docs
from fabula_api.outside import MOST

GROUP = "fabula.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"


class Record(BaseModel):
    """A frozen value, of which changed copies are made."""

    # A program makes use of few of the models that it imports; what validates one is made when it is first wanted.
    model_config = ConfigDict(defer_build=True)

    def replace(self, **fields: Any) -> Self:
        """A copy with other values, held to the model as those of a new one are.

        Raises TypeError for a name that is no field, and ValidationError for a value that the field cannot have.
        """
        model = type(self)
        # Asked once: pydantic looks each time whether a model or one of its values is asked.
        known = model.model_fields
        if unknown := fields.keys() - known.keys():
            raise TypeError(f"{model.__name__} has no field {', '.join(sorted(unknown))}")
        kept = {name: value for name, value in self.__dict__.items() if name in known}
        # Models in it are taken as they are, so this costs little.
        copy = model.model_validate(kept | fields)
        object.__setattr__(copy, "__pydantic_fields_set__", self.__pydantic_fields_set__ | fields.keys())
        return copy


class Rule(TypedDict, total=False):
    """One entry of `x-kubernetes-validations`: what must hold between the fields of a block, in CEL."""

    rule: str
    message: str
    fieldPath: str
    reason: str


class SpecModel(Record):
    """Part of a spec: frozen, camelCase on the wire, unknown fields refused; attribute docstrings describe."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        ser_json_inf_nan="strings",
    )

    cel: ClassVar[tuple[Rule, ...]] = ()
    """What must hold between its fields."""

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """The JSON Schema, with the rules that a CRD has beside it."""
        schema = _described(cls, handler(core), handler)
        if cls.cel:
            handler.resolve_ref_schema(schema)["x-kubernetes-validations"] = [dict(rule) for rule in cls.cel]
        return schema


def _described(model: type[BaseModel], schema: dict[str, Any], handler: GetJsonSchemaHandler) -> dict[str, Any]:
    """The JSON Schema of a model, with what stands below its fields as their descriptions."""
    properties, docs = handler.resolve_ref_schema(schema)["properties"], attribute_docs(model)
    for name, field in model.model_fields.items():
        if name in docs:
            properties[field.alias or name].setdefault("description", docs[name])
    return schema


def untouched(model: type[SpecModel], path: str, *fields: str) -> str:
    """The CEL expression that says that fields of a block (all where none is named) have their defaults."""
    defaults = model().model_dump(mode="json", by_alias=True)
    # What has no default is not there, and cannot be read.
    return " && ".join(
        f"!has({path}.{name})" if defaults[name] is None else f"{path}.{name} == {json.dumps(defaults[name])}"
        for name in fields or defaults
    )


class StatusModel(Record):
    """Part of a status: as SpecModel, but fields of a newer operator are ignored so that a rollback can read them."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="ignore",
        frozen=True,
        # No status can hold what JSON cannot.
        allow_inf_nan=False,
    )

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """The JSON Schema, with what stands below a field as its description."""
        return _described(cls, handler(core), handler)

    def to_wire(self) -> dict[str, object]:
        """The camelCase JSON object, without unset (None) fields."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


NAME, NAME_LENGTH = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", 63
Name = Annotated[str, StringConstraints(min_length=1, max_length=NAME_LENGTH, pattern=NAME)]
"""A DNS label (RFC 1123)."""
ObjectName = Annotated[
    str, StringConstraints(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$")
]
"""A DNS subdomain: the name of a Kubernetes object."""
Uri = Annotated[str, StringConstraints(min_length=1, max_length=2048)]
"""`file:///path`, `s3://bucket/key`, or a path without a scheme: then below the operator's artifact root."""
Text = Annotated[str, StringConstraints(max_length=1024)]
LongText = Annotated[str, StringConstraints(max_length=16384)]
Quantity = Annotated[str, StringConstraints(max_length=32, pattern=r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$")]
"""A Kubernetes resource quantity, for example `500m`, `8` or `64Gi`."""
Duration = Annotated[str, StringConstraints(max_length=32, pattern=r"^([0-9]+(h|m|s))+$")]
"""A duration such as `90s`, `15m`, `1h30m`."""
Digest = Annotated[str, StringConstraints(max_length=80, pattern=r"^sha256:[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0, le=MOST)]
"""A whole number that every reader of JSON keeps as it is."""
ContentDigest = Annotated[str, StringConstraints(max_length=80, pattern=r"^(sha256:[0-9a-f]{64}|commit:[0-9a-f]{40})$")]
"""Digest of an artifact or folder, or the commit of a repository on the Hub."""


@lru_cache(maxsize=4096)
def _instant(text: str) -> str:
    """Raises ValueError for a time that the API server would not take."""
    if datetime.fromisoformat(text).tzinfo is None or text[10:11] not in ("T", "t"):
        raise ValueError("is not an RFC 3339 time with an offset, such as 2026-01-31T12:00:00Z")
    return text


Timestamp = Annotated[
    str, StringConstraints(max_length=40), AfterValidator(_instant), Field(json_schema_extra={"format": "date-time"})
]
"""RFC 3339 in UTC, `2026-01-31T12:00:00Z`."""

_DURATION_PART = re.compile(r"(\d+)([hms])")
_SECONDS = {"h": 3600, "m": 60, "s": 1}


def duration_seconds(duration: str) -> int:
    """Seconds in a `Duration` such as `1h30m`."""
    return sum(int(number) * _SECONDS[unit] for number, unit in _DURATION_PART.findall(duration))


def value_at(spec: Any, path: str) -> Any:
    """The value of a spec's field by its dotted snake_case path."""
    for part in path.split("."):
        spec = getattr(spec, part)
    return spec


EACH = "each."
"""Begins the path to a field of the entry for which a stage runs."""


def value_of(spec: Any, path: str, entry: Any = None) -> Any:
    """The value at a stage's path: of the spec, or behind `each.` of the entry of a list for which it runs."""
    return value_at(entry, path.removeprefix(EACH)) if path.startswith(EACH) else value_at(spec, path)


def camel(path: str) -> str:
    """A dotted snake_case path as a person writes it in YAML."""

    def spelt(part: str) -> str:
        head, *tail = part.split("_")
        return head + "".join(word.capitalize() for word in tail)

    return ".".join(spelt(part) for part in path.split("."))
