"""A schema compiled once into closures that check a value; every write passes here, so it must be cheap.

Rules and order: kube-openapi's validate package and apiextensions-apiserver's conversion to field errors.
"""

from typing import Any

from . import errors
from .errors import FieldError
from .identity_cache import IdentityCache
from .scalar_checks import Check, Schema, number_checks, string_checks

_JSON_TYPES: dict[type, str] = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    dict: "object",
    list: "array",
    type(None): "null",
}


def compile_schema(schema: Schema) -> Check:
    """A function (value, path, errors) that appends what is wrong; the path of the whole object is ""."""
    return _node(schema)


def _node(schema: Schema) -> Check:
    checks: list[Check] = []
    types = _types(schema)
    nullable = bool(schema.get("nullable"))
    by_type: dict[str, list[Check]] = {
        "string": string_checks(schema),
        "number": number_checks(schema),
        "array": _array_checks(schema),
        "object": _object_checks(schema),
    }
    by_type["integer"] = by_type["number"]
    if "enum" in schema:
        checks.append(_enum(schema["enum"]))
    composed = _composition(schema)
    wanted = ",".join(types)
    accepts_float_as_int = "integer" in types
    accepted = set(types)
    if "number" in accepted:
        accepted.add("integer")
    format_ = schema.get("format")
    if not types and not checks and not composed and not any(by_type.values()):
        return _nothing

    def check(value: Any, path: str, faults: list[FieldError]) -> None:
        kind = _JSON_TYPES.get(type(value), "object")
        if value is None:
            if types and not nullable:
                faults.append(errors.type_invalid(path, "null", f'{path} in body must be of type {wanted}: "null"'))
            return
        if types and kind not in accepted and not (accepts_float_as_int and kind == "number" and value.is_integer()):
            name = format_ if format_ in ("int32", "int64", "float", "double") and kind == "boolean" else wanted
            shown = "" if name is format_ and format_ else kind
            faults.append(errors.type_invalid(path, shown, f'{path} in body must be of type {name}: "{shown}"'))
            return
        for rule in by_type.get(kind, ()):
            rule(value, path, faults)
        for rule in checks:
            rule(value, path, faults)
        for rule in composed:
            rule(value, path, faults)

    return check


def _nothing(value: Any, path: str, faults: list[FieldError]) -> None:
    return None


def _types(schema: Schema) -> list[str]:
    if schema.get("x-kubernetes-int-or-string"):
        return ["integer", "string"]
    kind = schema.get("type")
    return [kind] if kind else []


def _enum(allowed: list[Any]) -> Check:
    def check(value: Any, path: str, faults: list[FieldError]) -> None:
        if not any(value == item and isinstance(value, bool) == isinstance(item, bool) for item in allowed):
            faults.append(errors.not_supported(path, value, allowed))

    return check


def _array_checks(schema: Schema) -> list[Check]:
    checks: list[Check] = []
    most, least = schema.get("maxItems"), schema.get("minItems")
    if most is not None or least is not None:

        def size(value: Any, path: str, faults: list[FieldError]) -> None:
            if most is not None and len(value) > most:
                faults.append(errors.too_many(path, len(value), most))
            if least is not None and len(value) < least:
                detail = f"{path} in body should have at least {least} items"
                faults.append(errors.invalid(path, len(value), detail))

        checks.append(size)
    if isinstance(schema.get("items"), dict):
        item = _node(schema["items"])
        if item is not _nothing:

            def each(value: Any, path: str, faults: list[FieldError]) -> None:
                for index, element in enumerate(value):
                    item(element, f"{path}[{index}]", faults)

            checks.append(each)
    kind = schema.get("x-kubernetes-list-type")
    if kind == "set" or schema.get("uniqueItems"):
        checks.append(_unique_items)
    elif kind == "map":
        properties = schema.get("items", {}).get("properties", {})
        keys = [(key, properties.get(key, {}).get("default")) for key in schema.get("x-kubernetes-list-map-keys", ())]
        checks.append(_unique_keys(keys))
    return checks


def _unique_items(value: Any, path: str, faults: list[FieldError]) -> None:
    seen: set[str] = set()
    for index, item in enumerate(value):
        key = errors.shown(item)
        if key in seen:
            faults.append(errors.duplicate(f"{path}[{index}]", item))
        seen.add(key)


