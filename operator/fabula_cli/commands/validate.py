"""`fabula validate`: what a cluster would say of a file, said without one: schema, rules between fields, preflight."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from fabula_api.base import API_VERSION, GROUP
from fabula_api.crd import crd
from fabula_api.eval_run import EvalRunSpec
from fabula_api.judging import planned_words
from fabula_api.recipes import API_KINDS, Kind, broken
from fabula_api.specs import DEFAULT
from fabula_cli.display import shown
from fabula_cli.documents import Document, read
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

_NAME = re.compile(r"[a-z0-9]([-.a-z0-9]*[a-z0-9])?")
_HOMES = 3
"""Blocks that are named for a field which stands in the wrong one; where more have it, none is meant."""


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


def runs_of(documents: Iterable[Document]) -> Beside:
    """The documents that runs of the same files may name; of two with one name the first."""
    by_key: dict[tuple[str, Kind, str], Document] = {}
    for document in documents:
        if (key := _key(document.value)) is not None:
            by_key.setdefault(key, document)
    return by_key


def _key(obj: Any) -> tuple[str, Kind, str] | None:
    """Which run an object is; None for what is none."""
    if not isinstance(obj, dict) or not isinstance(obj.get("metadata"), dict) or not isinstance(obj.get("spec"), dict):
        return None
    kind = next((kind for kind in API_KINDS if kind == obj.get("kind") and obj.get("apiVersion") == API_VERSION), None)
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
    kind = next((kind for kind in API_KINDS if kind == obj.get("kind")), None)
    version = str(obj.get("apiVersion", ""))
    if version.partition("/")[0] != GROUP:
        if kind is not None:  # nobody else has kinds of these names
            words = f"is {version}; write" if version else f"is missing{_meant(obj, 'apiVersion')}; write"
            return _verdict(document, title, [("apiVersion", f"{words} {API_VERSION}")])
        return Verdict(
            document.file, title, document.line(""), notes=("not one of Fabula's kinds; not looked at",), ours=False
        )
    if version != API_VERSION:
        return _verdict(document, title, [("apiVersion", f"is {version}; this version knows {API_VERSION}")])
    if kind is None:
        words = f"is no kind of {API_VERSION}" if "kind" in obj else f"is missing{_meant(obj, 'kind')}"
        return _verdict(document, title, [("kind", f"{words}; there is {', '.join(API_KINDS)}")])
    if problem := _misnamed(obj, name):
        return _verdict(document, title, [problem])
    asked = obj.get("spec")
    if isinstance(asked, dict) and (unusable := broken().get(str(asked.get("recipe", DEFAULT)))):
        # First and alone: what else is right, only its recipe could tell.
        return _verdict(document, title, [("spec.recipe", unusable)])
    schema, rules = _checker(kind)
    key = _key(obj)
    twin = (beside or {}).get(key) if key is not None else None
    mistakes = [(path, _unknown(path, schema)) for path in prune(obj, schema)]
    if twin is not None and twin is not document:
        words = f"{title} stands in {twin.file}:{twin.line('')} already; the one that is applied last would replace it"
        mistakes.append(("metadata.name", words))
    apply_defaults(obj, schema)
    wrong = against_schema(obj, schema)
    wrong += rules.check(obj, None, wrong)
    # What the server says beside the errors of having looked no further is none.
    mistakes += [(error.field, error.message) for error in wrong if error.field != "<nil>"]
    notes = []
    if not mistakes:
        seen = Observed(
            _as_run(obj, kind), Environment(artifact_root=root, pytorch_jobs=True),
            references=_references(obj, kind, beside or {}),
        )  # fmt: skip
        accepted = accept(seen)
        if isinstance(accepted, Refusal):
            mistakes.append(_placed(accepted.message))
        elif (awaited := KINDS[kind].awaits(seen, accepted.spec)) is not None:
            mistakes.append(_placed(awaited.message))
        else:
            if accepted.preflight is not None:
                notes.append(accepted.preflight.message)
            if isinstance(accepted.spec, EvalRunSpec) and (planned := planned_words(accepted.spec)):
                notes.append(planned)
    return _verdict(document, title, mistakes, tuple(notes))


def _misnamed(obj: dict[str, Any], name: Any) -> tuple[str, str] | None:
    """What is wrong with an object's name, which no cluster would take."""
    if name is None or name == "":
        meta = obj.get("metadata")
        meant = _meant(meta, "name") if isinstance(meta, dict) else _meant(obj, "metadata")
        return "metadata.name", f"is missing{meant}"
    if not isinstance(name, str):
        return "metadata.name", f"is no text but {name}; put it in quotes"
    if _NAME.fullmatch(name) is None or len(name) > 253:
        return (
            "metadata.name",
            f"{name} is no name: small letters, digits, - and ., with no - or . at its ends",
        )
    return None


