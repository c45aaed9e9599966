"""`fabula tell`: a story about one's own pictures, from a model in this process or one that a server has."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fabula_api.arms import KEY_VARIABLE, Generation
from fabula_api.shared_spec import RunSpec
from fabula_cli.access import Context, Kubeconfig, Namespace
from fabula_cli.display import shown
from fabula_cli.exits import CommandFailed, Exit, told
from fabula_cli.listening import Talk, listen, question
from fabula_cli.speakers import WINDOW, Wanted, loaded, served, weights_of
from fabula_cli.store import VARIABLE, ArtifactRoot
from fabula_cli.story import aside, complain, failures, guarded, tell_once

if TYPE_CHECKING:
    from fabula_workloads.telling.teller import Teller
    from fabula_workloads.telling.weights import Weights

_USUAL = Generation()
_RECIPE: str = RunSpec.model_fields["recipe"].default
_LOADING, _WORDS = "The model", "What is told"


def tell(
    pictures: Annotated[
        list[Path] | None,
        typer.Argument(help="Pictures in the order of the story, or one folder of them, taken by name."),
    ] = None,
    video: Annotated[
        Path | None,
        typer.Option(
            help="A video to watch in the place of pictures, with an adapter of visual-instruction: each reply and its "
            "second. --prompt is asked at its beginning.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Folder, URI, or `owner/name[@revision]` of the Hub; what a server calls it. "
            "Default: what the adapter was tuned on.",
            rich_help_panel=_LOADING,
        ),
    ] = None,
    adapter: Annotated[
        str | None,
        typer.Option(help="What was tuned: a finished FineTuneRun, a folder, or a URI.", rich_help_panel=_LOADING),
    ] = None,
    engine: Annotated[
        Literal["transformers", "openai"],
        typer.Option(help="The model in this process, or a server's, vLLM's say.", rich_help_panel=_LOADING),
    ] = "transformers",
    endpoint_url: Annotated[
        str | None,
        typer.Option(help="For openai: the server, such as http://localhost:8000/v1.", rich_help_panel=_LOADING),
    ] = None,
    key_variable: Annotated[
        str,
        typer.Option(help="For openai: variable with the key; unset, none is sent.", rich_help_panel=_LOADING),
    ] = KEY_VARIABLE,
    device: Annotated[
        Literal["cuda", "cpu"] | None,
        typer.Option(help="Default: a GPU where there is one.", rich_help_panel=_LOADING),
    ] = None,
    quantization: Annotated[
        Literal["none", "nf4"] | None,
        typer.Option(help="How the base is held. Default: as in training.", rich_help_panel=_LOADING),
    ] = None,
    min_pixels: Annotated[
        int | None,
        typer.Option(help=f"Default: the adapter's, else {WINDOW.min_pixels}.", rich_help_panel=_LOADING),
    ] = None,
    max_pixels: Annotated[
        int | None,
        typer.Option(help=f"Default: the adapter's, else {WINDOW.max_pixels}.", rich_help_panel=_LOADING),
    ] = None,
    interactive: Annotated[
        bool,
        typer.Option("--interactive", "-i", help="Keep the model, and take further pictures and wishes from a line."),
    ] = False,
    wish: Annotated[
        str | None,
        typer.Option(help="Words behind the recipe's prompt: `in the rain`.", rich_help_panel=_WORDS),
    ] = None,
    prompt: Annotated[
        str | None,
        typer.Option(help="Words in the place of the recipe's prompt.", rich_help_panel=_WORDS),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(help=f"Whose prompt it is. Default: the adapter's, else {_RECIPE}.", rich_help_panel=_WORDS),
    ] = None,
    seed: Annotated[
        int,
        typer.Option(help="Another one, another story.", rich_help_panel=_WORDS),
    ] = 0,
    sample: Annotated[
        str | None,
        typer.Option(
            help="Id of an evaluation's sample: with its pictures and seed, it is told that arm's answer. "
            "Default: a folder's name.",
            rich_help_panel=_WORDS,
        ),
    ] = None,
    temperature: Annotated[
        float, typer.Option(min=0, max=2, help="0 decodes greedily.", rich_help_panel=_WORDS)
    ] = _USUAL.temperature,
    top_p: Annotated[
        float, typer.Option(min=0.001, max=1, help="Nucleus sampling.", rich_help_panel=_WORDS)
    ] = _USUAL.top_p,
    max_new_tokens: Annotated[
        int, typer.Option(min=1, max=32_768, help="Longest story in tokens.", rich_help_panel=_WORDS)
    ] = _USUAL.max_new_tokens,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    namespace: Namespace = None,
    root: ArtifactRoot = None,
) -> None:
    """Tell a story about pictures, as an evaluation's arm would. The story goes to stdout, all else to stderr."""
    wanted = Wanted(
        tuple(pictures or ()), video, model, adapter, engine, endpoint_url, key_variable, device, quantization,
        min_pixels, max_pixels, interactive, prompt, recipe, root or os.environ.get(VARIABLE),
    )  # fmt: skip
    with told(), failures():
        if problem := wanted.problem():
            raise CommandFailed(Exit.USAGE, problem)
        # Before anything is loaded, which may take minutes.
        first = question(wanted.pictures, sample) if wanted.pictures else None
        generation = Generation(temperature=temperature, top_p=top_p, max_new_tokens=max_new_tokens, batch_size=1)
        from fabula_workloads.telling import teller as telling

        with telling.scratch() as scratch:
            if engine == "openai":
                speaker, known = served(wanted, generation)
            else:
                weights = weights_of(wanted, kubeconfig, context, namespace)
                where = device or telling.best_device()
                if video is not None:
                    _watch(weights, video, where, max_new_tokens, prompt)
                    return
                speaker, known = loaded(weights, generation, where), weights.recipe
            if not _talk(telling.Teller(known, speaker, scratch), Talk(first, prompt, wish, seed), interactive):
                raise typer.Exit(Exit.BAD)


def _talk(teller: Teller, talk: Talk, interactive: bool) -> bool:
    """Tell of what was named, then of what a person names line by line; whether all went well."""
    if talk.question is not None:
        ended = guarded(teller, talk) if interactive else tell_once(teller, talk)
        if not ended and not interactive:
            return False
    if interactive:
        for heard in listen(talk, complain):
            guarded(teller, heard)
    return True


def _watch(weights: Weights, video: Path, device: Literal["cuda", "cpu"], most_tokens: int, asked: str | None) -> None:
    from fabula_workloads.telling.watching import watch

    aside.print(shown(f"watching {video.name} with {weights.label} on {device} ..."))
    said = 0

    def say(at: float, text: str) -> None:
        nonlocal said
        said += 1
        print(f"{at:8.2f} s  {text}", flush=True)

    watch(weights, video, device, most_tokens, asked, say)
    if not said:
        aside.print(shown("it said nothing"))
