"""Adapters and models as people have them: what was done to a whole one, one row for each kind."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Change = Callable[[dict[str, Any]], dict[str, Any]]
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 17\n"


@dataclass(frozen=True)
class Flaw:
    """What was done to a folder, and words of the refusal."""

    kind: str
    do: Callable[[Path], object]
    words: str


def tensors(file: str, change: Change) -> Callable[[Path], object]:
    def apply(folder: Path) -> None:
        from safetensors.torch import load_file, save_file

        save_file(change(load_file(folder / file)), folder / file, metadata={"format": "pt"})

    return apply


def content(file: str, change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    return lambda folder: (folder / file).write_bytes(change((folder / file).read_bytes()))


def setting(file: str, **values: object) -> Callable[[Path], object]:
    return content(file, lambda data: json.dumps(json.loads(data) | values).encode())


def where(part: str, change: Callable[[Any], Any]) -> Change:
    return lambda held: {name: change(tensor) if part in name else tensor for name, tensor in held.items()}


def _renamed(held: dict[str, Any]) -> dict[str, Any]:
    return {name.replace("language_model.", "text_model."): tensor for name, tensor in held.items()}


ADAPTER, CONFIG = "adapter_model.safetensors", "adapter_config.json"
ADAPTERS = [
    Flaw("another library's names", tensors(ADAPTER, _renamed), "fit its base: it lacks 8 of 8 tensors, first"),
    Flaw("saved without its weights", tensors(ADAPTER, lambda held: {}), "lacks 8 of 8 tensors"),
    Flaw(
        "a layer lost",
        tensors(ADAPTER, lambda held: {n: t for n, t in held.items() if "layers.1." not in n}),
        "lacks 4 of 8 tensors, first base_model.model.model.language_model.layers.1.self_attn.q_proj.lora_A.weight",
    ),
    Flaw(
        "of a deeper model",
        tensors(ADAPTER, lambda held: held | {n.replace("rs.1.", "rs.2."): t.clone() for n, t in held.items()}),
        "it has 4 that the model has no place for, first base_model.model.model.language_model.layers.2.",
    ),
    Flaw(
        "of another rank",
        tensors(ADAPTER, where("lora_A", lambda t: t.repeat(2, 1))),
        r"lora_A.weight has shape \[8, 128\], and the model expects \[4, 128\]",
    ),
    Flaw("ZeRO-3 without gathering", tensors(ADAPTER, where("lora", lambda t: t.new_zeros(0))), r"has shape \[0\]"),
    Flaw("never trained", tensors(ADAPTER, where("lora_B", lambda t: t * 0)), "all of its 4 layers lora_B or lora_A"),
    Flaw("overflowed", tensors(ADAPTER, where("layers.0", lambda t: t * float("nan"))), "values that are no numbers"),
    Flaw("a copy cut short", content(ADAPTER, lambda data: data[:-100]), f"is damaged: {ADAPTER}: it has"),
    Flaw("a clone without Git LFS", content(ADAPTER, lambda data: POINTER), "it is a Git LFS pointer"),
    Flaw("an empty file", content(ADAPTER, lambda data: b""), f"{ADAPTER}: it does not begin as safetensors do"),
    Flaw("its config cut short", content(CONFIG, lambda data: data[:40]), f"{CONFIG}: it is no JSON"),
    Flaw("without its config", lambda folder: (folder / CONFIG).unlink(), f"{CONFIG} is not in"),
    Flaw("pickled weights", lambda folder: (folder / ADAPTER).rename(folder / "w.bin"), f"{ADAPTER} is not in"),
    Flaw("another method", setting(CONFIG, peft_type="PROMPT_TUNING"), "peft_type 'PROMPT_TUNING'"),
    Flaw("for other layers", setting(CONFIG, target_modules=["c_attn"]), "not fit its base: .*c_attn"),
]  # fmt: skip

MODEL, TOKENIZER = "model.safetensors", "tokenizer.json"
CLIP, T5, NOISE = f"text_encoder/{MODEL}", f"text_encoder_3/{MODEL}", "diffusion_pytorch_model.safetensors"
PIPELINES = [
    Flaw(
        "a layer of CLIP lost",
        tensors(CLIP, lambda held: {n: t for n, t in held.items() if "layers.1." not in n}),
        r"text_encoder: its files lack 16 weights, first .*layers\.1\.layer_norm1\.bias",
    ),
    Flaw(
        "a layer of T5 lost",
        tensors(T5, lambda held: {n: t for n, t in held.items() if "DenseReluDense" not in n}),
        r"text_encoder_3: its files lack 3 weights, first encoder\.block\.0\.layer\.1\.DenseReluDense\.wi_0\.weight",
    ),
    Flaw(
        "a CLIP of another width",
        tensors(CLIP, where("text_projection", lambda t: t[:-8].clone())),
        r"text_encoder: text_projection\.weight has shape \[24, 16\], and config.json tells of \[32, 16\]",
    ),
    Flaw("a T5 without weights", lambda folder: (folder / T5).unlink(), "text_encoder_3"),
    Flaw("a CLIP cut short", content(CLIP, lambda data: data[:-100]), f"{CLIP}: it has"),
    Flaw(
        "a transformer that lacks a weight",
        tensors(f"transformer/{NOISE}", lambda held: {n: t for n, t in held.items() if n != "proj_out.bias"}),
        r"transformer: .*proj_out\.bias",
    ),
    Flaw(
        "an autoencoder of another width",
        tensors(f"vae/{NOISE}", where("decoder.conv_out.bias", lambda t: t[:-1].clone())),
        r"vae: .*decoder\.conv_out\.bias expected shape \S+, but got \S+$",
    ),
]
MODELS = [
    Flaw("a download cut short", content(MODEL, lambda data: data[:-100]), f"{MODEL}: it has"),
    Flaw("weights behind Git LFS", content(MODEL, lambda data: POINTER), f"{MODEL}: it is a Git LFS pointer"),
    Flaw("a tokenizer behind Git LFS", content(TOKENIZER, lambda data: POINTER), f"{TOKENIZER}: it is a Git LFS"),
    Flaw("a tokenizer cut short", content(TOKENIZER, lambda data: data[:5000]), f"{TOKENIZER}: it is no JSON"),
    Flaw("an empty processor", content("processor_config.json", lambda data: b""), "config.json: it is empty"),
    Flaw("another library's names", tensors(MODEL, _renamed), "its files lack .* weights, first model.language_model"),
    Flaw(
        "a layer lost",
        tensors(MODEL, lambda held: {n: t for n, t in held.items() if "language_model.layers.1." not in n}),
        "its files lack .* weights, first model.language_model.layers.1.",
    ),
    Flaw(
        "of another width",
        tensors(MODEL, where("lm_head", lambda t: t[:-8].clone())),
        "lm_head.weight has shape .*, and config.json tells of",
    ),
]  # fmt: skip
