"""Coherence by a sentence-embedding model: a tiny BERT in sentence-transformers' layout, and its vectors by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fabula_workloads.metrics.coherence import measure_coherence
from fabula_workloads.metrics.records import GivenAnswer
from fabula_workloads.recipes.podcast.answers.form import DIALOGUE

pytestmark = pytest.mark.torch
WORDS = ["the", "red", "boat", "leaves", "a", "copper", "pan", "hangs", "over", "stove", "in", "kitchen", "gulls"]
TEXTS = ["the red boat leaves", "a copper pan hangs over the stove in the kitchen", "gulls"]


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from fabula_workloads.models.loading import RANDOM_WEIGHTS_KEY
    from fabula_workloads.models.torchvision_shim import prepare_torchvision

    prepare_torchvision()
    import torch
    from transformers import BertConfig, BertModel, BertTokenizer

    folder = tmp_path_factory.mktemp("bert")
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *dict.fromkeys(WORDS)]
    BertTokenizer(vocab={name: index for index, name in enumerate(names)}).save_pretrained(folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = BertConfig(
            vocab_size=len(names), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
            **{RANDOM_WEIGHTS_KEY: True},
        )  # fmt: skip
        model = BertModel(config, add_pooling_layer=False)
        with torch.no_grad():
            model.embeddings.word_embeddings.weight.normal_(0.0, 1.0)
    model.save_pretrained(folder)
    return folder


def opened(folder: Path, longest: int | None = None, **pooling: Any) -> Any:
    from fabula_workloads.metrics.embedding_model import EmbeddingModel

    (folder / "1_Pooling").mkdir(exist_ok=True)
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    settings = folder / "sentence_bert_config.json"
    settings.unlink(missing_ok=True)
    if longest is not None:
        settings.write_text(json.dumps({"max_seq_length": longest}))
    return EmbeddingModel(folder)


def states(folder: Path, text: str) -> np.ndarray:
    """The encoder's last states of one text, with the tokens that mark its start and end."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    row = AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")
    with torch.inference_mode():
        found: np.ndarray = AutoModel.from_pretrained(folder).eval()(**row).last_hidden_state[0].numpy()
    return found


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


@pytest.mark.parametrize("pooling", [{}, {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False},
                                     {"pooling_mode": "mean"}])  # fmt: skip
def test_a_texts_vector_is_the_mean_of_its_words_whatever_is_beside_it(bert: Path, pooling: dict[str, Any]) -> None:
    model = opened(bert, **pooling)
    assert model.random_weights
    for text, found in zip(TEXTS, model.encode(TEXTS), strict=True):
        assert np.allclose(found, unit(states(bert, text).mean(axis=0)), atol=1e-5)


@pytest.mark.parametrize("pooling", [{"pooling_mode_cls_token": True}, {"pooling_mode": "cls"}])
def test_or_the_first_tokens(bert: Path, pooling: dict[str, Any]) -> None:
    found = opened(bert, **pooling).encode(TEXTS)
    assert np.allclose(found[1], unit(states(bert, TEXTS[1])[0]), atol=1e-5)


def test_another_pooling_is_refused_and_long_texts_are_cut_where_the_folder_says(bert: Path) -> None:
    with pytest.raises(ValueError, match=r"asks for \['max_tokens'\], and only mean and cls are known"):
        opened(bert, pooling_mode_max_tokens=True)
    model = opened(bert, longest=6)
    whole, head = model.encode([TEXTS[1], " ".join(TEXTS[1].split()[:4])])
    assert np.allclose(whole, head, atol=1e-6), "four words, a start and an end"


def test_coherence_is_by_those_vectors(bert: Path) -> None:
    model = opened(bert)
    turns = [f"{TEXTS[0]}", f"{TEXTS[1]}", f"{TEXTS[0]}"]
    said = "\n".join(f"Speaker {1 + index % 2}: {turn}" for index, turn in enumerate(turns))
    answers = [GivenAnswer("arm", "x", 0, said), GivenAnswer("arm", "y", 0, "Speaker 1: gulls\nSpeaker 2: gulls")]
    found = measure_coherence(model, answers, DIALOGUE)
    one, two = (unit(states(bert, text).mean(axis=0)) for text in TEXTS[:2])
    assert found.values == {
        ("arm", "x", 0): pytest.approx(float(one @ two), abs=1e-5), ("arm", "y", 0): pytest.approx(1.0),
    }  # fmt: skip
    assert found.label == "random weights"
