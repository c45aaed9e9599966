"""Rules as people write them, made readable for our CEL engine, and checked against the schema before they are used.

The engine knows no optional selection (a.?b); it is another way to write a call, and rewritten to one of a function in
cel_functions.
"""

import re
from typing import Any

Schema = dict[str, Any]

_STRING = re.compile(r"""[rR]?(?:'''.*?'''|\"\"\".*?\"\"\"|'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")""", re.DOTALL)
_OPTIONAL = re.compile(r"\.\?\s*(\w+)((?:\s*\.\s*\??\w+(?!\w|\s*\())*)")
_OPTIONAL_INDEX = re.compile(r"\[\?([^\[\]]*)\]")
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
    if ".?" not in rule and "[?" not in rule:
        return rule
    literals: list[str] = []

    def keep(found: re.Match[str]) -> str:
        literals.append(found[0])
        return f"\0{len(literals) - 1}\0"

    text = _STRING.sub(keep, rule)
    text = _OPTIONAL_INDEX.sub(lambda found: f".optSelect_({found[1]})", text)
    text = _OPTIONAL.sub(_optional, text)
    return re.sub("\0(\\d+)\0", lambda found: literals[int(found[1])], text)


def _optional(found: re.Match[str]) -> str:
    rest = re.findall(r"\w+", found[2])
    return "".join(f'.optSelect_("{name}")' for name in (found[1], *rest))


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
