"""Which model tells: one that a server has, or one that is loaded here, with what was tuned on it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from fabula_api.arms import Generation
from fabula_api.artifact import MANIFEST
from fabula_api.fine_tune_status import FineTuneRunStatus
from fabula_api.shared_spec import PixelWindow
from fabula_cli.access import access
from fabula_cli.display import shown
from fabula_cli.exits import CommandFailed, Exit
from fabula_cli.runs import title
from fabula_cli.store import artifact_root
from fabula_cli.story import aside
from fabula_operator.plan.seen.observed import Run

if TYPE_CHECKING:
    from fabula_workloads.inference.request import Speaker
    from fabula_workloads.telling.weights import Tuned, Weights


WINDOW = PixelWindow()
_TUNED_FILES = (MANIFEST, "adapter_config.json")


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
            min_pixels=self.min_pixels or WINDOW.min_pixels, max_pixels=self.max_pixels or WINDOW.max_pixels
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


def served(wanted: Wanted, generation: Generation) -> tuple[Speaker, str]:
    """A model that a server has, and the recipe whose prompt it gets."""
    from fabula_workloads.runtime.http_settings import server_key
    from fabula_workloads.telling import teller as telling
    from fabula_workloads.telling.weights import DEFAULT_RECIPE

    assert wanted.endpoint_url is not None
    assert wanted.model is not None
    recipe, key = wanted.recipe or DEFAULT_RECIPE, server_key(wanted.key_variable)
    window = wanted.window or WINDOW
    return telling.served(wanted.endpoint_url, wanted.model, key, recipe, generation, window), recipe


def weights_of(wanted: Wanted, kubeconfig: Path | None, context: str | None, namespace: str | None) -> Weights:
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


def loaded(weights: Weights, generation: Generation, device: Literal["cuda", "cpu"]) -> Speaker:
    """The model, in this process."""
    from fabula_workloads.telling import teller as telling

    began = time.monotonic()
    aside.print(shown(f"loading {weights.label} on {device} ..."))
    speaker = telling.load(weights, generation, device, bars=aside.is_terminal)
    aside.print(shown(f"loaded in {time.monotonic() - began:.1f} s"))
    return speaker


def _tuned(
    named: str, root: str | None, kubeconfig: Path | None, context: str | None, namespace: str | None
) -> tuple[Tuned, str | None]:
    """What was tuned, and the artifact root as far as it is known: a folder, a URI, or a run's by its name."""
    from fabula_workloads.telling.weights import Tuned

    # A bare word is a run's name, even where a folder has it too that holds nothing tuned.
    folder = Path(named).expanduser()
    told_as_path = (
        named.startswith(("~", ".")) or "/" in named or any((folder / file).is_file() for file in _TUNED_FILES)
    )
    if "://" in named or (folder.exists() and told_as_path):
        return Tuned(named, name=named), root
    if named.startswith(("/", ".", "~")) or named.count("/") > 1:
        raise CommandFailed(Exit.ABSENT, f"--adapter {named}: there is no such folder")
    reach = access(kubeconfig, context, namespace)
    # A build, a training and an evaluation often share a name, and only one of them tunes.
    run = reach.run(named if "/" in named else f"FineTuneRun/{named}")
    tuned = tuned_by(run)
    return Tuned(tuned[0], tuned[1], title(run)), root or artifact_root(reach, None)


def tuned_by(run: Run) -> tuple[str, str]:
    """(uri, digest) of what a finished run tuned."""
    status = run.status
    if not isinstance(status, FineTuneRunStatus):
        raise CommandFailed(Exit.USAGE, f"{title(run)} tunes nothing; a FineTuneRun does")
    if (weights := status.adapter or status.model) is None:
        state = status.state or "Pending"
        code = Exit.BAD if state == "Failed" else Exit.UNFINISHED
        raise CommandFailed(code, f"{title(run)} is {state} and has tuned nothing yet; see `fabula status`")
    return weights.uri, weights.digest
