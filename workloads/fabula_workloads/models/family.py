"""What training must know of a kind of model beyond transformers' interface, and the kinds there are.

Families are found by the entry point group `fabula.model_families`:

[project.entry-points."fabula.model_families"]
ours = "ours.models:FAMILY"
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import Any, Protocol

from PIL import Image

from fabula_workloads.runtime.failures import ConfigInvalid

ENTRY_POINTS = "fabula.model_families"
IGNORED = -100
"""Label of a token that the loss leaves out."""
FIGURES = "measures"
"""Where a batch carries its own figures; the trainer takes them out before the model sees it."""
Encoded = dict[str, Any]
"""Tensors of one sample, as a family's `encode` makes them; `input_ids` and `labels` are among them."""
Batch = dict[str, Any]
"""What a pass of the model is given, and `FIGURES`."""
Collate = Callable[[Sequence[Sequence[Encoded]]], Batch]
"""From rows of encoded samples to a batch: each row is a sequence of its own where samples are packed."""
Needed = Callable[[Sequence[int], int, Sequence[Sequence[int]]], float]
"""Operations for samples of these lengths, that many labelled tokens and these picture grids."""


class Encodes(Protocol):
    """Turns one sample's texts and pictures into tensors."""

    def __call__(
        self, processor: Any, prompt: str, answer_ids: Sequence[int], pictures: Sequence[Image.Image]
    ) -> Encoded:
        """`prompt` is as the chat template wrote it; labels are on the answer alone."""


class Collates(Protocol):
    """Makes a collator for a loaded model."""

    def __call__(self, model: Any, pad_token_id: int, needed: Needed | None, *, packed: bool) -> Collate:
        """`needed` counts the operations of a batch; without it they are 0."""


class Counts(Protocol):
    """Counts the operations of a training step."""

    def __call__(self, config: dict[str, Any], lora: int, *, full: bool) -> Needed:
        """From a config.json and the weights of the adapter. Raises KeyError for a layout that is not known."""


@dataclass(frozen=True, slots=True)
class ModelFamily:
    """One kind of model. Its module is imported without torch, so what needs torch imports it when it is called."""

    name: str
    model_types: tuple[str, ...]
    """`model_type` of those whose batches, positions and labels are tested."""
    processors: tuple[str, ...]
    """Classes of their processors, by name."""
    packable: tuple[str, ...]
    """`model_type` of those whose packed loss is proved equal."""
    liger: tuple[str, ...]
    """`model_type` of those whose loss with Liger's kernels is proved equal."""
    use_liger: Callable[[Any], None]
    """Let a model's language layers use them."""
    picture_tokens: Callable[[Any, int, int], int]
    """Tokens beyond its placeholder that a picture becomes: from the processor, its width and its height."""
    encode: Encodes
    collate: Collates
    needed: Counts
    prepare: Callable[[Any], None] | None = None
    """Change how a loaded model computes, not what, in training and at inference; None leaves transformers' way."""

    imports: tuple[str, ...] = ()
    """Modules that a process imports only when it reads and computes such a model, beside transformers' own of its
    `model_types`: they may be loaded ahead."""

    unlike_in_vllm: Callable[[Mapping[str, Any]], str | None] | None = None
    """From a config.json: why vLLM would compute something else from it than transformers does, and what to change."""


@cache
def families() -> Mapping[str, ModelFamily]:
    """The installed families by name. Raises ConfigInvalid for an entry point that is none."""
    installed: dict[str, ModelFamily] = {}
    for point in entry_points(group=ENTRY_POINTS):
        family = point.load()
        if not isinstance(family, ModelFamily) or family.name != point.name:
            raise ConfigInvalid(f"entry point {ENTRY_POINTS} {point.name}: {point.value} is no family of that name")
        installed[point.name] = family
    return installed


def trainable() -> tuple[str, ...]:
    """Every `model_type` of the installed families."""
    return tuple(kind for family in families().values() for kind in family.model_types)


def family_of(model_type: str) -> ModelFamily:
    """The family of a model by its config's `model_type`. Raises ConfigInvalid for one that belongs to none."""
    family = next((family for family in families().values() if model_type in family.model_types), None)
    if family is None:
        raise ConfigInvalid(f"a {model_type} is of no installed model family; there are {', '.join(trainable())}")
    return family


def prepare(model: Any) -> None:
    """Let a model that was just loaded compute as its family does; one of no installed family is left as it is."""
    for family in families().values():
        if family.prepare is not None and model.config.model_type in family.model_types:
            family.prepare(model)


def otherwise_in_vllm(config: Mapping[str, Any]) -> str | None:
    """Why vLLM would compute something else from this config.json than training does; None where nothing is known."""
    for family in families().values():
        if family.unlike_in_vllm is not None and config.get("model_type") in family.model_types:
            return family.unlike_in_vllm(config)
    return None


def family_of_processor(processor: Any) -> ModelFamily:
    """The family whose samples this processor encodes. Raises ConfigInvalid where there is none."""
    name = type(processor).__name__
    family = next((family for family in families().values() if name in family.processors), None)
    if family is None:
        known = ", ".join(name for family in families().values() for name in family.processors)
        raise ConfigInvalid(f"no installed model family encodes samples with a {name}; known are {known}")
    return family


def liger_missing() -> bool:
    """Whether this image lacks Liger or the Triton that its kernels are written in."""
    return find_spec("liger_kernel") is None or find_spec("triton") is None