def _unique_keys(keys: list[tuple[str, Any]]) -> Check:
    def check(value: Any, path: str, faults: list[FieldError]) -> None:
        seen: set[str] = set()
        for index, item in enumerate(value):
            if not isinstance(item, dict):
                continue
            identity = {key: item.get(key, default) for key, default in keys}
            known = {key: part for key, part in identity.items() if part is not None}
            text = errors.shown(known)
            if text in seen:
                faults.append(errors.duplicate(f"{path}[{index}]", known))
            seen.add(text)

    return check


def _object_checks(schema: Schema) -> list[Check]:
    checks: list[Check] = []
    most, least = schema.get("maxProperties"), schema.get("minProperties")
    if most is not None or least is not None:

        def size(value: Any, path: str, faults: list[FieldError]) -> None:
            if most is not None and len(value) > most:
                faults.append(errors.too_many(path, len(value), most))
            if least is not None and len(value) < least:
                detail = f"{path} in body should have at least {least} properties"
                faults.append(errors.invalid(path, least, detail))

        checks.append(size)
    needed = list(schema.get("required", ()))
    properties = _properties(schema.get("properties", {}))
    if schema.get("x-kubernetes-embedded-resource"):
        needed = [*needed, *(name for name in ("apiVersion", "kind") if name not in needed)]
    others = schema.get("additionalProperties")
    other = _node(others) if isinstance(others, dict) else None
    closed = others is False
    if needed or properties or other or closed:

        def members(value: Any, path: str, faults: list[FieldError]) -> None:
            prefix = f"{path}." if path else ""
            for name, member in value.items():
                known = properties.get(name)
                if known is not None:
                    known(member, prefix + name, faults)
                elif other is not None:
                    other(member, prefix + name, faults)
                elif closed:
                    faults.append(errors.invalid(path, name, f"{path}.{name} in body is a forbidden property"))
            for name in needed:
                if name not in value:
                    faults.append(errors.required(prefix + name))

        checks.append(members)
    return checks


# Types used in many places share their properties dict, so that it is compiled once.
_compiled: IdentityCache[dict[str, Check]] = IdentityCache()


def _properties(members: Schema) -> dict[str, Check]:
    return _compiled.get(members, lambda every: {name: _node(sub) for name, sub in every.items()})


def _composition(schema: Schema) -> list[Check]:
    checks: list[Check] = []
    if every := [_node(sub) for sub in schema.get("allOf", ())]:
        checks.append(_all_of(every))
    if some := [_node(sub) for sub in schema.get("anyOf", ())]:
        checks.append(_any_of(some))
    if single := [_node(sub) for sub in schema.get("oneOf", ())]:
        checks.append(_one_of(single))
    if "not" in schema:
        checks.append(_not(_node(schema["not"])))
    return checks


def _wrong(alternative: Check, value: Any, path: str) -> list[FieldError]:
    faults: list[FieldError] = []
    alternative(value, path, faults)
    return faults


def _composed(path: str, words: str) -> FieldError:
    return errors.invalid("<nil>", "", f'"{path}" must {words}')


def _all_of(every: list[Check]) -> Check:
    def check(value: Any, path: str, faults: list[FieldError]) -> None:
        results = [_wrong(alternative, value, path) for alternative in every]
        for result in results:
            faults.extend(result)
        if any(results):
            faults.append(
                _composed(path, f"validate all the schemas (allOf){'. None validated' if all(results) else ''}")
            )

    return check


def _any_of(some: list[Check]) -> Check:
    def check(value: Any, path: str, faults: list[FieldError]) -> None:
        best: list[FieldError] | None = None
        for alternative in some:
            result = _wrong(alternative, value, path)
            if not result:
                return
            if best is None or len(result) < len(best):
                best = result
        faults.append(_composed(path, "validate at least one schema (anyOf)"))
        faults.extend(best or ())

    return check


def _one_of(single: list[Check]) -> Check:
    def check(value: Any, path: str, faults: list[FieldError]) -> None:
        results = [_wrong(alternative, value, path) for alternative in single]
        valid = sum(not result for result in results)
        if valid == 1:
            return
        words = "Found none valid" if valid == 0 else f"Found {valid} valid alternatives"
        faults.append(_composed(path, f"validate one and only one schema (oneOf). {words}"))
        if valid == 0:
            faults.extend(sorted(results, key=len)[0])

    return check


def _not(denied: Check) -> Check:
    def check(value: Any, path: str, faults: list[FieldError]) -> None:
        if not _wrong(denied, value, path):
            faults.append(_composed(path, "not validate the schema (not)"))

    return check