def _meant(block: dict[str, Any], field_name: str) -> str:
    """That a missing field is meant by one of nearly its name, where there is one."""
    near = get_close_matches(field_name, [str(key) for key in block if key != field_name], n=1)
    return f" (is it meant by {near[0]}?)" if near else ""


def _unknown(path: str, schema: dict[str, Any]) -> str:
    """That a field is none, and which is meant: one of nearly that name beside it, or of that name elsewhere."""
    *blocks, name = path.replace("[", ".[").split(".")
    block: dict[str, Any] = schema
    entry: Any = None
    for part in blocks:
        below = block.get("items") if part.startswith("[") else block.get("properties", {}).get(part)
        if below is None and isinstance(block.get("additionalProperties"), dict):
            below = block["additionalProperties"]
            entry = below
        elif below is None and block is entry:
            below = block  # the name of an entry may have dots
        block = below if isinstance(below, dict) else {}
    if near := get_close_matches(name, block.get("properties", {}), n=1):
        return f"is no field of this kind; did you mean {near[0]}?"
    homes = list(_homes(name, schema, ""))
    return "is no field of this kind" + (f"; it belongs to {' or '.join(homes)}" if 0 < len(homes) <= _HOMES else "")


def _homes(name: str, schema: Mapping[str, Any], path: str) -> Iterator[str]:
    """Blocks that have a field of that name."""
    for field_name, below in schema.get("properties", {}).items():
        where = f"{path}.{field_name}".lstrip(".")
        if field_name == name and path:
            yield path
        yield from _homes(name, below, where)
    if isinstance(schema.get("items"), dict):
        yield from _homes(name, schema["items"], f"{path}[]")


def _placed(message: str) -> tuple[str, str]:
    """(field, words) of a sentence that begins with a field, where it does."""
    path, colon, words = message.partition(": ")
    return (path, words) if colon and path.startswith("spec") else ("spec", message)


def _references(obj: dict[str, Any], kind: Kind, beside: Beside) -> dict[tuple[Kind, str], Reference]:
    """What the run names, as far as the same files have it."""
    space = str(obj["metadata"].get("namespace", ""))
    named = ((run, beside.get((space, *run))) for run in named_runs(kind, obj["spec"]))
    return {run: reference_to(*run, document.value) for run, document in named if document is not None}


def _as_run(obj: dict[str, Any], kind: Kind) -> Run:
    meta = {"namespace": "default", "uid": "", "generation": 1, **obj["metadata"]}
    return Run.from_object({"kind": kind, "metadata": meta, "spec": obj["spec"]})


def _verdict(document: Document, title: str, wrong: Sequence[tuple[str, str]], notes: tuple[str, ...] = ()) -> Verdict:
    problems = [Problem(path, message, document.line(path)) for path, message in wrong]
    problems += [Problem(name, "stands twice in its block", line) for name, line in document.repeated()]
    return Verdict(document.file, title, document.line(""), tuple(problems), notes)


def lines(verdict: Verdict) -> list[str]:
    """The verdict for a terminal: `file:line: field: what is wrong`."""
    if verdict.problems:
        return [
            f"{verdict.file}:{problem.line}: {problem.field + ': ' if problem.field else ''}{problem.message}"
            for problem in verdict.problems
        ]
    said = ("valid", *verdict.notes) if verdict.ours else verdict.notes
    return [f"{verdict.file}:{verdict.line}: {verdict.name}: {line}" for line in said]


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
        documents = list(read(files))
        beside = runs_of(documents)
        verdicts = [judge(document, root, beside) for document in documents]
        if not verdicts:
            named = ", ".join(map(str, files))
            raise CommandFailed(Exit.ABSENT, f"there is nothing in {named}: no document, or only comments")
        if output == "json":
            typer.echo(json.dumps([asdict(verdict) for verdict in verdicts], indent=2))
        console = Console(soft_wrap=True)
        for verdict in verdicts if output == "text" else ():
            for line in lines(verdict):
                console.print(shown(line, "red" if verdict.problems else ""), highlight=False)
        if any(verdict.problems for verdict in verdicts):
            raise typer.Exit(Exit.BAD)
