"""The card of a tuned model: in Hugging Face's format, and the same for the same inputs."""

from __future__ import annotations

from typing import Any

from fabula_api.details import BaseModelDetails
from fabula_api.fine_tune_run import FineTuneRunSpec
from fabula_workloads.training.launcher.model_card import model_card

DATASET = "sha256:" + "d" * 64
BASE = BaseModelDetails(digest="sha256:" + "b" * 64, name="Qwen/Qwen3-VL-32B-Instruct", revision="c" * 40)


def card(curve: list[dict[str, Any]] | None = None, **fields: Any) -> str:
    spec = FineTuneRunSpec.model_validate({"dataset": {"uri": "d"}, "model": {"name": "m"}, **fields})
    rows = [{"step": step, "loss": 4.0 / step} for step in range(1, 101)] if curve is None else curve
    return model_card(spec, BASE, dataset=DATASET, prompt_version="v3", steps=100, curve=rows)


def test_the_card_is_read_by_the_hubs_own_library() -> None:
    from huggingface_hub import ModelCard

    found = ModelCard(card())
    told = found.data.to_dict()
    assert told["base_model"] == "Qwen/Qwen3-VL-32B-Instruct"
    assert (told["library_name"], told["base_model_relation"], told["pipeline_tag"]) == (
        "peft", "adapter", "image-text-to-text",
    )  # fmt: skip
    full = ModelCard(card(training={"method": "full"})).data.to_dict()
    assert (full["library_name"], full["base_model_relation"]) == ("transformers", "finetune")


def test_it_tells_base_dataset_settings_curve_and_evaluation() -> None:
    rows = [{"step": step, "loss": 4.0 / step} for step in range(1, 101)]
    rows[61]["validationLoss"] = 0.25
    text = card(rows)
    for words in (DATASET, BASE.digest, "| prompt | v3 |", "| rank, alpha, dropout | 16, 32, 0.05 |", "q_proj, ",
                  "12544 to 451584 pixels", "| 1 | 4.0000 |", "| 62 | 0.0645 | 0.2500 |", "| 100 | 0.0400 |",
                  "Validation loss after the last step: 0.2500."):  # fmt: skip
        assert words in text, words
    assert len(text.splitlines()) < 60
    assert text == card(rows)
    assert "has no validation split" in card()
