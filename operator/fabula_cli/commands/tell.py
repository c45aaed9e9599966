"""`fabula tell`: a story about one's own pictures, from a model in this process or one that a server has."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fabula_api.arms import KEY_VARIABLE, Generation
from fabula_api.artifact import MANIFEST
from fabula_api.fine_tune_status import FineTuneRunStatus
from fabula_api.shared_spec import PixelWindow, RunSpec
from fabula_cli.access import Context, Kubeconfig, Namespace, access, title
from fabula_cli.display import shown
from fabula_cli.exits import CommandFailed, Exit, told
from fabula_cli.listening import Talk, listen, question
from fabula_cli.store import VARIABLE, ArtifactRoot, artifact_root
from fabula_cli.story import aside, complain, failures, guarded, tell_once
from fabula_operator.plan.seen.observed import Run

if TYPE_CHECKING:
    from fabula_workloads.inference.request import Speaker
    from fabula_workloads.telling.teller import Teller
    from fabula_workloads.telling.weights import Tuned, Weights

_USUAL = Generation()
_WINDOW = PixelWindow()
_RECIPE: str = RunSpec.model_fields["recipe"].default
_TUNED_FILES = (MANIFEST, "adapter_config.json")
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
        typer.Option(help=f"Default: the adapter's, else {_WINDOW.min_pixels}.", rich_help_panel=_LOADING),
    ] = None,
    max_pixels: Annotated[
        int | None,
        typer.Option(help=f"Default: the adapter's, else {_WINDOW.max_pixels}.", rich_help_panel=_LOADING),
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
                speaker, known = _served(wanted, generation)
            else:
                weights = _weights(wanted, kubeconfig, context, namespace)
                where = device or telling.best_device()
                if video is not None:
                    _watch(weights, video, where, max_new_tokens, prompt)
                    return
                speaker, known = _loaded(weights, generation, where), weights.recipe
            if not _talk(telling.Teller(known, speaker, scratch), Talk(first, prompt, wish, seed), interactive):
                raise typer.Exit(Exit.BAD)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be told of, and by which model, as the options say it."""

    pictures: tuple[Path, ...]
    video: Path | None
    model: str | None
    adapter: str | None
    engine: Literal["transformers", "openai"]
    endpoint_url: str | None
    key_variable: str
    device: Literal["cuda", "cpu"] | None
    quantization: Literal["none", "nf4"] | None
    min_pixels: int | None
    max_pixels: int | None
    interactive: bool
    prompt: str | None
    recipe: str | None
    root: str | None

    @property
    def window(self) -> PixelWindow | None:
        """The size of pictures, where one is asked for."""
        if not (self.min_pixels or self.max_pixels):
            return None
        return PixelWindow(
            min_pixels=self.min_pixels or _WINDOW.min_pixels, max_pixels=self.max_pixels or _WINDOW.max_pixels
        )

    def problem(self) -> str | None:
        """What of the options does not go together; None where all does."""
        if self.video is not None and (self.pictures or self.interactive or self.engine != "transformers"):
            return "--video is watched alone, by a model in this process"
        if not self.pictures and not self.interactive and self.video is None:
            return "name the pictures to tell of, or ask with --interactive"
        if self.model is None and self.adapter is None:
            return "name a model (--model), or what was tuned (--adapter)"
        if (window := self.window) is not None and window.min_pixels > window.max_pixels:
            return f"--min-pixels {window.min_pixels} is more than --max-pixels {window.max_pixels}"
        held_here = self.adapter is not None or self.quantization is not None
        if self.engine == "openai" and (self.endpoint_url is None or self.model is None or held_here):
            return (
                "--engine openai needs --endpoint-url and --model, what the server calls it; an adapter is the "
                "server's own, under a name of its own, and how a model is held is its matter"
            )
        return None


def _served(wanted: Wanted, generation: Generation) -> tuple[Speaker, str]:
    """A model that a server has, and the recipe whose prompt it gets."""
    from fabula_workloads.telling import teller as telling
    from fabula_workloads.telling.weights import DEFAULT_RECIPE

    assert wanted.endpoint_url is not None
    assert wanted.model is not None
    recipe, key = wanted.recipe or DEFAULT_RECIPE, os.environ.get(wanted.key_variable)
    window = wanted.window or _WINDOW
    return telling.served(wanted.endpoint_url, wanted.model, key, recipe, generation, window), recipe


def _weights(wanted: Wanted, kubeconfig: Path | None, context: str | None, namespace: str | None) -> Weights:
    """Where the model and what was tuned on it lie, by files, the Hub, or a run of a cluster."""
    from fabula_workloads.telling import teller as telling
    from fabula_workloads.telling.weights import Named, find_weights

    tuned, place = None, wanted.root
    if wanted.adapter is not None:
        tuned, place = _tuned(wanted.adapter, place, kubeconfig, context, namespace)
    if wanted.recipe is not None and wanted.video is None:
        telling.recipe_told(wanted.recipe)
    own_prompt = wanted.prompt is not None
    named = Named(wanted.model, tuned, wanted.recipe, own_prompt, wanted.window, wanted.quantization, place)
    return find_weights(named, lambda line: aside.print(shown(f"note: {line}", "yellow")))


def _loaded(weights: Weights, generation: Generation, device: Literal["cuda", "cpu"]) -> Speaker:
    """The model, in this process."""
    from fabula_workloads.telling import teller as telling

    began = time.monotonic()
    aside.print(shown(f"loading {weights.label} on {device} ..."))
    speaker = telling.load(weights, generation, device, bars=aside.is_terminal)
    aside.print(shown(f"loaded in {time.monotonic() - began:.1f} s"))
    return speaker


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


def _tuned(
    named: str, root: str | None, kubeconfig: Path | None, context: str | None, namespace: str | None
) -> tuple[Tuned, str | None]:
    """What was tuned, and the artifact root as far as it is known: a folder, a URI, or a run's by its name."""
    from fabula_workloads.telling.weights import Tuned

    # A bare word is a run's name, even where a folder has it too that holds nothing tuned.
    folder = Path(named).expanduser()
    told_as_path = named.startswith(("~", ".")) or "/" in named or any((folder / one).is_file() for one in _TUNED_FILES)
    if "://" in named or (folder.exists() and told_as_path):
        return Tuned(named, name=named), root
    if named.startswith(("/", ".", "~")) or named.count("/") > 1:
        raise CommandFailed(Exit.ABSENT, f"--adapter {named}: there is no such folder")
    reach = access(kubeconfig, context, namespace)
    # A build, a training and an evaluation often share a name, and only one of them tunes.
    run = reach.run(named if "/" in named else f"FineTuneRun/{named}")
    made = _made(run)
    return Tuned(made[0], made[1], title(run)), root or artifact_root(reach, None)


def _made(run: Run) -> tuple[str, str]:
    """(uri, digest) of what a finished run tuned."""
    status = run.status
    if not isinstance(status, FineTuneRunStatus):
        raise CommandFailed(Exit.USAGE, f"{title(run)} tunes nothing; a FineTuneRun does")
    if (made := status.adapter or status.model) is None:
        state = status.state or "Pending"
        code = Exit.BAD if state == "Failed" else Exit.UNFINISHED
        raise CommandFailed(code, f"{title(run)} is {state} and has tuned nothing yet; see `fabula status`")
    return made.uri, made.digest
