"""`fabula init`: a commented file for a kind and recipe, made from the same schema as `kubectl explain`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from textwrap import wrap
from typing import Annotated, Any

import typer

from fabula_api.base import API_VERSION, camel
from fabula_api.crd import crd
from fabula_api.recipes import API_KINDS, Kind, broken, recipes, stages_of, unused_of
from fabula_api.specs import DEFAULT, PARAMETERS
from fabula_cli.exits import CommandFailed, Exit, told

_WIDTH = 110


def template(kind: Kind, recipe: str, name: str, *, every: bool = True) -> str:
    """The YAML of a run: what has to be given and, with `every`, all other fields as comments with their defaults."""
    root = crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    lines = [f"# {line}" for line in wrap(root["description"], _WIDTH)]
    lines += [f"apiVersion: {API_VERSION}", f"kind: {kind}", "metadata:", f"  name: {name}", "spec:"]
    chosen = recipes()[recipe]
    others = {camel(other.block) for other in recipes().values() if other is not chosen}
    spec = root["properties"]["spec"]
    left_out = {*others, PARAMETERS, *map(camel, unused_of(chosen, kind))}
    fields = {name: field for name, field in spec["properties"].items() if name not in left_out}
    given = {**chosen.examples.get(kind, {}), "recipe": recipe}
    return "\n".join([*lines, *_block({**spec, "properties": fields}, given, "  ", every)]) + "\n"


def _block(schema: dict[str, Any], given: dict[str, Any], indent: str, every: bool) -> Iterator[str]:
    for field, below in schema["properties"].items():
        if field in given:
            yield from _about(below, indent)
            yield from _filled(field, below, given[field], indent, every)
        elif field in schema.get("required", ()):
            yield from _about(below, indent)
            yield f"{indent}{field}: <{_kind(below)}>"  # no example: `validate` names it until it is filled in
        elif every:
            yield from _about(below, indent)
            yield from _commented(field, below, indent, "# ")


def _filled(field: str, schema: dict[str, Any], value: Any, indent: str, every: bool) -> Iterator[str]:
    """A field that is set, with what else its block has, commented out."""
    if isinstance(value, dict) and "properties" in schema:
        yield f"{indent}{field}:"
        yield from _block(schema, value, indent + "  ", every)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        yield f"{indent}{field}:"
        for position, entry in enumerate(value):
            item = list(_block(schema["items"], entry, indent + "    ", every and position == 0))
            start = next(at for at, line in enumerate(item) if not line.lstrip().startswith("#"))
            # Comments of the first field stand above its dash.
            yield from item[:start]
            yield f"{indent}  - {item[start].lstrip()}"
            yield from item[start + 1 :]
    else:
        yield f"{indent}{field}: {_scalar(value)}"


def _commented(field: str, schema: dict[str, Any], indent: str, mark: str) -> Iterator[str]:
    """A field that is left out, with its default; of a block, its fields below it."""
    default = schema.get("default")
    if "properties" not in schema:
        shown = _scalar(default) if default is not None else f"<{_kind(schema)}>"
        yield f"{indent}{mark}{field}: {shown}"
        return
    yield f"{indent}{mark}{field}:"
    for name, below in schema["properties"].items():
        inner = {**below, "default": default[name]} if isinstance(default, dict) and name in default else below
        for line in _about(below, ""):
            yield f"{indent}{mark}  {line}"
        yield from _commented(name, inner, indent, f"{mark}  ")


def _about(schema: dict[str, Any], indent: str) -> Iterator[str]:
    about = " ".join(str(schema.get("description", "")).split())
    if "enum" in schema:
        about = f"{about} One of {', '.join(map(str, schema['enum']))}.".strip()
    for line in wrap(about, _WIDTH - len(indent), break_on_hyphens=False):
        yield f"{indent}# {line}"


def _kind(schema: dict[str, Any]) -> str:
    return {"array": "list", "object": "map"}.get(schema.get("type", ""), str(schema.get("type")))


def _scalar(value: Any) -> str:
    """JSON is YAML; plain words need no quotes."""
    text = json.dumps(value, ensure_ascii=False)
    plain = isinstance(value, str) and value[:1].isalpha() and value.replace("-", "").replace("/", "").isalnum()
    return str(value) if plain and value.lower() not in ("true", "false", "yes", "no", "on", "off", "null") else text


def _kinds(incomplete: str) -> list[str]:
    return [word for word in _called() if word.startswith(incomplete)]


def _called() -> dict[str, Kind]:
    """Each kind by its name, and by its short one."""
    return {word: kind for kind, definition in API_KINDS.items() for word in (kind, definition.short)}


def _recipes(incomplete: str) -> list[str]:
    return [name for name in sorted(recipes()) if name.startswith(incomplete)]


def init(
    kind: Annotated[
        str, typer.Argument(help="DatasetBuild, FineTuneRun or EvalRun; or dsb, ftr, evr.", autocompletion=_kinds)
    ],
    recipe: Annotated[str, typer.Option(help="The system to reproduce.", autocompletion=_recipes)] = DEFAULT,
    name: Annotated[str, typer.Option(help="Name of the run.")] = "stories",
    short: Annotated[bool, typer.Option("--short", help="Only what has to be given.")] = False,
    file: Annotated[Path | None, typer.Option("--file", help="Write here, where nothing is. Default: stdout.")] = None,
) -> None:
    """Write a commented YAML file for a kind: what has to be given, and every other field with its default."""
    with told():
        chosen = {word.lower(): called for word, called in _called().items()}.get(kind.lower())
        if chosen is None:
            raise CommandFailed(Exit.USAGE, f"{kind} is no kind of Fabula's; the kinds are {', '.join(API_KINDS)}")
        if recipe in broken():
            raise CommandFailed(Exit.BAD, broken()[recipe])
        if stages_of(recipe, chosen) is None:
            known = ", ".join(sorted(other for other, installed in recipes().items() if chosen in installed.stages))
            raise CommandFailed(Exit.USAGE, f"recipe {recipe} has no {chosen}; there is {known}")
        text = template(chosen, recipe, name, every=not short)
        if file is None:
            typer.echo(text, nl=False)
            return
        try:
            with file.open("x") as target:
                target.write(text)
        except OSError as error:
            raise CommandFailed(Exit.BAD, f"{file} was not written: {error.strerror}") from None
        typer.echo(f"wrote {file}; fill it in, `fabula validate -f {file}`, then `kubectl apply -f {file}`")
