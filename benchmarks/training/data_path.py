"""What a sample costs before it is trained on: ours, and the reference's, which writes each one out as text again."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from PIL import Image

from fabula_api.shared_spec import PixelWindow
from fabula_quickstart.tiny import qwen3_vl
from fabula_workloads.models.processor import load_processor
from fabula_workloads.recipe_parts import Sample
from fabula_workloads.training.samples.encode import Encoder

SAMPLES, PICTURES, REPEATS = 4, 5, 5
SIZE = (1344, 768)
TURN = "Speaker {}: The lantern by the harbour window has a rope around it, and somebody left a basket there."
PROMPT = "Look at the pictures and write a podcast dialogue about them."


def report() -> None:
    """Print milliseconds of processor time a sample: five pictures of 1344 x 768 and about 750 words."""
    response = "\n\n".join(TURN.format(1 + turn % 2) for turn in range(40))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        qwen3_vl.build(folder / "model", [PROMPT, response])
        noise = Image.effect_noise((SIZE[0] // 8, SIZE[1] // 8), 80).resize(SIZE).convert("RGB")
        paths = [f"image_{number}.png" for number in range(PICTURES)]
        for path in paths:
            noise.save(folder / path)
        processor = load_processor(folder / "model", PixelWindow())
        encoder = Encoder(processor, folder)
        samples = [Sample(id=str(n), images=paths, prompt=PROMPT, response=response) for n in range(SAMPLES)]
        ours, texts = [], []
        for _ in range(REPEATS):
            since = time.process_time()
            encoded = [encoder.encode(sample) for sample in samples]
            ours.append((time.process_time() - since) / SAMPLES)
            since = time.process_time()
            for tensors in encoded:
                _as_text(processor.tokenizer, tensors)
            texts.append((time.process_time() - since) / SAMPLES)
        tokens = len(encoded[0]["input_ids"])
    read, written = statistics.median(ours), statistics.median(texts)
    print(
        f"\ndata path, a sample of {tokens:,} tokens: ours {1000 * read:.0f} ms, the reference's writing out of ids "
        f"and labels as text {1000 * written:.0f} ms more ({100 * written / read:.1f} %)"
    )


def _as_text(tokenizer: Any, encoded: dict[str, Any]) -> None:
    tokenizer.decode(encoded["input_ids"], skip_special_tokens=False)
    labels = encoded["labels"]
    tokenizer.decode(labels.where(labels != -100, tokenizer.pad_token_id), skip_special_tokens=False)
