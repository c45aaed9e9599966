"""`docs/reasons.md`: every reason, metric and exit code, read from where the code gives it.

A script or an alert rests on these words. The page is generated, so that a change of one is seen in review.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from enum import IntEnum
from functools import cache
from itertools import pairwise
from pathlib import Path

from fabula_api.recipes import API_KINDS
from fabula_api.worker import ExitCode
from fabula_chart.meanings import MEANINGS
from fabula_chart.metric_names import OPERATOR, WORKERS, metrics
from fabula_cli.exits import Exit
from fabula_operator.plan.status.conditions import TYPES

_ROOT = Path(__file__).parents[2]
_PLAN = "operator/fabula_operator/plan"
_PACKAGES = ("operator", "workloads", "crds")
_READ = ("api_objects.py", "s3_store.py", "s3_errors.py", "causes.py", "client.py", "errors.py", "trackers.py",
         "http_settings.py")  # fmt: skip
"""Files with words of Kubernetes and of providers, which they read: there, only what has a sentence is ours."""
_REASON = re.compile(r"[A-Z][a-z]+(?:[A-Z][a-z]+)+")
_WORD = re.compile(r"[A-Z][a-z]+(?:[A-Z][a-z]+)*")
_FILLED = re.compile(r"\{[a-z_]+\}")
_ALONE = {"Waiting", "Refusal"}
"""Records whose first field is a reason: there, one word is enough."""
_OTHERS = {
    "DatasetBuild",
    "FineTuneRun",
    "EvalRun",
    "PyTorchJob",
    "DisruptionTarget",
    "ValidationException",
    "NotFit",
    "InvalidBucketName",
    "KeyTooLongError",
    "StreamingBench",
    *(name for kind in API_KINDS.values() for name in kind.status.own_conditions),
}
"""Kinds, condition types, codes and benchmarks that stand where a reason might."""
Entry = tuple[str, str]
"""A word, and what it says."""


@cache
def reasons(folder: str) -> tuple[Entry, ...]:
    """Every reason that code below a folder gives, with the sentences that stand beside it, by the alphabet."""
    by_reason: dict[str, set[str]] = {}
    for file in sorted((_ROOT / folder).rglob("*.py")):
        for node in ast.walk(_spelled_out(ast.parse(file.read_text()))):
            for reason, message in (*_said(node), *(() if file.name in _READ else _alone(node))):
                sentences = by_reason.setdefault(reason, set())
                if message:
                    sentences.add(_FILLED.sub("…", " ".join(message.split())))
    return tuple(
        (f"`{reason}`", "<br>".join(sorted(sentences)) or MEANINGS.get(reason, ""))
        for reason, sentences in sorted(by_reason.items())
    )


def events() -> list[Entry]:
    """Reason and type of each event that has a reason of its own, and its sentence."""
    by_event: dict[str, set[str]] = {}
    for node in _nodes(_PLAN):
        if isinstance(node, ast.Call) and _name(node.func) == "Notice" and len(node.args) > 2:
            type_, reason, message = (_text(argument) for argument in node.args[:3])
            if type_ and reason:
                by_event.setdefault(f"`{reason}` ({type_})", set()).add(_FILLED.sub("…", message or "…"))
    return [(reason, "<br>".join(sorted(by_event[reason]))) for reason in sorted(by_event)]


def exit_codes(codes: type[IntEnum], file: str) -> list[Entry]:
    """The codes of an enumeration, with the docstrings under them."""
    body = next(node.body for node in _nodes(file) if isinstance(node, ast.ClassDef) and node.name == codes.__name__)
    about = {
        target.id: str(below.value.value)
        for entry, below in pairwise(body)
        if isinstance(entry, ast.Assign) and isinstance(target := entry.targets[0], ast.Name)
        and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
    }  # fmt: skip
    return [(f"{code.value}", about.get(code.name, "Well done.")) for code in codes]


def page() -> str:
    """The whole page."""
    parts = [
        "# Reasons, metrics and exit codes",
        "Generated from the code by `make generate`. A reason stands in `status.reason`, in a condition, on the event\n"
        "that tells of it, or beside a count of items; `…` is what is filled in. What has no name here is a pod's or\n"
        "a provider's own word, shown as it came. A change of this page is a change of what scripts may rely on.",
        "## Condition types",
        f"{', '.join(f'`{type_}`' for type_ in TYPES)}. Beside them some kinds have their own:",
        _conditions(),
        _table("Reasons that the operator gives", "reason", reasons(_PLAN)),
        _table("Reasons that workers give", "reason", reasons(WORKERS)),
        _table("Events", "event", events()),
        "Besides, an event with the run's own reason and message tells that it failed, what it waits for, that it may\n"
        "be too large or cost what nobody knows, and what the watchdog objects to. It is a Warning, but for\n"
        "`WaitingFor…`, `Replacing`, `Restarting` and `Suspending`.",
        _metrics("Metrics of the operator", OPERATOR),
        _metrics("Metrics of workers", WORKERS),
        _table("Exit codes of workers", "code", exit_codes(ExitCode, "crds/fabula_api/worker/ends.py")),
        _table("Exit codes of the command", "code", exit_codes(Exit, "operator/fabula_cli/exits.py")),
    ]
    return "\n\n".join(parts) + "\n"


def _table(title: str, head: str, entries: Sequence[Entry]) -> str:
    rows = [f"| {word} | {about.replace('|', chr(92) + '|')} |" for word, about in entries]
    return "\n".join([f"## {title}", "", f"| {head} | what it says |", "|---|---|", *rows])


def _conditions() -> str:
    """The conditions that single kinds have."""
    conditions = [
        (kind, named) for kind, api_kind in API_KINDS.items() for named in api_kind.status.own_conditions.items()
    ]
    rows = [f"| `{name}` | {kind} | {about} |" for kind, (name, about) in conditions]
    return "\n".join(["| type | kind | True says |", "|---|---|---|", *rows])


def _metrics(title: str, folder: str) -> str:
    rows = [
        f"| `{metric.name}` | {metric.type} | {', '.join(f'`{label}`' for label in metric.labels)} | {metric.about} |"
        for metric in metrics(folder)
    ]
    return "\n".join([f"## {title}", "", "| metric | type | labels | what it says |", "|---|---|---|---|", *rows])


def _nodes(place: str) -> Iterator[ast.AST]:
    path = _ROOT / place
    for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
        yield from ast.walk(ast.parse(file.read_text()))


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _text(node: ast.AST | None) -> str | None:
    """The text of a literal; what an f-string fills in is `…`."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) or "" if isinstance(part, ast.Constant) else "…" for part in node.values)
    return None


