"""Whether the rules of a schema can be used: they compile, and read only what is there, by functions that are known.

What the product's kinds, and the CRDs that it installs, have no use for is left out: of CEL's libraries those on
strings, lists, quantities, URLs and the like, optional values, times; `messageExpression` and `optionalOldSelf`. A CRD
with any of it is refused with a word on which.
"""

from typing import Any

import cel

from . import errors
from .cel_source import undefined_field
from .errors import FieldError

Schema = dict[str, Any]
Object = dict[str, Any]

_RULES = "x-kubernetes-validations"
UNSUPPORTED = ("messageExpression", "optionalOldSelf")
FUNCTIONS = frozenset(
    (
        *("size", "has", "contains", "startsWith", "endsWith", "matches"),
        *("all", "exists", "exists_one", "existsOne", "filter", "map"),
        *("int", "uint", "double", "string", "bool", "bytes", "type", "dyn"),
    )
)
"""Those that the engine brings, and that rules may use here."""


def compile_errors(schema: Schema) -> list[FieldError]:
    """Rules that cannot be used, with paths below the schema such as ".properties[spec]..."; empty when all can."""
    faults: list[FieldError] = []
    _walk(schema, "", faults, root=True, correlatable=True)
    return faults


def _walk(schema: Schema, path: str, faults: list[FieldError], *, root: bool, correlatable: bool) -> None:
    for index, rule in enumerate(schema.get(_RULES) or []):
        where = f"{path}.{_RULES}[{index}]"
        source = (rule.get("rule") or "").strip()
        if not source:
            faults.append(errors.required(f"{where}.rule", "rule is not specified"))
            continue
        uses_old = _problem(source, rule, schema, f"{where}.rule", faults, root)
        if uses_old and not correlatable:
            message = "oldSelf cannot be used on the uncorrelatable portion of the schema"
            faults.append(errors.invalid(f"{where}.rule", source, message))
        for name in UNSUPPORTED:
            if rule.get(name):
                faults.append(errors.forbidden(f"{where}.{name}", f"the laptop's API server does not know {name}"))
    for name, sub in (schema.get("properties") or {}).items():
        if not (root and name == "metadata"):
            _walk(sub, f"{path}.properties[{name}]", faults, root=False, correlatable=correlatable)
    if isinstance(others := schema.get("additionalProperties"), dict):
        _walk(others, f"{path}.additionalProperties", faults, root=False, correlatable=correlatable)
    if isinstance(items := schema.get("items"), dict):
        same = correlatable and schema.get("x-kubernetes-list-type") == "map"
        _walk(items, f"{path}.items", faults, root=False, correlatable=same)


def _problem(source: str, rule: Object, schema: Schema, where: str, faults: list[FieldError], root: bool) -> bool:
    """Report why an expression cannot be used; returns whether it reads oldSelf."""
    problem = None
    uses_old = False
    try:
        program = cel.compile(source)
    except ValueError as error:
        problem = str(error)
    else:
        uses_old = "oldSelf" in program.variables()
        unknown = [name for name in program.functions() if name[0].isalpha() and name not in FUNCTIONS]
        missing = undefined_field(source, schema, root=root)
        if unknown:
            problem = f"ERROR: <input>: undeclared reference to '{unknown[0]}' (in container '')"
        elif missing:
            problem = f"ERROR: <input>: undefined field '{missing}'"
    if problem:
        shown = {name: value for name, value in rule.items() if name in ("rule", "message")}
        faults.append(errors.invalid(where, shown, f"compilation failed: {problem}"))
    return uses_old
