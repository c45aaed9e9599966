"""Commands that are loaded when they are called, so that one without a cluster does not load a cluster's client."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup


@dataclass(frozen=True, slots=True)
class Later:
    """Where a command is, and the panel of the help that it stands in."""

    function: str
    """`module:function` below `fabula_cli.commands`; the function's name is the command's."""
    panel: str

    @property
    def name(self) -> str:
        return self.function.partition(":")[2]

    def load(self) -> Any:
        """The command."""
        module, _, name = self.function.partition(":")
        alone = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
        alone.command(name, rich_help_panel=self.panel)(getattr(import_module(f"fabula_cli.commands.{module}"), name))
        return typer.main.get_command(alone)


def group_of(laters: tuple[Later, ...]) -> type[TyperGroup]:
    """A group with these commands before its own, in their order."""

    class WithLaters(TyperGroup):
        def __init__(self, **settings: Any) -> None:
            super().__init__(**settings)
            self.commands = {**{later.name: later for later in laters}, **self.commands}  # type: ignore[misc]

        def get_command(self, ctx: Any, cmd_name: str) -> Any:
            command: Any = self.commands.get(cmd_name)
            if isinstance(command, Later):
                self.commands[cmd_name] = command = command.load()
            return command

    return WithLaters
