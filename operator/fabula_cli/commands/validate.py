"""`fabula validate`: what a cluster would say of a file, said without one: schema, rules between fields, preflight."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console

from fabula_api.base import API_VERSION, GROUP
from fabula_api.crd import crd
from fabula_api.eval_run import EvalRunSpec
from fabula_api.judging import planned_words
from fabula_api.recipes import API_KINDS, Kind, broken
from fabula_api.specs import DEFAULT
from fabula_cli.display import shown
from fabula_cli.exits import CommandFailed, Exit, told
from fabula_cli.output import Output
from fabula_local.schema.cel import CelRules
from fabula_local.schema.structural import apply_defaults, prune
from fabula_local.schema.structural import validate as against_schema
from fabula_operator.plan.acceptance.refusal import Refusal
from fabula_operator.plan.kinds import KINDS
from fabula_operator.plan.kinds.reference import reference_to
from fabula_operator.plan.lifecycle.accept import accept
from fabula_operator.plan.seen.observed import Environment, Observed, Reference, Run
from fabula_operator.plan.stages.references import named_runs


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML document of a file."""

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


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, and where."""

    field: str
    message: str
    line: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be said of one document."""

    file: str
    name: str
    line: int
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = field(default=())
    """What is expected of the run, or why it was not looked at."""
    ours: bool = True
    """Whether it is of one of Fabula's kinds; others are not looked at."""


@cache
def _checker(kind: Kind) -> tuple[dict[str, Any], CelRules]:
    schema = crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema, CelRules(schema)


Beside = Mapping[tuple[str, Kind, str], Document]
"""Documents with runs by namespace, kind and name."""


def runs_of(given: Iterable[Document]) -> Beside:
    """The documents that runs of the same files may name; of two with one name the first."""
    found: dict[tuple[str, Kind, str], Document] = {}
    for document in given:
        if (key := _key(document.value)) is not None:
            found.setdefault(key, document)
    return found


def _key(obj: Any) -> tuple[str, Kind, str] | None:
    """Which run an object is; None for what is none."""
    if not isinstance(obj, dict) or not isinstance(obj.get("metadata"), dict) or not isinstance(obj.get("spec"), dict):
        return None
    kind = next((one for one in API_KINDS if one == obj.get("kind") and obj.get("apiVersion") == API_VERSION), None)
    name, namespace = obj["metadata"].get("name"), obj["metadata"].get("namespace", "")
    return (str(namespace), kind, name) if kind is not None and isinstance(name, str) else None


def judge(document: Document, root: str, beside: Beside | None = None) -> Verdict:
    """All that is wrong with one document. `root` is the artifact root that paths without a scheme are below; `beside`
    are the runs of the same files, which it may name."""
    obj = document.value
    if not isinstance(obj, dict):
        return _verdict(document, "?", [("", "is no object: a run begins with apiVersion, kind and metadata")])
    meta = obj.get("metadata")
    name = meta.get("name") if isinstance(meta, dict) else None
    title = f"{obj.get('kind')}/{name}"
    if str(obj.get("apiVersion", "")).partition("/")[0] != GROUP:
        return Verdict(
            document.file, title, document.line(""), notes=("not one of Fabula's kinds; not looked at",), ours=False
        )
    kind = next((one for one in API_KINDS if one == obj.get("kind")), None)
    if obj["apiVersion"] != API_VERSION:
        return _verdict(document, title, [("apiVersion", f"is {obj['apiVersion']}; this version knows {API_VERSION}")])
    if kind is None:
        return _verdict(document, title, [("kind", f"is no kind of {API_VERSION}; it has {', '.join(API_KINDS)}")])
    if not isinstance(name, str) or not name:
        return _verdict(document, title, [("metadata.name", "is missing")])
    asked = obj.get("spec")
    if isinstance(asked, dict) and (unusable := broken().get(str(asked.get("recipe", DEFAULT)))):
        # First and alone: what else is right, only its recipe could tell.
        return _verdict(document, title, [("spec.recipe", unusable)])
    schema, rules = _checker(kind)
    key = _key(obj)
    twin = (beside or {}).get(key) if key is not None else None
    found = [(path, "is no field of this kind") for path in prune(obj, schema)]
    if twin is not None and twin is not document:
        words = f"{title} stands in {twin.file}:{twin.line('')} already; the one that is applied last would replace it"
        found.append(("metadata.name", words))
    apply_defaults(obj, schema)
    wrong = against_schema(obj, schema)
    wrong += rules.check(obj, None, wrong)
    found += [(error.field, error.message) for error in wrong]
    notes = []
    if not found:
        seen = Observed(
            _as_run(obj, kind), Environment(artifact_root=root, pytorch_jobs=True),
            references=_references(obj, kind, beside or {}),
        )  # fmt: skip
        accepted = accept(seen)
        if isinstance(accepted, Refusal):
            found.append(_placed(accepted.message))
        elif (awaited := KINDS[kind].awaits(seen, accepted.spec)) is not None:
            found.append(_placed(awaited.message))
        else:
            if accepted.preflight is not None:
                notes.append(accepted.preflight.message)
            if isinstance(accepted.spec, EvalRunSpec) and (planned := planned_words(accepted.spec)):
                notes.append(planned)
    return _verdict(document, title, found, tuple(notes))


