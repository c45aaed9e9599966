"""Exit codes: the page lists exactly those that the command has, in its own words."""

import ast
import inspect
import itertools
import re
from pathlib import Path
from typing import TYPE_CHECKING, cast

import typer
import typer.main

from fabula_cli import exits
from fabula_cli.exits import Exit
from fabula_cli.main import app

if TYPE_CHECKING:
    import click

PAGE = Path(__file__).parents[3] / "docs" / "command.md"


def meanings() -> dict[int, str]:
    """Each code with the docstring under it."""
    tree = ast.parse(inspect.getsource(exits))
    body = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Exit").body
    found = {}
    for code, about in itertools.pairwise(body):
        if isinstance(code, ast.Assign) and isinstance(about, ast.Expr) and isinstance(about.value, ast.Constant):
            found[int(ast.literal_eval(code.value))] = " ".join(str(about.value.value).split())
    return found


def test_the_page_lists_the_exit_codes_that_there_are() -> None:
    listed = {int(code): about for code, about in re.findall(r"^\| (\d+) \| (.*) \|$", PAGE.read_text(), re.MULTILINE)}
    assert listed == meanings()
    assert set(listed) == set(Exit)


def test_the_page_names_the_commands_that_answer_programs() -> None:
    group = cast("click.Group", typer.main.get_command(app))
    given = typer.Context(group)
    commands = {name: cast("click.Command", group.get_command(given, name)) for name in group.list_commands(given)}
    answering = {name for name, one in commands.items() if "output" in {option.name for option in one.params}}
    (sentence,) = re.findall(r"^(.*) take `--output json`", PAGE.read_text(), re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", sentence)) == answering
    quiet = {"up", "down", "env", "kubeconfig", "demo", "node", "logs", "init", "tell"}
    assert commands.keys() - answering == quiet, "whatever shows a table answers programs too"
