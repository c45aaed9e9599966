"""What a rule says of its schema: names of properties as rules write them, and fields that it reads in vain."""

import re
from typing import Any

Schema = dict[str, Any]

_STRING = re.compile(r"""[rR]?(?:'''.*?'''|\"\"\".*?\"\"\"|'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")""", re.DOTALL)
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


def undefined_field(rule: str, schema: Schema, *, root: bool) -> str | None:
    """The first field that the rule reads of self or oldSelf and the schema does not have."""
    text = _STRING.sub('""', rule)
    for chain in _CHAIN.finditer(text):
        names = re.findall(r"\w+", chain[2])
        if chain[3]:
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
