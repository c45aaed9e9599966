"""The generated types of Kubernetes' API as lightkube-models carries them: names, annotations, words, and nothing else.

The package is source for lightkube's own kind of classes, and brings no way to make them. Here they stay plain classes
that are read, so that neither lightkube nor its HTTP client need be there. The official client's models are no source:
they have no words for a field of a type, no quantities, no numbers' widths, and take twice the memory.
"""

import importlib
import sys
from dataclasses import dataclass
from importlib.metadata import distribution
from types import ModuleType
from typing import Any, NamedTuple

_PACKAGE = f"{__package__}.lightkube_models"


class Member(NamedTuple):
    """One field of a type."""

    name: str
    """On the wire."""
    attribute: str
    annotation: str
    """As in Python, for example "Optional[List[Container]]"."""
    optional: bool


class GeneratedType(NamedTuple):
    """One type."""

    words: str
    members: tuple[Member, ...]


def generated_type(module: str, name: str) -> GeneratedType | None:
    """A type, for example generated_type("batch_v1", "JobSpec"); None for an alias of another one."""
    if _PACKAGE not in sys.modules:
        _open()
    model = getattr(importlib.import_module(f"{_PACKAGE}.{module}"), name)
    if not (isinstance(model, type) and issubclass(model, _Read)):
        return None
    return GeneratedType(model.__doc__ or "", tuple(_members(model)))


def _members(model: type) -> list[Member]:
    members = []
    for attribute, annotation in model.__annotations__.items():
        default = vars(model).get(attribute, _NEEDED)
        name = default.name if isinstance(default, _Field) and default.name else attribute
        optional = default is not _NEEDED and not (isinstance(default, _Field) and not default.optional)
        members.append(Member(name, attribute, annotation, optional))
    return members


_NEEDED = object()


class _Read:
    """What the generated classes take for their base."""


@dataclass(frozen=True)
class _Field:
    name: str | None
    optional: bool


def _field(*, metadata: dict[str, str] | None = None, **more: Any) -> Any:
    return _Field((metadata or {}).get("json"), "default" in more or "default_factory" in more)


def _open() -> None:
    """Make the folder of lightkube-models a package of ours, with what its classes are made of beside it."""
    package, made_of = ModuleType(_PACKAGE), ModuleType(f"{_PACKAGE}._schema")
    package.__path__ = [str(distribution("lightkube-models").locate_file("lightkube/models"))]
    made_of.__dict__.update(dataclass=lambda decorated: decorated, field=_field, DictMixin=_Read)
    sys.modules[_PACKAGE], sys.modules[made_of.__name__] = package, made_of