def _placed(message: str) -> tuple[str, str]:
    """(field, words) of a sentence that begins with a field, where it does."""
    path, colon, words = message.partition(": ")
    return (path, words) if colon and path.startswith("spec") else ("spec", message)


def _references(obj: dict[str, Any], kind: Kind, beside: Beside) -> dict[tuple[Kind, str], Reference]:
    """What the run names, as far as the same files have it."""
    space = str(obj["metadata"].get("namespace", ""))
    named = ((one, beside.get((space, *one))) for one in named_runs(kind, obj["spec"]))
    return {one: reference_to(*one, document.value) for one, document in named if document is not None}


def _as_run(obj: dict[str, Any], kind: Kind) -> Run:
    meta = {"namespace": "default", "uid": "", "generation": 1, **obj["metadata"]}
    return Run.from_object({"kind": kind, "metadata": meta, "spec": obj["spec"]})


def _verdict(document: Document, title: str, found: Sequence[tuple[str, str]], notes: tuple[str, ...] = ()) -> Verdict:
    problems = tuple(Problem(path, message, document.line(path)) for path, message in found)
    return Verdict(document.file, title, document.line(""), problems, notes)


def read(files: Sequence[Path]) -> Iterator[Document]:
    """Every document of files, of the YAML files in folders, and of stdin (`-`). Raises CommandFailed."""
    for path in files:
        if str(path) == "-":
            yield from documents("stdin", sys.stdin.read())
            continue
        found = sorted(one for one in path.iterdir() if one.suffix in (".yaml", ".yml")) if path.is_dir() else [path]
        if not found:
            raise CommandFailed(Exit.ABSENT, f"there is no .yaml file in {path}")
        for one in found:
            try:
                text = one.read_text()
            except (OSError, UnicodeDecodeError) as error:
                raise CommandFailed(Exit.ABSENT, f"{one} cannot be read: {error}") from None
            yield from documents(str(one), text)


def documents(file: str, text: str) -> Iterator[Document]:
    """The documents of a YAML text. Raises CommandFailed for what is no YAML."""
    try:
        for node in yaml.compose_all(text, yaml.SafeLoader):
            if node is None:
                continue
            loader = yaml.SafeLoader("")
            yield Document(file, node, loader.construct_document(node))
    except yaml.YAMLError as error:
        raise CommandFailed(Exit.BAD, f"{file} is no YAML: {' '.join(str(error).split())}") from None


def lines(verdict: Verdict) -> list[str]:
    """The verdict for a terminal: `file:line: field: what is wrong`."""
    if verdict.problems:
        return [
            f"{verdict.file}:{one.line}: {one.field + ': ' if one.field else ''}{one.message}"
            for one in verdict.problems
        ]
    said = ("valid", *verdict.notes) if verdict.ours else verdict.notes
    return [f"{verdict.file}:{verdict.line}: {verdict.name}: {one}" for one in said]


def validate(
    files: Annotated[list[Path], typer.Option("--filename", "-f", help="File or folder; `-` is stdin. Repeatable.")],
    root: Annotated[
        str, typer.Option("--artifact-root", help="Where paths without a scheme are, as the operator has it.")
    ] = "file:///artifacts",
    output: Output = "text",
) -> None:
    """Check files without a cluster: schema, rules between fields, what a training run needs, and runs of the files
    that name each other. Exit 1 when one is not valid. What a cluster's runs or the store hold is not looked at."""
    with told():
        given = list(read(files))
        beside = runs_of(given)
        verdicts = [judge(one, root, beside) for one in given]
        if not verdicts:
            raise CommandFailed(Exit.ABSENT, "there is nothing in what was given")
        if output == "json":
            typer.echo(json.dumps([asdict(one) for one in verdicts], indent=2))
        console = Console(soft_wrap=True)
        for verdict in verdicts if output == "text" else ():
            for line in lines(verdict):
                console.print(shown(line, "red" if verdict.problems else ""), highlight=False)
        if any(one.problems for one in verdicts):
            raise typer.Exit(Exit.BAD)
