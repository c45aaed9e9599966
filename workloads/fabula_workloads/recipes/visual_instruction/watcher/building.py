"""A watcher put together from a model's folder, for training and for watching alike."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fabula_api.fine_tune_run import Lora
from fabula_api.recipes.visual_instruction.tune import VisualInstructionTune
from fabula_workloads.models.adapter import with_adapter
from fabula_workloads.recipes.visual_instruction.watcher.families import WatcherFamily
from fabula_workloads.recipes.visual_instruction.watcher.hearing import Hearing, load_encoder
from fabula_workloads.recipes.visual_instruction.watcher.model import Watcher
from fabula_workloads.recipes.visual_instruction.watcher.tokens import Words
from fabula_workloads.training.libraries.zero import gathered


def words_of(folder: Path) -> tuple[Words, int]:
    """The tokenizer with the marks, and how many tokens it had without them."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    known = len(tokenizer)
    return Words(tokenizer), known


def watcher_of(
    language: Any, family: WatcherFamily, tune: VisualInstructionTune, words: Words, *, hears: bool
) -> Watcher:
    """A watcher with fresh parts over a loaded model."""
    base = language.get_base_model() if hasattr(language, "peft_config") else language
    weight = base.get_input_embeddings().weight
    with gathered([weight]):
        start = weight.detach().float().mean(dim=0).to(weight.dtype)
    hearing = None
    if hears and family.sound_encoder is not None:
        hearing = Hearing(load_encoder(family.sound_encoder, weight.dtype), len(start))
    watcher = Watcher(language, family, tune, words.ids, start, hearing)
    for part in (watcher.fusion, watcher.marks, watcher.head, watcher.hearing):
        if part is not None:
            part.to(weight.dtype)
    return watcher


def merged(base: Any, updates: Sequence[Path]) -> Any:
    """The model with these updates in its weights, one after another. Raises UnfitAdapter."""
    for update in updates:
        base = with_adapter(base, update).merge_and_unload()
    return base


def stacked(base: Any, updates: Sequence[Path]) -> Any:
    """The model with these updates beside its weights, all at work and frozen. Raises UnfitAdapter."""
    from peft import LoraConfig
    from peft.utils import set_peft_model_state_dict
    from safetensors.torch import load_file

    first, *others = updates
    language = with_adapter(base, first)
    for number, update in enumerate(others, 1):
        name = f"earlier{number}"
        config = LoraConfig.from_pretrained(str(update), local_files_only=True)
        config.inference_mode = True
        language.add_adapter(name, config)
        set_peft_model_state_dict(language, load_file(str(update / "adapter_model.safetensors")), adapter_name=name)
    language.base_model.set_adapter(list(language.peft_config))
    return language.requires_grad_(False)


def add_update(language: Any, lora: Lora, family: WatcherFamily, base_name: str) -> Any:
    """The model with a new, trained update; those before it stay as they are, and at work.

    The new one is called `default`, as peft's loaders expect of what is saved."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=lora.rank, lora_alpha=lora.alpha, lora_dropout=lora.dropout, target_modules=sorted(lora.target_modules),
        exclude_modules=family.untouched, bias="none", task_type="CAUSAL_LM",
    )  # fmt: skip
    if not hasattr(language, "peft_config"):
        dtype = language.get_input_embeddings().weight.dtype
        tuned = get_peft_model(language, config, autocast_adapter_dtype=False)
    else:
        dtype = language.get_base_model().get_input_embeddings().weight.dtype
        tuned = language
        tuned.add_adapter(NEW, config)
        tuned.base_model.set_adapter(list(tuned.peft_config))
    name = "default" if NEW not in tuned.peft_config else NEW
    for key, parameter in tuned.named_parameters():
        parameter.requires_grad_(f".{name}." in key and ".lora_" in key)
        if parameter.requires_grad:
            parameter.data = parameter.data.to(dtype)
    tuned.peft_config[name].base_model_name_or_path = base_name
    return tuned


NEW = "trained"
"""Name of the update that is trained beside stacked ones."""
