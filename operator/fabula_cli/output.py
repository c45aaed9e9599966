"""The option of all commands that can speak to programs; it needs no cluster's client."""

from typing import Annotated, Literal

import typer

Output = Annotated[Literal["text", "json"], typer.Option("--output", "-o", help="For people, or for programs.")]
