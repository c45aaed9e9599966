"""Documents of YAML files with the lines of their fields, and what is wrong with a file that cannot be read."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fabula_cli.exits import CommandFailed, Exit

_UTF16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML document of a file, or an object of a List in it."""

    file: str
    node: yaml.Node
    value: Any

    def line(self, path: str) -> int:
        """Line of a field such as `spec.arms[0].name`; of the nearest one above it that is there."""
        node, at = self.node, self.node.start_mark.line
        for part in path.replace("[", ".[").split("."):
            below = _below(node, part)
            if below is None:
                break
            at, node = below
        return at + 1

    def repeated(self) -> Iterator[tuple[str, int]]:
        """(name, line) of each field that stands a second time in its block; kubectl refuses such a file."""
        blocks, seen = [self.node], {id(self.node)}
        while blocks:
            node = blocks.pop()
            below = list(node.value) if isinstance(node, yaml.SequenceNode) else []
            if isinstance(node, yaml.MappingNode):
                names: set[str] = set()
                for key, value in node.value:
                    if isinstance(key.value, str) and key.value in names:
                        yield key.value, key.start_mark.line + 1
                    names.add(str(key.value))
                    below.append(value)
            for inner in below:
                if id(inner) not in seen:  # an alias is the node that it names
                    seen.add(id(inner))
                    blocks.append(inner)


def _below(node: yaml.Node, part: str) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.SequenceNode) and part.startswith("["):
        number = part.strip("[]")
        if number.isdigit() and int(number) < len(node.value):
            item = node.value[int(number)]
            return item.start_mark.line, item
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == part:
                return key.start_mark.line, value
    return None


def read(files: Sequence[Path]) -> Iterator[Document]:
    """Every document of files, of the YAML files in folders, and of stdin (`-`). Raises CommandFailed."""
    for path in files:
        if str(path) == "-":
            yield from documents("stdin", sys.stdin.read())
            continue
        inside = (
            sorted(file for file in path.iterdir() if file.suffix in (".yaml", ".yml")) if path.is_dir() else [path]
        )
        if not inside:
            raise CommandFailed(Exit.ABSENT, f"there is no .yaml file in {path}")
        for file in inside:
            yield from documents(str(file), _text(file))


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CommandFailed(Exit.ABSENT, f"{path} cannot be read: {error.strerror}") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        how = (
            "it is in UTF-16, as PowerShell's > writes it" if data.startswith(_UTF16) else f"byte {error.start} is none"
        )
        raise CommandFailed(Exit.BAD, f"{path} is no text in UTF-8 ({how}); save it as UTF-8") from None


def documents(file: str, text: str) -> Iterator[Document]:
    """The documents of a YAML text, empty ones left out. Raises CommandFailed for what is no YAML."""
    try:
        for node in yaml.compose_all(text, yaml.SafeLoader):
            if node is not None and (value := yaml.SafeLoader("").construct_document(node)) is not None:
                yield from _objects(file, node, value)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{file}:{mark.line + 1}" if mark else file
        words = " ".join(f"{error.context or ''} {error.problem or error}".split())
        line = text.splitlines()[mark.line : mark.line + 1] if mark else []
        tab = "; the line is set in by a tab, and YAML knows spaces only" if "\t" in "".join(line) else ""
        raise CommandFailed(Exit.BAD, f"{where}: is no YAML: {words}{tab}") from None
    except yaml.YAMLError as error:
        raise CommandFailed(Exit.BAD, f"{file} is no YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise CommandFailed(Exit.BAD, f"{file} is nested too deeply to be read") from None


def _objects(file: str, node: yaml.Node, value: Any) -> Iterator[Document]:
    """The document, or of a List each of its objects."""
    items = value.get("items") if isinstance(value, dict) and value.get("kind") == "List" else None
    below = _below(node, "items")
    if not isinstance(items, list) or below is None:
        yield Document(file, node, value)
        return
    for item_node, item in zip(below[1].value, items, strict=True):
        yield Document(file, item_node, item)
