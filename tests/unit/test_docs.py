"""What a reader meets: every link leads somewhere, every page is linked, every command is one that there is."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
import typer
import typer.main

from fabula_cli.commands.validate import judge, runs_of
from fabula_cli.documents import documents
from fabula_cli.main import app

if TYPE_CHECKING:
    import click

ROOT = Path(__file__).parents[2]
FOLDERS = ("docs", "images", "charts/fabula", "benchmarks", "examples")
PAGES = sorted([*ROOT.glob("*.md"), *(page for folder in FOLDERS for page in (ROOT / folder).rglob("*.md"))])
EXAMPLES = sorted((ROOT / "examples").rglob("*.yaml"))
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
SOURCES = (
    "crds", "operator", "kube", "workloads", "localcluster", "quickstart", "charts", "tests", "images", "docs",
    "benchmarks", "examples", "requirements",
)  # fmt: skip
IN_SOURCES = re.compile(r"(docs|images|charts|benchmarks|examples|tests|crds|requirements)/[\w./-]+")
"""A path of the checkout, in a command."""


@dataclass(frozen=True, slots=True)
class Command:
    """A line that a reader may type, and where it stands."""

    page: str
    line: int
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: {' '.join(self.words)}"


def code(text: str) -> Iterator[tuple[int, str]]:
    """Every line and span of code, with the number of its line; one that goes on after a backslash is one."""
    lines = text.splitlines()
    fenced, position = False, 0
    while position < len(lines):
        number, line = position + 1, lines[position]
        position += 1
        if line.strip().startswith("```"):
            fenced = not fenced
        elif fenced or line.startswith("    "):
            while line.endswith("\\") and position < len(lines):
                line = f"{line[:-1]} {lines[position].strip()}"
                position += 1
            yield number, line.strip()
        else:
            yield from ((number, span) for span in re.findall(r"`([^`]+)`", line))


def commands(*programs: str) -> Iterator[Command]:
    """The commands of these programs on all pages, and in the comments of examples. What stands two spaces behind one
    is said about it."""
    for page in (*PAGES, *EXAMPLES):
        text = page.read_text()
        if page.suffix == ".yaml":
            text = "\n".join(f" {line[1:]}" if line.startswith("#   ") else "" for line in text.splitlines())
        for number, line in code(text):
            for part in re.split(r"; | && ", re.split(r"\s{2,}|\s#", line)[0]):
                try:
                    words = shlex.split(part)
                except ValueError:
                    continue  # no command: a sentence with an apostrophe
                words = words[1:] if words[:2] == ["kubectl", "fabula"] else words
                if words and words[0].removeprefix(".venv/bin/") in programs:
                    yield Command(str(page.relative_to(ROOT)), number, tuple(words))


def slug(heading: str) -> str:
    """The anchor of a heading, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    return {slug(found) for found in re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)}


def links(page: Path) -> list[str]:
    """Targets within the sources; those of code are none."""
    text = re.sub(r"`[^`\n]+`", "", re.sub(r"^( {4}|```).*$", "", page.read_text(), flags=re.MULTILINE))
    found = re.findall(r"\]\(([^)\s]+)\)", text)
    return [one for one in found if "://" not in one and not one.startswith("mailto:")]


@pytest.mark.parametrize("name", NAMES)
def test_every_link_leads_somewhere(name: str) -> None:
    page, dead = ROOT / name, []
    for target in links(page):
        path, _, anchor = target.partition("#")
        led = (page.parent / path).resolve() if path else page
        if not led.exists() or (anchor and anchor not in anchors(led)):
            dead.append(target)
    assert dead == []


def test_every_page_is_reached_from_the_readme() -> None:
    reached, left = set(), [ROOT / "README.md"]
    while left:
        page = left.pop()
        if page in reached:
            continue
        reached.add(page)
        for target in links(page):
            led = (page.parent / target.partition("#")[0]).resolve()
            led = led / "README.md" if led.is_dir() else led
            if led.suffix == ".md" and led.exists():
                left.append(led)
    assert [name for page, name in zip(PAGES, NAMES, strict=True) if page not in reached] == []


@cache
def group() -> tuple[Any, Any]:
    """The command, and a context to ask it for its parts."""
    found = cast("click.Group", typer.main.get_command(app))
    return found, typer.Context(found)