def _reason(node: ast.AST | None, pattern: re.Pattern[str] = _REASON) -> str | None:
    text = _text(node) if isinstance(node, ast.Constant) else None
    return text if text and pattern.fullmatch(text) and text not in _OTHERS else None


def _alone(node: ast.AST) -> Iterator[Entry]:
    """Reasons whose sentence is made elsewhere: arguments of a call, elements of a tuple, and what is returned."""
    if isinstance(node, ast.Call):
        values, pattern = node.args, _WORD if _name(node.func) in _ALONE else _REASON
        values = values[:1] if _name(node.func) in _ALONE else values
    elif isinstance(node, ast.Tuple):
        values, pattern = node.elts, _REASON
    elif isinstance(node, ast.keyword) and node.arg == "reason":
        values, pattern = [node.value], _WORD
    else:
        return
    for value in (choice for given in values for choice in _choices(given)):
        if reason := _reason(value, pattern):
            yield reason, ""
        elif isinstance(value, ast.JoinedStr) and pattern is _WORD and " " not in (text := _text(value) or " "):
            yield text, ""


class _SpelledOut(ast.NodeTransformer):
    """Puts a constant's text where its name stands."""

    def __init__(self, constants: dict[str, str]) -> None:
        self._constants = constants

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.Constant(self._constants[node.id]) if node.id in self._constants else node


def _spelled_out(tree: ast.Module) -> ast.Module:
    """The module with reasons that stand in constants, its own or imported ones, written where they are used."""
    spelled: ast.Module = _SpelledOut(_imported(tree) | _assigned(tree)).visit(tree)
    return spelled


def _imported(tree: ast.Module) -> dict[str, str]:
    return {
        alias.asname or alias.name: known[alias.name]
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module and (known := _constants(node.module))
        for alias in node.names
        if alias.name in known
    }


@cache
def _constants(module: str) -> dict[str, str]:
    """The reasons among a module's constants, or among those that a package hands on."""
    path = module.replace(".", "/")
    for part in _PACKAGES:
        if (file := _ROOT / part / f"{path}.py").is_file():
            return _assigned(ast.parse(file.read_text()))
        if (file := _ROOT / part / path / "__init__.py").is_file():
            return _imported(ast.parse(file.read_text()))
    return {}


def _assigned(tree: ast.Module) -> dict[str, str]:
    return {
        node.targets[0].id: reason
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and (reason := _reason(node.value))
    }


def _choices(node: ast.expr) -> list[ast.expr]:
    """What an expression may come to, as far as it says so itself."""
    if isinstance(node, ast.BoolOp):
        return node.values
    return [node.body, node.orelse] if isinstance(node, ast.IfExp) else [node]


def _said(node: ast.AST) -> Iterator[Entry]:
    """(reason, sentence) pairs of one node, however they stand together."""
    if isinstance(node, ast.ClassDef):
        for entry in node.body:
            if isinstance(entry, ast.AnnAssign) and isinstance(entry.target, ast.Name):
                reason = _reason(entry.value, _WORD)
                if entry.target.id == "default_reason" and reason:
                    yield reason, (ast.get_docstring(node) or "").split("\n\n")[0]
        return
    values: list[ast.expr] = []
    pattern = _REASON
    if isinstance(node, ast.Call):
        values = list(node.args)
        named = {keyword.arg: keyword.value for keyword in node.keywords}
        if "reason" in named and (values or "message" in named):
            values = [named["reason"], named.get("message", values[0] if values else named["reason"])]
            pattern = _WORD
        elif _name(node.func) in _ALONE:
            pattern = _WORD
    elif isinstance(node, ast.Tuple):
        values = list(node.elts)
    for first, second in pairwise(values):
        for word, words in ((first, second), (second, first)):
            reason, message = _reason(word, pattern), _text(words)
            if reason and message and " " in message.strip():
                yield reason, message
