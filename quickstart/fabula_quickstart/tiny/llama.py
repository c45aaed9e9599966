"""A tiny LLaMA: the real architecture and tokenizer class, two layers, small enough to train on a laptop's CPU.

Its weights are random, and wide, as those of the tiny Qwen3-VL are: what is trained beside a frozen model can only
combine what its layers compute.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fabula_workloads.models.library_logs import quiet_libraries
from fabula_workloads.models.loading import RANDOM_WEIGHTS_KEY
from fabula_workloads.models.torchvision_shim import prepare_torchvision

BEGIN, END = "<s>", "</s>"
HIDDEN = 64
EMBEDDING_STD, LAYER_STD, HEAD_STD = 0.5, 0.12, 0.15
SEED = 0


def build(path: Path, corpus: Iterable[str]) -> None:
    """Write the model and its tokenizer, which knows the words of `corpus`. The same corpus gives the same files."""
    prepare_torchvision()
    quiet_libraries()
    import torch
    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

    path.mkdir(parents=True, exist_ok=True)
    tokenizer = word_tokenizer(corpus)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=HIDDEN, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=4, max_position_embeddings=512, tie_word_embeddings=False,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
        **{RANDOM_WEIGHTS_KEY: True},
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        model = LlamaForCausalLM(config)
        with torch.no_grad():
            for layer in model.model.modules():
                if isinstance(layer, torch.nn.Linear):
                    layer.weight.normal_(0.0, LAYER_STD)
            model.get_input_embeddings().weight.normal_(0.0, EMBEDDING_STD)
            model.get_output_embeddings().weight.normal_(0.0, HEAD_STD)
    model.generation_config = GenerationConfig(
        bos_token_id=config.bos_token_id, eos_token_id=config.eos_token_id, pad_token_id=config.pad_token_id
    )
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)


def word_tokenizer(corpus: Iterable[str]) -> Any:
    """A byte-pair tokenizer of the class that LLaMA 3 has, whose merges are learned from `corpus`."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    learned = Tokenizer(models.BPE())
    learned.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    learned.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=768, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), special_tokens=[BEGIN, END],
        show_progress=False,
    )  # fmt: skip
    learned.train_from_iterator(list(corpus), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=learned, bos_token=BEGIN, eos_token=END, pad_token=END, model_max_length=512
    )
