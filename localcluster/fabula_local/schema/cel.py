"""x-kubernetes-validations: rules in the Common Expression Language, checked on every write of a custom resource.

The engine is the Rust one of the `common-expression-language` package. Which rules run, and what a failure says,
follows apiextensions-apiserver's schema/cel package, with ratcheting: a rule does not fail on a value that did not
change. What can be written in a rule is seen to by `cel_soundness`, before a CRD is taken.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cel

from . import errors
from .cel_source import escaped
from .errors import FieldError
from .field_walk import keyed_items

Schema = dict[str, Any]
Object = dict[str, Any]
Convert = Callable[[Any], Any]

_RULES = "x-kubernetes-validations"
_ABSENT = object()
_BLOCKING = frozenset(
    (
        *("FieldValueNotSupported", "FieldValueRequired", "FieldValueTooLong", "FieldValueTooMany"),
        "FieldValueTypeInvalid",
    )
)
_NOT_CHECKED = errors.invalid(
    "<nil>",
    None,
    "some validation rules were not checked because the object was invalid; correct the existing errors to complete"
    " validation",
)


@dataclass(frozen=True, slots=True)
class _Rule:
    source: str
    program: cel.Program
    uses_old: bool
    message: str
    reason: str
    field_path: str

    @property
    def name(self) -> str:
        return self.message or self.source

    @property
    def failed(self) -> str:
        return self.message or f"failed rule: {self.source}"


class CelRules:
    """The rules of one schema, compiled. Keep it as long as the schema: compiling costs, checking does not."""

    def __init__(self, schema: Schema) -> None:
        self._root = _node(schema, root=True)

    def check(
        self, new: Object, old: Object | None, known: Sequence[FieldError] = (), *, ratchet: bool = True
    ) -> list[FieldError]:
        """What breaks a rule; `old` is the stored object on an update, None on a create.

        `known` is what is wrong with the object already. Rules need an object of the right shape: where it has not,
        none is checked, and the one error says so. Without `ratchet`, what did not change is checked too.
        """
        if self._root is None:
            return []
        if any(error.reason in _BLOCKING for error in known):
            return [_NOT_CHECKED]
        faults: list[FieldError] = []
        self._root.check(new, _ABSENT if old is None else old, "", faults, False if ratchet else None)
        return faults


class _Node:
    """Rules of one place in the schema and the places below that have some."""

    def __init__(self, schema: Schema, root: bool) -> None:
        self.kind = "" if schema.get("x-kubernetes-int-or-string") else schema.get("type", "")
        self.rules = [_rule(rule) for rule in schema.get(_RULES) or []]
        self.convert = _converter(schema, root=root)
        self.fields: dict[str, _Node] = {}
        for name, sub in (schema.get("properties") or {}).items():
            if not (root and name == "metadata") and (node := _node(sub)):
                self.fields[name] = node
        others, items = schema.get("additionalProperties"), schema.get("items")
        self.others = _node(others) if isinstance(others, dict) else None
        self.items = _node(items) if isinstance(items, dict) else None
        self.named = frozenset(schema.get("properties") or ())
        self.schema = schema
        self.every = [node for sub in schema.get("allOf") or [] if (node := _node({"type": self.kind, **sub}))]
        below = [*self.fields.values(), *filter(None, (self.others, self.items)), *self.every]
        self.useful = bool(self.rules or below)
        self.has_transitions: bool = any(rule.uses_old for rule in self.rules) or any(
            node.has_transitions for node in below
        )

    def check(self, value: Any, old: Any, path: str, faults: list[FieldError], same: bool | None) -> None:
        """`same` says that the value is known not to have changed; None that it does not matter whether it has."""
        if value is None:
            return
        if same is False:
            same = old is not _ABSENT and old == value
        if same and not self.has_transitions:
            return
        if self.rules:
            self._evaluate(value, old, path, faults, same)
        for node in self.every:
            node.check(value, old, path, faults, same)
        if isinstance(value, dict):
            before = old if isinstance(old, dict) else {}
            prefix = f"{path}." if path else ""
            for name, node in self.fields.items():
                if name in value:
                    node.check(value[name], _or_absent(before, name), prefix + name, faults, same)
            if self.others:
                for name, part in value.items():
                    if name not in self.named:
                        self.others.check(part, _or_absent(before, name), f"{path}[{name}]", faults, same)
        elif isinstance(value, list) and self.items:
            keyed: dict[str, Any] = {}
            keys: list[str] = []
            if self.schema.get("x-kubernetes-list-type") == "map" and isinstance(old, list):
                keyed = keyed_items(old, self.schema, "map") or {}
                keys = [next(iter(keyed_items([part], self.schema, "map") or [""])) for part in value]
            for index, part in enumerate(value):
                was = _or_absent(keyed, keys[index]) if keys else _ABSENT
                self.items.check(part, was, f"{path}[{index}]", faults, same)

    def _evaluate(self, value: Any, old: Any, path: str, faults: list[FieldError], same: bool | None) -> None:
        has_old = old is not _ABSENT and old is not None
        now = self.convert(value) if self.convert else value
        was = (self.convert(old) if self.convert else old) if has_old else None
        context = cel.Context({"self": now, "oldSelf": was} if has_old else {"self": now})
        for rule in self.rules:
            if rule.uses_old and not has_old:
                continue
            if same and not rule.uses_old:
                continue
            try:
                passed = rule.program.execute(context)
            except Exception as problem:  # whatever the engine raises, the rule has failed
                faults.append(errors.invalid(path or "<nil>", self.kind, _engine_error(problem, rule)))
                continue
            if passed is not True:
                faults.append(self._failure(rule, path, value))

    def _failure(self, rule: _Rule, path: str, value: Any) -> FieldError:
        detail = rule.failed
        where = (path + rule.field_path if path else rule.field_path.lstrip(".")) or "<nil>"
        if rule.reason == "FieldValueForbidden":
            return errors.forbidden(where, detail)
        if rule.reason == "FieldValueRequired":
            return errors.required(where, detail)
        about = errors.OMITTED if isinstance(value, dict | list) else value
        if rule.reason == "FieldValueDuplicate":
            return errors.duplicate(where, about)
        return errors.invalid(where, about, detail)


def _engine_error(problem: Exception, rule: _Rule) -> str:
    if isinstance(problem, KeyError):
        return f"no such key: {problem.args[0]} evaluating rule: {rule.name}"
    if isinstance(problem, TypeError):
        words = "call arguments did not match a supported operator, function or macro signature for rule"
        return f"'no such overload': {words}: {rule.name}"
    if isinstance(problem, ZeroDivisionError):
        return f"division by zero evaluating rule: {rule.name}"
    return f"{problem} evaluating rule: {rule.name}"


def _or_absent(values: dict[str, Any], name: str) -> Any:
    return values.get(name, _ABSENT)


def _node(schema: Schema, root: bool = False) -> _Node | None:
    node = _Node(schema, root)
    return node if node.useful else None


def _rule(rule: Object) -> _Rule:
    source = rule["rule"].strip()
    program = cel.compile(source)
    return _Rule(
        source=source,
        program=program,
        uses_old="oldSelf" in program.variables(),
        message=(rule.get("message") or "").strip(),
        reason=rule.get("reason") or "FieldValueInvalid",
        field_path=rule.get("fieldPath") or "",
    )


def _converter(schema: Schema, *, root: bool = False) -> Convert | None:
    """How a JSON value becomes the CEL value of its declared type; None where they are the same."""
    kind = schema.get("type")
    if kind == "number":
        return lambda value: float(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if kind == "array" and isinstance(schema.get("items"), dict):
        return _list_converter(_converter(schema["items"]))
    properties = {} if kind != "object" else schema.get("properties") or {}
    fields = {name: change for name, sub in properties.items() if (change := _converter(sub))}
    renamed = {name: escaped(name) for name in properties if escaped(name) != name}
    others = schema.get("additionalProperties")
    other = _converter(others) if isinstance(others, dict) else None
    if not (root or fields or renamed or other):
        return None

    def convert(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        result = {}
        for name, member in value.items():
            inner = fields.get(name) or (other if name not in properties else None)
            result[renamed.get(name, name)] = inner(member) if inner and member is not None else member
        if root and isinstance(meta := result.get("metadata"), dict):
            result["metadata"] = {name: meta[name] for name in ("name", "generateName") if name in meta}
        return result

    return convert


def _list_converter(item: Convert | None) -> Convert | None:
    if item is None:
        return None
    return lambda value: [item(element) for element in value] if isinstance(value, list) else value