def wrong(command: Command) -> str | None:
    """Why `fabula` would not understand it."""
    everything, context = group()
    words = [word for word in command.words[1:] if word not in ("...", "…")]
    if not words:
        return None
    if words[0].startswith("-"):
        known = {option for one in everything.get_params(context) for option in one.opts}
        return None if words[0] in known else f"no option {words[0]}"
    found = everything.get_command(context, words[0])
    if found is None:
        return f"no command {words[0]}"
    own = typer.Context(found)
    try:
        _, left, _ = found.make_parser(own).parse_args(list(words[1:]))
    except Exception as error:
        return str(error) or type(error).__name__
    return f"{left} is too much" if left else None


def test_fabula_understands_every_command_of_the_pages() -> None:
    found = list(commands("fabula"))
    assert len(found) > 40
    assert [f"{one}: {problem}" for one in found if (problem := wrong(one))] == []


def test_make_has_every_target_of_the_pages() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    found = [one for one in commands("make") if len(one.words) > 1 and re.fullmatch(r"[a-z0-9-]+", one.words[1])]
    assert len(found) > 15
    assert [str(one) for one in found if one.words[1] not in targets] == []


def test_a_file_that_a_command_names_is_there() -> None:
    found = list(commands("fabula", "helm", "kubectl", "python", "python3", "pip", "make"))
    named = [(one, word) for one in found for word in one.words if IN_SOURCES.fullmatch(word)]
    assert len(named) > 15
    assert [str(one) for one, word in named if not (ROOT / word).exists()] == []


def test_a_file_that_a_page_speaks_of_is_there() -> None:
    """By its path from the top, or by the end of it: `plan/lifecycle/run.py`."""
    sources = {str(one.relative_to(ROOT)) for top in SOURCES for one in (ROOT / top).rglob("*")} | set(SOURCES)
    ends = {"/".join(path.split("/")[-depth:]) for path in sources for depth in range(1, path.count("/") + 2)}
    spoken = [
        (name, span.partition("::")[0].rstrip("/"))
        for name in NAMES
        for _, span in code((ROOT / name).read_text())
        if re.fullmatch(rf"({'|'.join(SOURCES)})/[\w./-]+|[a-z_/]+/[a-z_]+\.py", span.partition("::")[0])
    ]
    assert len(spoken) > 50
    # The recipe that a page has its reader write.
    assert [one for one in spoken if one[1] not in ends and not one[1].startswith("captions/")] == []


def test_every_value_that_a_command_sets_is_one_of_the_charts() -> None:
    schema = json.loads((ROOT / "charts/fabula/values.schema.json").read_text())
    set_ = [
        (one, given.partition("=")[0])
        for one in commands("helm")
        if any(word.startswith("charts/fabula") for word in one.words)
        for option, given in zip(one.words, one.words[1:], strict=False)
        if option == "--set"
    ]
    assert set_
    assert [str(one) for one, path in set_ if not has(schema, schema, path.split("."))] == []


def has(schema: dict[str, Any], node: dict[str, Any], path: list[str]) -> bool:
    """Whether a dotted path is a value of the schema."""
    node = node.get("allOf", [node])[0]
    if reference := node.get("$ref"):
        node = schema["definitions"][reference.rpartition("/")[2]]
    if not path:
        return True
    below = node.get("properties", {}).get(path[0])
    return below is not None and has(schema, below, path[1:])


@pytest.mark.parametrize("name", [name for name in NAMES if "\nkind: " in (ROOT / name).read_text()])
def test_a_run_that_a_page_shows_is_a_valid_one(name: str) -> None:
    blocks = re.findall(r"^```yaml\n(.*?)^```", (ROOT / name).read_text(), re.MULTILINE | re.DOTALL)
    shown = [one for block in blocks for one in documents(name, block)]
    verdicts = [judge(one, "file:///artifacts", runs_of(shown)) for one in shown]
    assert verdicts
    assert [problem for one in verdicts if one.ours for problem in one.problems] == []


def values_named(text: str) -> Iterator[str]:
    """Dotted values of the chart that a page names in code: `workers.modelCache.claim`."""
    roots = json.loads((ROOT / "charts/fabula/values.schema.json").read_text())["properties"]
    for _, span in code(text):
        if re.fullmatch(r"[a-z]\w*(\.\w+)+", span) and span.partition(".")[0] in roots:
            yield span


@pytest.mark.parametrize("name", ["docs/install.md", "docs/eks.md", "docs/troubleshooting.md", "docs/operator.md"])
def test_every_value_that_a_page_names_is_one_of_the_charts(name: str) -> None:
    schema = json.loads((ROOT / "charts/fabula/values.schema.json").read_text())
    found = set(values_named((ROOT / name).read_text()))
    assert sorted(one for one in found if not has(schema, schema, one.split("."))) == []
