"""Texts and pairs a second of Fabula's metrics, beside the libraries one would use instead; each in its own process.

The CLIP has the size of ViT-B/32 and random weights. Pictures are 224 x 224, so that no way to resize is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

TEXTS, FEW_TEXTS, CAPTIONS, SAMPLES, PICTURES = 100, 10, 32, 1, 5
_WORDS = 900


def vocabulary(size: int = 5_000) -> tuple[list[str], list[float]]:
    """Invented words, and how often each is said (Zipf)."""
    dice = random.Random(0)
    syllables = ["ka", "lo", "mi", "ren", "tu", "sal", "or", "bin", "de", "vash"]
    words = list(dict.fromkeys("".join(dice.choices(syllables, k=dice.randint(1, 4))) for _ in range(4 * size)))[:size]
    return words, [1 / (rank + 1) for rank in range(len(words))]


def dialogue(seed: int) -> str:
    """A transcript of about 900 words, in sentences of about 14."""
    dice, (words, weights) = random.Random(seed), vocabulary()
    turns, said = [], 0
    while said < _WORDS:
        sentences = [dice.choices(words, weights, k=dice.randint(8, 20)) for _ in range(dice.randint(2, 5))]
        said += sum(map(len, sentences))
        turns.append(" ".join(" ".join(sentence).capitalize() + "." for sentence in sentences))
    return "\n\n".join(f"Speaker {1 + index % 2}: {turn}" for index, turn in enumerate(turns))


def caption(seed: int) -> str:
    dice, (words, weights) = random.Random(seed), vocabulary()
    return " ".join(dice.choices(words, weights, k=10))


def build(folder: Path) -> None:
    """The CLIP and the pictures."""
    from fabula_workloads.models.torchvision_shim import prepare_torchvision

    prepare_torchvision()
    import torch
    from PIL import Image
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor

    from fabula_quickstart.tiny.clip import clip_tokenizer

    tokenizer = clip_tokenizer([dialogue(seed) for seed in range(20)])
    torch.manual_seed(0)
    text = {
        "vocab_size": len(tokenizer),
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    model = CLIPModel(CLIPConfig(text_config=text))
    with torch.no_grad():  # or all texts would lie in one spot
        model.text_model.embeddings.token_embedding.weight.normal_(0.0, 1.0)
    model.eval().save_pretrained(folder / "clip")
    CLIPProcessor(image_processor=CLIPImageProcessor(), tokenizer=tokenizer).save_pretrained(folder / "clip")
    CLIPImageProcessor().save_pretrained(folder / "clip")
    for index in range(max(CAPTIONS, SAMPLES * PICTURES)):
        noise = random.Random(index).randbytes(224 * 224 * 3)
        Image.frombytes("RGB", (224, 224), noise).save(folder / f"{index:03}.png")


def ours_hdd(folder: Path) -> Any:
    from fabula_workloads.metrics.diversity import hd_d
    from fabula_workloads.metrics.reading import Reading

    texts = [dialogue(seed) for seed in range(TEXTS)]
    return TEXTS, lambda: [hd_d(Reading(text, text)) for text in texts]


def theirs_hdd(folder: Path) -> Any:
    from lexicalrichness import LexicalRichness

    from fabula_workloads.text.tokens import tokens_of

    texts = [dialogue(seed) for seed in range(FEW_TEXTS)]
    return FEW_TEXTS, lambda: [
        LexicalRichness(text, preprocessor=None, tokenizer=tokens_of).hdd(draws=42) for text in texts
    ]


def ours_texts(folder: Path) -> Any:
    """Every text metric of the podcast at once."""
    from fabula_api.asked import Asked
    from fabula_api.metrics import METRICS
    from fabula_api.recipes import asked_of
    from fabula_workloads.metrics.profiles import measure
    from fabula_workloads.recipes.podcast.answers.form import DIALOGUE

    texts = [dialogue(seed) for seed in range(TEXTS)]
    asked, metrics = asked_of("podcast", Asked(), own_prompt=False), list(METRICS.values())
    return TEXTS, lambda: [measure(DIALOGUE.read(text, "v2"), "v2", metrics, asked)["words"] for text in texts]


def ours_captions(folder: Path) -> Any:
    """One picture and one caption each."""
    from fabula_workloads.metrics.clip_model import ClipModel

    model = ClipModel(folder / "clip")
    pictures = [folder / f"{index:03}.png" for index in range(CAPTIONS)]
    texts = [caption(seed) for seed in range(CAPTIONS)]

    def run() -> list[float]:
        return (100 * (model.encode_pictures(pictures) * model.encode_passages(texts)).sum(axis=1)).tolist()

    return CAPTIONS, run


def theirs_captions(folder: Path, batch: int = 32) -> Any:
    import torch
    from torchmetrics.functional.multimodal.clip_score import _clip_score_update

    model, processor = _unwrapped(folder)
    texts = [caption(seed) for seed in range(CAPTIONS)]

    def run() -> list[float]:
        scores: list[float] = []
        with torch.inference_mode():
            for start in range(0, CAPTIONS, batch):
                of = range(start, min(start + batch, CAPTIONS))
                images = [_tensor(folder / f"{index:03}.png") for index in of]
                scores += _clip_score_update(images, [texts[index] for index in of], model, processor)[0].tolist()
        return scores

    return CAPTIONS, run


def ours_transcripts(folder: Path) -> Any:
    """Whole transcripts of two arms: every passage with every picture of its sample."""
    from fabula_workloads.metrics.clip_model import ClipModel
    from fabula_workloads.metrics.grounding import measure_grounding
    from fabula_workloads.metrics.records import GivenAnswer
    from fabula_workloads.recipes.podcast.answers.form import DIALOGUE

    model = ClipModel(folder / "clip")
    pictures = {f"s{n}": [folder / f"{n * PICTURES + k:03}.png" for k in range(PICTURES)] for n in range(SAMPLES)}
    answers = [GivenAnswer(arm, f"s{n}", 0, dialogue(2 * n + k)) for n in range(SAMPLES) for k, arm in enumerate("ab")]
    pairs = PICTURES * sum(len(_windows(model, answer.text or "")) for answer in answers)

    def run() -> list[float]:
        grounding = measure_grounding(model, "", ["v2"], answers, pictures, form=DIALOGUE)
        return [grounding.v2[answer.key].score for answer in answers]

    return pairs, run


def theirs_transcripts(folder: Path) -> Any:
    """The same passages and pictures, pair by pair, 32 at a time; the best passage of each picture, then their mean."""
    import torch
    from torchmetrics.functional.multimodal.clip_score import _clip_score_update

    from fabula_workloads.metrics.clip_model import ClipModel

    cut, (model, processor) = ClipModel(folder / "clip"), _unwrapped(folder)
    asked = []
    for number in range(SAMPLES):
        images = [_tensor(folder / f"{number * PICTURES + k:03}.png") for k in range(PICTURES)]
        asked += [(images, _windows(cut, dialogue(2 * number + k))) for k in range(2)]
    total = sum(len(images) * len(passages) for images, passages in asked)

    def run() -> list[float]:
        means = []
        with torch.inference_mode():
            for images, passages in asked:
                pairs = [(image, passage) for image in images for passage in passages]
                scores: list[float] = []
                for start in range(0, len(pairs), 32):
                    some = pairs[start : start + 32]
                    pictures, texts = map(list, zip(*some, strict=True))
                    scores += _clip_score_update(pictures, texts, model, processor)[0].tolist()
                rows = [scores[at : at + len(passages)] for at in range(0, len(scores), len(passages))]
                means.append(sum(map(max, rows)) / len(rows))
        return means

    return total, run


def _windows(model: Any, text: str) -> list[str]:
    from fabula_workloads.metrics.clip_windows import windows
    from fabula_workloads.recipes.podcast.answers.form import DIALOGUE

    return windows(DIALOGUE.read(text, "v2").passages, model.num_tokens, model.window_tokens)


def _tensor(path: Path) -> Any:
    from PIL import Image
    from torchvision.transforms.functional import pil_to_tensor

    return pil_to_tensor(Image.open(path))


def _unwrapped(folder: Path) -> tuple[Any, Any]:
    """torchmetrics 1.9.0 wants features as tensors, which transformers 5 wraps: without this it does not run at all."""
    from transformers import CLIPModel, CLIPProcessor

    class Unwrapped(CLIPModel):
        def get_image_features(self, *args: Any, **kwargs: Any) -> Any:
            return super().get_image_features(*args, **kwargs).pooler_output

        def get_text_features(self, *args: Any, **kwargs: Any) -> Any:
            return super().get_text_features(*args, **kwargs).pooler_output

    return Unwrapped.from_pretrained(folder / "clip").eval(), CLIPProcessor.from_pretrained(folder / "clip")


ROWS: tuple[tuple[str, str, Callable[[Path], Any], str, Callable[[Path], Any] | None], ...] = (
    ("HD-D", "texts", ours_hdd, "lexicalrichness 0.5.1", theirs_hdd),
    ("all text metrics of `podcast`", "texts", ours_texts, "", None),
    ("CLIPScore, a caption and a picture", "pairs", ours_captions, "torchmetrics 1.9.0", theirs_captions),
    ("CLIPScore, transcripts and their pictures", "pairs", ours_transcripts, "torchmetrics 1.9.0", theirs_transcripts),
)


def child(row: int, which: int, folder: Path) -> None:
    """Measure one side in this process by its CPU seconds, best of two after a first, and the most memory it had."""
    from fabula_workloads.models.torchvision_shim import prepare_torchvision
    from fabula_workloads.text.tokens import _tokens

    if row > 1:
        prepare_torchvision()
    count, run = (ROWS[row][2] if which == 0 else ROWS[row][4])(folder)  # type: ignore[misc]
    values, seconds = run(), []
    for _ in range(2):
        _tokens.cache_clear()  # or the second time would find the first one's words
        began = time.process_time()
        run()
        seconds.append(time.process_time() - began)
    peak = int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) // 1024  # type: ignore[index]
    print(json.dumps({"rate": count / min(seconds), "peak": peak, "values": values, "count": count}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--child", nargs=3, metavar=("ROW", "WHICH", "FOLDER"), help=argparse.SUPPRESS)
    if given := parser.parse_args().child:
        child(int(given[0]), int(given[1]), Path(given[2]))
        return
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder))
        print("| what | unit | Fabula, a second | MB | beside it | a second | MB | largest difference |")
        print("|---|---|---|---|---|---|---|---|")
        for number, (title, unit, _, other, theirs) in enumerate(ROWS):
            measured = [
                json.loads(
                    subprocess.run(
                        [sys.executable, __file__, "--child", str(number), str(which), folder],
                        check=True, stdout=subprocess.PIPE, env={**os.environ, "TRANSFORMERS_VERBOSITY": "error"},
                    ).stdout.splitlines()[-1]
                )
                for which in ([0] if theirs is None else [0, 1])
            ]  # fmt: skip
            cells = [title, unit, f"{measured[0]['rate']:,.0f}", str(measured[0]["peak"])]
            if theirs is not None:
                difference = max(abs(a - b) for a, b in zip(*(figures["values"] for figures in measured), strict=False))
                cells += [other, f"{measured[1]['rate']:,.0f}", str(measured[1]["peak"]), f"{difference:.1g}"]
            else:
                cells += ["", "", "", ""]
            print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
