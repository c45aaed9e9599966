"""How many captions a second one core scores, beside the published package where it is there."""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

from fabula_workloads.recipes.audio_description.scoring.cider import Cider, DocumentFrequencies
from fabula_workloads.recipes.audio_description.scoring.ptb import tokens
from fabula_workloads.recipes.audio_description.scoring.rouge import rouge_l

WHO = ("He", "She", "Joey", "Monica", "Dr. Geller", "The man", "A woman", "Rachel's sister", "They", "The old dog")
DOES = ("walks", "looks", "smiles", "turns away", "doesn't move", "sits down", "picks up a glass", "opens the door")
WHERE = ("slowly", "in the dark hallway", "at 5 o'clock", "with a well-worn coat", ", then stops", "by the window")


def captions(count: int, seed: int) -> list[str]:
    """Sentences like those of audio description, nine words on average."""
    dice = random.Random(seed)
    return [
        f"{dice.choice(WHO)} {dice.choice(DOES)} {' '.join(dice.sample(WHERE, dice.randint(0, 3)))}.".replace(" ,", ",")
        for _ in range(count)
    ]


def ours(said: list[str], meant: list[str]) -> tuple[float, float]:
    """(CIDEr, ROUGE-L) of all, each times a hundred."""
    references = [tokens(text) for text in meant]
    scorer = Cider(DocumentFrequencies.of(references))
    weighed = [scorer.vectors(words) for words in references]
    predictions = [tokens(text) for text in said]
    cider = sum(scorer.score(scorer.vectors(a), b) for a, b in zip(predictions, weighed, strict=True))
    rouge = sum(rouge_l(a, b) for a, b in zip(predictions, references, strict=True))
    return 100 * cider / len(said), 100 * rouge / len(said)


def theirs(said: list[str], meant: list[str]) -> tuple[float, float]:
    """The same by `pycocoevalcap`, whose tokenizer is a process of Java."""
    from pycocoevalcap.cider.cider import Cider as PublishedCider
    from pycocoevalcap.rouge.rouge import Rouge
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    tokenizer = PTBTokenizer()
    predictions = tokenizer.tokenize({n: [{"caption": text}] for n, text in enumerate(said)})
    references = tokenizer.tokenize({n: [{"caption": text}] for n, text in enumerate(meant)})
    cider, _ = PublishedCider().compute_score(references, predictions)
    rouge, _ = Rouge().compute_score(references, predictions)
    return 100 * float(cider), 100 * float(rouge)


def measured(name: str, score: Callable[[list[str], list[str]], tuple[float, float]], count: int) -> None:
    """Print one row: captions are predictions and references alike."""
    said, meant = captions(count, 1), captions(count, 2)
    began, spent = time.perf_counter(), os.times()
    cider, rouge = score(said, meant)
    wall, now = time.perf_counter() - began, os.times()
    cpu = now.user + now.system + now.children_user + now.children_system
    cpu -= spent.user + spent.system + spent.children_user + spent.children_system
    print(f"{name:16} {2 * count / wall:12,.0f} {2 * count / cpu:18,.0f} {cider:14.9f} {rouge:14.9f}")


def main() -> None:
    """Entry."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000, help="pairs of captions")
    parser.add_argument("--package", type=Path, help="folder that holds pycocoevalcap, where it is not installed")
    options = parser.parse_args()
    if options.package:
        sys.path.insert(0, str(options.package))
    print(f"{'':16} {'captions/s':>12} {'captions/s of CPU':>18} {'CIDEr':>14} {'ROUGE-L':>14}")
    measured("fabula", ours, options.count)
    try:
        measured("pycocoevalcap", theirs, options.count)
    except ImportError as error:
        print(f"pycocoevalcap is not here: {error}")


if __name__ == "__main__":
    main()
