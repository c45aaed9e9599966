"""A tiny Qwen3-VL: the real architecture, tokenizer class and processor, small enough to train on a laptop's CPU.

Its weights are random, but wider than those of a model that is to be trained in full: a low-rank update on frozen
layers can only combine what they compute, and with the usual 0.02 (and tied embeddings) that is next to nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from fabula_workloads.models.library_logs import quiet_libraries
from fabula_workloads.models.loading import RANDOM_WEIGHTS_KEY
from fabula_workloads.models.torchvision_shim import prepare_torchvision

SPECIAL_TOKENS = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>",
    "<|image_pad|>", "<|video_pad|>",
)  # fmt: skip
CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{{- '<|im_start|>' + message['role'] + '\\n' -}}"
    "{%- if message['content'] is string -%}{{- message['content'] -}}"
    "{%- else -%}{%- for part in message['content'] -%}"
    "{%- if part['type'] == 'image' -%}{{- '<|vision_start|><|image_pad|><|vision_end|>' -}}"
    "{%- elif part['type'] == 'text' -%}{{- part['text'] -}}{%- endif -%}"
    "{%- endfor -%}{%- endif -%}"
    "{{- '<|im_end|>\\n' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}"
)
"""Qwen's conversation layout: role header, parts in order, end marker."""
VOCABULARY = 1536
"""Tokens learned from the corpus, bytes included, special tokens not."""
EMBEDDING_STD, LAYER_STD, HEAD_STD = 0.5, 0.12, 0.15
"""Standard deviations of embeddings, of the language layers, and of lm_head (which sets the first loss, about 9)."""
SEED = 0
HeadDim = Literal[16, 64]
SECTIONS: dict[HeadDim, list[int]] = {16: [4, 2, 2], 64: [8, 12, 12]}
"""Of half a head, the shares of time, height and width in its rotary positions."""


def build(path: Path, corpus: Iterable[str], *, head_dim: HeadDim = 16) -> None:
    """Write a tiny Qwen3-VL with its processor to `path`; the tokenizer is learned from `corpus`.

    The same corpus gives the same files. Takes a few seconds and about 3 MB. `head_dim`: 64 where vLLM is to run it,
    whose attention knows no smaller heads.
    """
    prepare_torchvision()
    quiet_libraries()
    import torch
    from transformers import GenerationConfig, Qwen3VLForConditionalGeneration

    path.mkdir(parents=True, exist_ok=True)
    processor = _processor(_tokenizer(corpus))
    state = torch.random.get_rng_state()
    torch.manual_seed(SEED)
    model = Qwen3VLForConditionalGeneration(_config(processor.tokenizer, head_dim))
    with torch.no_grad():
        for layer in model.model.language_model.modules():
            if isinstance(layer, torch.nn.Linear):
                layer.weight.normal_(0.0, LAYER_STD)
        model.get_input_embeddings().weight.normal_(0.0, EMBEDDING_STD)
        model.get_output_embeddings().weight.normal_(0.0, HEAD_STD)
        # Layer norms scale a picture's faint random features up to those of words, and unfamiliar pictures would drown
        # the prompt. Around a common strong vector they stay what they are: small differences.
        model.model.visual.merger.linear_fc2.bias.normal_(0.0, EMBEDDING_STD)
    torch.random.set_rng_state(state)
    end = processor.tokenizer.convert_tokens_to_ids("<|im_end|>")
    model.generation_config = GenerationConfig(eos_token_id=end, pad_token_id=processor.tokenizer.pad_token_id)
    model.save_pretrained(path)
    processor.save_pretrained(path)


def _tokenizer(corpus: Iterable[str]) -> Any:
    from tokenizers import pre_tokenizers
    from tokenizers.trainers import BpeTrainer
    from transformers import Qwen2Tokenizer

    trainer = BpeTrainer(
        vocab_size=VOCABULARY,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    learned = Qwen2Tokenizer()._tokenizer
    learned.train_from_iterator(list(corpus), trainer)
    state = json.loads(learned.to_str())["model"]
    return Qwen2Tokenizer(
        vocab=state["vocab"],
        merges=[tuple(merge) for merge in state["merges"]],
        eos_token="<|im_end|>",  # noqa: S106 - a token of a vocabulary
        pad_token="<|endoftext|>",  # noqa: S106
        additional_special_tokens=list(SPECIAL_TOKENS),
        chat_template=CHAT_TEMPLATE,
        model_max_length=8192,
    )


def _processor(tokenizer: Any) -> Any:
    from transformers import Qwen2VLImageProcessor, Qwen3VLProcessor, Qwen3VLVideoProcessor

    sizes = {"patch_size": 16, "temporal_patch_size": 2, "merge_size": 2}
    half = [0.5, 0.5, 0.5]
    return Qwen3VLProcessor(
        image_processor=Qwen2VLImageProcessor(**sizes, image_mean=half, image_std=half),
        tokenizer=tokenizer,
        video_processor=Qwen3VLVideoProcessor(**sizes),
        chat_template=CHAT_TEMPLATE,
    )


def _config(tokenizer: Any, head_dim: HeadDim) -> Any:
    from transformers import Qwen3VLConfig

    token = tokenizer.convert_tokens_to_ids
    hidden = 128
    return Qwen3VLConfig(
        text_config={
            "vocab_size": len(tokenizer), "hidden_size": hidden, "intermediate_size": 256, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": head_dim, "max_position_embeddings": 8192,
            # As published configs have it: transformers interleaves in any case, vLLM where the config says so.
            "rope_parameters": {
                "rope_type": "default", "rope_theta": 10_000.0, "mrope_section": SECTIONS[head_dim],
                "mrope_interleaved": True,
            },
            "pad_token_id": tokenizer.pad_token_id,
        },
        vision_config={
            "depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "patch_size": 16,
            "temporal_patch_size": 2, "spatial_merge_size": 2, "out_hidden_size": hidden,
            "num_position_embeddings": 256, "deepstack_visual_indexes": [0, 1],
        },
        image_token_id=token("<|image_pad|>"),
        video_token_id=token("<|video_pad|>"),
        vision_start_token_id=token("<|vision_start|>"),
        vision_end_token_id=token("<|vision_end|>"),
        tie_word_embeddings=False,
        **{RANDOM_WEIGHTS_KEY: True},
    )  # fmt: skip
