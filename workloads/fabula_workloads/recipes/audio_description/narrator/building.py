"""A narrator put together from a language model's folder, for training and for telling alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fabula_api.recipes.audio_description.tune import AudioDescriptionTune
from fabula_workloads.models.loading import Precision, load_language_model
from fabula_workloads.recipes.audio_description.narrator.mapping import per_character
from fabula_workloads.recipes.audio_description.narrator.model import Narrator, causal_of
from fabula_workloads.recipes.audio_description.narrator.sequence import Writer
from fabula_workloads.recipes.audio_description.narrator.tokens import NewTokens
from fabula_workloads.training.libraries.zero import gathered


def load_language(folder: Path, precision: Precision) -> Any:
    """The language model, frozen, on the CPU or wherever ZeRO-3's initialisation puts it."""
    language = load_language_model(folder, precision=precision)
    language.config.use_cache = False
    language.requires_grad_(False)
    return language


def narrator_of(language: Any, tune: AudioDescriptionTune, vocabulary: int, shape: tuple[int, ...]) -> Narrator:
    """A narrator with fresh mappings over a loaded language model."""
    weight = causal_of(language).get_input_embeddings().weight
    with gathered([weight]):
        start = weight.detach().float().mean(dim=0)
    module = Narrator(language, tune, NewTokens.of(tune, vocabulary), shape, start)
    for part in (module.clips, module.faces, module.heads):
        part.to(weight.dtype)
    return module


def writer_of(folder: Path, tune: AudioDescriptionTune, vocabulary: int, shape: tuple[int, ...]) -> tuple[Writer, Any]:
    """What writes prompts, and the tokenizer."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    return Writer(tokenizer, tune, NewTokens.of(tune, vocabulary), per_character(tune.mapping, shape)), tokenizer
