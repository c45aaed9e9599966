"""A tiny Stable Diffusion 3 pipeline: every part of the real one, with random weights, for the production call.

It draws noise with the colours of noise; what it proves is that the drawing stage loads, draws, checks and stores.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fabula_quickstart.tiny.clip import CONTEXT, clip_tokenizer
from fabula_workloads.models.library_logs import quiet_diffusers
from fabula_workloads.models.loading import RANDOM_WEIGHTS_KEY
from fabula_workloads.models.torchvision_shim import prepare_torchvision

SEED = 0
_WORDS = ("a photograph of a kitchen, a harbour and a repair shop in the morning light",)


def build(path: Path) -> None:
    """Write the pipeline's folder to `path`, to be read by `StableDiffusion3Pipeline.from_pretrained(path)`.

    Same files every time; about 2 MB in a few seconds.
    """
    prepare_torchvision()
    quiet_diffusers()
    import torch
    from diffusers import (
        AutoencoderKL,
        FlowMatchEulerDiscreteScheduler,
        SD3Transformer2DModel,
        StableDiffusion3Pipeline,
    )

    tokenizer = clip_tokenizer(_WORDS)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        pipeline = StableDiffusion3Pipeline(
            transformer=SD3Transformer2DModel(
                sample_size=32, patch_size=2, in_channels=4, out_channels=4, num_layers=1, attention_head_dim=8,
                num_attention_heads=4, joint_attention_dim=32, caption_projection_dim=32, pooled_projection_dim=64,
                pos_embed_max_size=96,
            ),
            scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
            vae=AutoencoderKL(
                in_channels=3, out_channels=3, latent_channels=4, block_out_channels=(8, 8, 8, 8), norm_num_groups=4,
                layers_per_block=1, sample_size=32, use_quant_conv=False, use_post_quant_conv=False,
                down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
                shift_factor=0.0609, scaling_factor=1.5035,
            ),
            text_encoder=_clip_text(tokenizer),
            tokenizer=tokenizer,
            text_encoder_2=_clip_text(tokenizer),
            tokenizer_2=tokenizer,
            # The T5 stays: a folder saved without it does not reload by the production call.
            text_encoder_3=_t5(),
            tokenizer_3=_t5_tokenizer(),
        )  # fmt: skip
    pipeline.save_pretrained(path)
    index = path / "model_index.json"
    index.write_text(json.dumps({**json.loads(index.read_text()), RANDOM_WEIGHTS_KEY: True}, indent=2) + "\n")


def _clip_text(tokenizer: Any) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection

    return CLIPTextModelWithProjection(
        CLIPTextConfig(
            vocab_size=len(tokenizer), hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
            max_position_embeddings=CONTEXT, projection_dim=32, bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
        )
    )  # fmt: skip


def _t5() -> Any:
    from transformers import T5Config, T5EncoderModel

    return T5EncoderModel(
        T5Config(vocab_size=64, d_model=32, d_kv=8, d_ff=64, num_layers=1, num_heads=4, feed_forward_proj="gated-gelu")
    )


def _t5_tokenizer() -> Any:
    """A unigram tokenizer of single letters, which is all that random weights can use."""
    from transformers import T5Tokenizer

    letters = [(letter, -3.0) for letter in "▁abcdefghijklmnopqrstuvwxyz,.'-"]
    vocabulary = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *letters]
    return T5Tokenizer(vocab=vocabulary, extra_ids=0, model_max_length=CONTEXT)
