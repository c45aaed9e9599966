"""A tiny CLIP with its tokenizer and image processor: the code path of `clip-score` without weights to fetch.

Its scores mean nothing, and its config says so; it serves the quickstart, the tests and the metric's self-test.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fabula_workloads.models.library_logs import quiet_libraries
from fabula_workloads.models.loading import RANDOM_WEIGHTS_KEY
from fabula_workloads.models.torchvision_shim import prepare_torchvision

START, END = "<|startoftext|>", "<|endoftext|>"
CONTEXT = 77
"""Tokens of text, as in every published CLIP."""
VOCABULARY = 1024
SIDE = 32
SEED = 0


def build(path: Path, corpus: Iterable[str], positions: int = CONTEXT) -> None:
    """Write the model to `path`; the tokenizer is learned from `corpus`. Same corpus, same files. Takes two seconds.

    `positions` are the tokens of text that it reads: Long-CLIP has 248, with a tokenizer that still says 77.
    """
    prepare_torchvision()
    quiet_libraries()
    import torch
    from transformers import CLIPImageProcessor, CLIPModel, CLIPProcessor

    path.mkdir(parents=True, exist_ok=True)
    tokenizer = clip_tokenizer(corpus)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        model = CLIPModel(_config(tokenizer, positions))
        with torch.no_grad():
            # With the usual 0.02 every text lands in nearly the same spot, and no test could tell two texts apart.
            model.text_model.embeddings.token_embedding.weight.normal_(0.0, 1.0)
    model.eval().save_pretrained(path)
    images = CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})
    CLIPProcessor(image_processor=images, tokenizer=tokenizer).save_pretrained(path)
    # AutoImageProcessor and CLIPImageProcessor look for this name, the joint processor's own file has another.
    images.save_pretrained(path)


def clip_tokenizer(corpus: Iterable[str]) -> Any:
    """A byte-pair tokenizer of CLIP's class; as in CLIP, the end token has the highest id."""
    from tokenizers import pre_tokenizers
    from tokenizers.trainers import BpeTrainer
    from transformers import CLIPTokenizer

    learned = CLIPTokenizer()._tokenizer
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = BpeTrainer(
        vocab_size=VOCABULARY, initial_alphabet=alphabet, end_of_word_suffix="</w>", show_progress=False
    )
    learned.train_from_iterator(list(corpus), trainer)
    model = json.loads(learned.to_str())["model"]
    vocabulary = {token: index for token, index in model["vocab"].items() if token not in (START, END)}
    # A word may end on any byte, and each of them must be known: unknown tokens would all become the end token.
    for token in (*alphabet, *(f"{letter}</w>" for letter in alphabet)):
        vocabulary.setdefault(token, len(vocabulary))
    numbered = {token: index for index, token in enumerate(vocabulary)}
    numbered[START], numbered[END] = len(numbered), len(numbered) + 1
    merges = [tuple(merge) for merge in model["merges"]]
    return CLIPTokenizer(vocab=numbered, merges=merges, model_max_length=CONTEXT)


def _config(tokenizer: Any, positions: int) -> Any:
    from transformers import CLIPConfig

    tower = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    return CLIPConfig(
        text_config={
            **tower,
            "vocab_size": len(tokenizer), "max_position_embeddings": positions, "projection_dim": 64,
            "bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        },
        vision_config={**tower, "image_size": SIDE, "patch_size": 8, "projection_dim": 64},
        projection_dim=64,
        **{RANDOM_WEIGHTS_KEY: True},
    )  # fmt: skip
