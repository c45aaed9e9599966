"""Answers that lie in files: who gave them, to which sample, and which pictures it has.

Layouts: a folder of text files for each arm (`sample_01_story_45530.txt`, or `45530-0.txt` with the seed, as a run's
own `transcripts/` has them); and the published one, a folder for each sample with `transcript_<arm>.txt` and its
pictures.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fabula_workloads.metrics.records import GivenAnswer
from fabula_workloads.samples.sample_set import EvaluationSample

_PICTURES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"})
_ARM = re.compile(r"transcript_(?P<arm>.+)\.txt")
_SEED = re.compile(r"(?P<sample>.+)-(?P<seed>[0-9]{1,9})")


@dataclass(frozen=True, slots=True)
class FoundAnswers:
    """What lies in one folder."""

    answers: list[GivenAnswer]
    pictures: dict[str, list[Path]]
    """Of each sample, in order; none where they do not lie there."""
    samples: Mapping[str, EvaluationSample] = field(default_factory=dict)
    """Samples with what people said, where that lies there as well: then metrics that read references can be had."""


AnswerReader = Callable[[Path, Callable[[str], str]], FoundAnswers]
"""A folder and what makes an answer of a file's text, to what lies there. Raises ValueError where nothing does."""
FilesReader = Callable[[Sequence[Path]], FoundAnswers | None]
"""All that was named, references among it, to answers and samples; None for what is to be read folder by folder. Raises
ValueError for what does not go together."""


def text_files(folder: Path, text_of: Callable[[str], str]) -> FoundAnswers:
    """Answers as text files, in either layout. Raises ValueError, naming what was looked for."""
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder")
    answers: list[GivenAnswer] = []
    pictures: dict[str, list[Path]] = {}
    for inner in sorted(path for path in folder.iterdir() if path.is_dir()):
        by_arm = [(path, match["arm"]) for path in sorted(inner.iterdir()) if (match := _ARM.fullmatch(path.name))]
        answers += [GivenAnswer(arm_name(arm), inner.name, 0, text_of(_read(path))) for path, arm in by_arm]
        if shown := pictures_in(inner):
            pictures[inner.name] = shown
    for path in sorted(folder.glob("*.txt")):
        sample, seed = _sample(path.stem)
        answers.append(GivenAnswer(arm_name(folder.name), sample, seed, text_of(_read(path))))
    if not answers:
        raise ValueError(
            f"{folder} has no answers: neither <sample>.txt files, nor folders of samples with transcript_<arm>.txt"
        )
    return FoundAnswers(answers, pictures)


def pictures_in(folder: Path) -> list[Path]:
    """The pictures of a sample's folder, by name."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in _PICTURES)


def arms_in(answers: Sequence[GivenAnswer]) -> list[str]:
    """The arms, in the order in which they were found."""
    return list(dict.fromkeys(answer.arm for answer in answers))


def _sample(stem: str) -> tuple[str, int]:
    """Sample and seed by a file's name."""
    match = _SEED.fullmatch(stem)
    return (match["sample"], int(match["seed"])) if match else (stem, 0)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text in UTF-8: byte {error.start}") from error


def arm_name(text: str) -> str:
    """An arm's name as a run could have it, of what a folder or file is called."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:63].strip("-") or "arm"
