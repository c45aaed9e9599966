"""One model, kept loaded, that tells of files one after the other, as an evaluation's shard would."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fabula_api.arms import Generation
from fabula_api.shared_spec import PixelWindow
from fabula_workloads.inference.request import Answer, Failure, Request, Speaker
from fabula_workloads.models.loading import Device
from fabula_workloads.recipe_parts import RecipeParts, parts_of
from fabula_workloads.recipe_parts.evaluation import evaluation_of
from fabula_workloads.runtime.failures import ConfigInvalid, InputInvalid
from fabula_workloads.telling.weights import Weights

NAMELESS = "told"
"""Id of what has none: the same files, words and seed give the same story."""


@dataclass(frozen=True, slots=True)
class Story:
    """What was told."""

    answer: Answer
    readable: bool
    """Whether the recipe can read it, as a metric would."""


class Teller:
    """A recipe's words to an engine that holds a model."""

    def __init__(self, recipe: str, engine: Speaker, scratch: Path) -> None:
        self._recipe, self._engine, self._scratch = recipe, engine, scratch
        self._parts: RecipeParts = recipe_told(recipe)
        self._told = 0

    def tell(
        self,
        files: Sequence[Path],
        say: Callable[[str], None],
        *,
        seed: int = 0,
        sample: str = NAMELESS,
        prompt: str | None = None,
        wish: str | None = None,
    ) -> Story | Failure:
        """Tell of the files; `say` is given the text in pieces as they come.

        `prompt` stands in the place of the recipe's, `wish` behind it. `sample` and `seed` decide what is drawn: those
        of an evaluation's sample give its answer. Raises UnfitFile, and what the engine raises.
        """
        self._told += 1
        folder = self._scratch / str(self._told)
        folder.mkdir()
        shown = self._parts.told_from(files, folder)
        asked = prompt or shown.prompt or self._parts.inference_prompt()
        request = Request(sample, seed, shown.pictures, f"{asked}\n\n{wish}" if wish else asked)
        with memory_named():
            answer = self._engine.tell(request, say)
        if isinstance(answer, Failure):
            return answer
        return Story(answer, bool(evaluation_of(self._recipe).answers.read(answer.text, "v2").passages))


def recipe_told(recipe: str) -> RecipeParts:
    """The parts of a recipe whose models can be told with. Raises ConfigInvalid for one without a conversation."""
    parts = parts_of(recipe)
    if evaluation_of(recipe).open_engine is not None:
        raise ConfigInvalid(
            f"a model of the recipe {recipe} is asked by the recipe's own engine and not in a conversation about "
            "pictures: ask it by an EvalRun"
        )
    return parts


def load(weights: Weights, generation: Generation, device: Device, *, bars: bool) -> Speaker:
    """The model, loaded; `bars` shows the loading's progress. Raises InputInvalid naming what is wrong with it."""
    from fabula_workloads.models.adapter import UnfitAdapter
    from fabula_workloads.models.library_logs import quiet_libraries
    from fabula_workloads.models.stored_files import DamagedFile
    from fabula_workloads.models.torchvision_shim import prepare_torchvision

    prepare_torchvision()
    quiet_libraries(bars=bars)
    from fabula_workloads.inference.transformers_engine import TransformersEngine

    try:
        with memory_named():
            return TransformersEngine(
                weights.model,
                weights.adapter,
                device=device,
                pixels=weights.pixels,
                generation=generation,
                quantization=weights.held.quantization,
                fp32_update=weights.held.fp32_update,
                conversation=recipe_told(weights.recipe).messages,
            )
    except UnfitAdapter as error:
        raise InputInvalid(f"--adapter {weights.adapter} {error}") from error
    except (OSError, ValueError, DamagedFile) as error:
        raise InputInvalid(f"{weights.label} cannot be loaded: {error}") from error


def served(url: str, model: str, key: str | None, recipe: str, generation: Generation, pixels: PixelWindow) -> Speaker:
    """A model that a server has."""
    from fabula_workloads.inference.openai_engine import OpenAiEngine

    return OpenAiEngine(
        url, model, key, pixels=pixels, generation=generation, conversation=recipe_told(recipe).messages
    )


def best_device() -> Device:
    """A GPU where torch sees one."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


@contextmanager
def memory_named() -> Iterator[None]:
    """Say in words that a GPU's memory does not do."""
    try:
        yield
    except Exception as error:
        torch = sys.modules.get("torch")
        if torch is None or not isinstance(error, torch.cuda.OutOfMemoryError):
            raise
        raise ConfigInvalid(
            "it does not fit into the GPU's memory: hold the base in 4 bits (--quantization nf4, for a base without an "
            "adapter of other making), show fewer or smaller pictures, or ask a server (--engine openai)"
        ) from error


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder for what recipes make of files."""
    with tempfile.TemporaryDirectory(prefix="fabula-tell-") as folder:
        yield Path(folder)
