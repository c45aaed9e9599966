"""Rules as people write them, made readable for our CEL engine, and checked against the schema before they are used.

The engine knows no optional selection (a.?b), no cel.bind and no sets, math or regex namespaces; all of them are only
another way to write a call, so they are rewritten to calls of functions in cel_functions.
"""

import re
from typing import Any

Schema = dict[str, Any]

_STRING = re.compile(r"""[rR]?(?:'''.*?'''|\"\"\".*?\"\"\"|'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")""", re.DOTALL)
_OPTIONAL = re.compile(r"\.\?\s*(\w+)((?:\s*\.\s*\??\w+(?!\w|\s*\())*)")
_OPTIONAL_INDEX = re.compile(r"\[\?([^\[\]]*)\]")
_NAMESPACE = re.compile(r"\b(sets|math)\.(\w+)\s*\(")
_BIND = re.compile(r"\bcel\.bind\(")
_CHAIN = re.compile(r"(?<![\w.\])])(self|oldSelf)((?:\s*\.\s*[A-Za-z_]\w*)+)(\s*\()?")

_RESERVED = frozenset(
    (
        *("true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if"),
        *("import", "let", "loop", "package", "namespace", "return", "var", "void", "while"),
    )
)


def escaped(name: str) -> str:
    """A property name as rules must write it, for example __namespace__ or a__dash__b."""
    if name in _RESERVED:
        return f"__{name}__"
    text = name.replace("__", "__underscores__")
    return text.replace(".", "__dot__").replace("-", "__dash__").replace("/", "__slash__")


def rewrite(rule: str) -> str:
    """The rule in the words of the engine; the same text where nothing needs another form."""
    if ".?" not in rule and "[?" not in rule and "cel.bind" not in rule and not _NAMESPACE.search(rule):
        return rule
    literals: list[str] = []

    def keep(found: re.Match[str]) -> str:
        literals.append(found[0])
        return f"\0{len(literals) - 1}\0"

    text = _STRING.sub(keep, rule)
    text = _OPTIONAL_INDEX.sub(lambda found: f".optSelect_({found[1]})", text)
    text = _OPTIONAL.sub(_optional, text)
    text = _NAMESPACE.sub(lambda found: f"{found[1]}_{found[2]}_(", text)
    while found := _BIND.search(text):
        text = _unbind(text, found.start(), found.end())
    return re.sub("\0(\\d+)\0", lambda found: literals[int(found[1])], text)


def _optional(found: re.Match[str]) -> str:
    rest = re.findall(r"\w+", found[2])
    return "".join(f'.optSelect_("{name}")' for name in (found[1], *rest))


def _unbind(text: str, start: int, position: int) -> str:
    """cel.bind(x, value, body) as [value].map(x, body)[0]."""
    depth, parts, begin = 1, [], position
    for index in range(position, len(text)):
        sign = text[index]
        if sign in "([{":
            depth += 1
        elif sign in ")]}":
            depth -= 1
            if depth == 0:
                parts.append(text[begin:index])
                break
        elif sign == "," and depth == 1 and len(parts) < 2:
            parts.append(text[begin:index])
            begin = index + 1
    else:
        raise ValueError("cel.bind has no closing bracket")
    if len(parts) != 3:
        raise ValueError("cel.bind takes a name, a value and an expression")
    name, value, body = parts
    return f"{text[:start]}[{value}].map({name.strip()}, {body})[0]{text[index + 1 :]}"


def undefined_field(rule: str, schema: Schema, *, root: bool, check_old: bool) -> str | None:
    """The first field that the rule reads of self or oldSelf and the schema does not have."""
    text = _STRING.sub('""', rule)
    for found in _CHAIN.finditer(text):
        if found[1] == "oldSelf" and not check_old:
            continue
        names = re.findall(r"\w+", found[2])
        if found[3]:
            names.pop()
        current: Any = schema
        at_root = root
        for name in names:
            known = _fields(current, at_root)
            at_root = False
            if known is None:
                break
            if name not in known:
                return str(name)
            current = known[name]
    return None


def _fields(schema: Any, root: bool) -> dict[str, Any] | None:
    """The fields a rule may read of a value; None where that cannot be told."""
    if not isinstance(schema, dict) or schema.get("x-kubernetes-preserve-unknown-fields"):
        return None
    embedded = root or schema.get("x-kubernetes-embedded-resource")
    if "properties" not in schema and not embedded:
        return None
    known = {escaped(name): sub for name, sub in schema.get("properties", {}).items()}
    if embedded:
        text = {"type": "string"}
        known |= {"apiVersion": text, "kind": text, "metadata": {"properties": {"name": text, "generateName": text}}}
    return known
