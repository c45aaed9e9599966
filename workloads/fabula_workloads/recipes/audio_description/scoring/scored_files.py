"""Narration that lies in files already, with what people said: what `fabula score` is given.

`.json`, an object of lists of sentences by film, as the published evaluation writes them (or one list), and `.txt`, a
sentence a line: the first file has the references, each other one is an arm. A `.csv` of the published check of names
has both, and who is in the cast.
"""

from __future__ import annotations

import ast
import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from fabula_workloads.metrics.answer_files import FoundAnswers, arm_name
from fabula_workloads.metrics.records import GivenAnswer
from fabula_workloads.recipes.audio_description.annotations.names import named_in
from fabula_workloads.recipes.audio_description.annotations.rows import Character
from fabula_workloads.recipes.audio_description.held_out import NarrationEvaluationSample
from fabula_workloads.text.file_names import file_name

_COLUMNS = ("text_gt", "text_gen")
Lines = Mapping[str, Sequence[str]]
"""Sentences in order, by film."""


def scored_files(paths: Sequence[Path]) -> FoundAnswers | None:
    """References and answers. Raises ValueError for files that do not go together, naming the film and its counts."""
    if any(path.is_dir() for path in paths):
        return None
    tables = [path for path in paths if path.suffix.lower() == ".csv"]
    if tables and len(tables) == len(paths):
        return _of_tables(paths)
    if tables:
        raise ValueError(f"{tables[0]} has references and answers both: give CSVs alone, or none")
    if len(paths) < 2:
        raise ValueError(
            f"{paths[0]} is one file: give the references first, then the answers of each arm; or CSVs with the "
            f"columns {' and '.join(_COLUMNS)}"
        )
    references = _lines(paths[0])
    samples = {
        (film, place): NarrationEvaluationSample(
            id=_id(film, place), reference=text, source="files", film=film, start=place, end=place, features=""
        )
        for film, sentences in references.items()
        for place, text in enumerate(sentences)
    }
    answers: list[GivenAnswer] = []
    for path in paths[1:]:
        arm, said = _arm(path, answers), _lines(path)
        for film in references.keys() | said.keys():
            meant, given = len(references.get(film, ())), len(said.get(film, ()))
            if meant != given:
                raise ValueError(f"{path}: film {film} has {given} sentences, and the references in {paths[0]} {meant}")
        answers += [
            GivenAnswer(arm, samples[film, place].id, 0, text)
            for film, sentences in said.items()
            for place, text in enumerate(sentences)
        ]
    return FoundAnswers(answers, {}, {sample.id: sample for sample in samples.values()})


def _of_tables(paths: Sequence[Path]) -> FoundAnswers:
    samples: dict[str, NarrationEvaluationSample] = {}
    answers: list[GivenAnswer] = []
    for path in paths:
        arm = _arm(path, answers)
        with path.open(newline="", encoding="utf-8-sig") as lines:
            reader = csv.DictReader(lines)
            if missing := [name for name in _COLUMNS if name not in (reader.fieldnames or ())]:
                raise ValueError(f"{path} has no column {', '.join(missing)}")
            for number, row in enumerate(reader):
                film = row.get("imdbid") or "film"
                sample = _sample(path, number, film, row)
                known = samples.setdefault(sample.id, sample)
                if known.reference != sample.reference:
                    raise ValueError(
                        f"{path}: line {number + 2} has another reference than the same line of {paths[0]}"
                    )
                answers.append(GivenAnswer(arm, sample.id, 0, row["text_gen"] or ""))
    return FoundAnswers(answers, {}, samples)


def _sample(path: Path, number: int, film: str, row: Mapping[str, str]) -> NarrationEvaluationSample:
    try:
        cast = [str(name) for name in ast.literal_eval(row.get("char_list") or "[]")]
    except (ValueError, SyntaxError, TypeError):
        raise ValueError(
            f"{path}: line {number + 2}: char_list is no list of names, such as ['Joey', 'Ross']"
        ) from None
    reference = row["text_gt"] or ""
    return NarrationEvaluationSample(
        id=_id(film, number),
        reference=reference,
        source="files",
        film=film,
        title=film,
        start=number,
        end=number,
        features="",
        characters=tuple(Character(id=name, short_name=name) for name in cast),
        named=tuple(sorted(named_in(reference, cast))),
    )


def _lines(path: Path) -> Lines:
    """Raises ValueError for what is no such file."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read as text: {error}") from None
    if path.suffix.lower() != ".json":
        return {"film": text.splitlines()}
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from None
    films = {"film": content} if isinstance(content, list) else content
    if not isinstance(films, dict) or not films:
        raise ValueError(f"{path} is neither a list of sentences nor an object of such lists by film")
    for film, sentences in films.items():
        if not isinstance(sentences, list) or not all(isinstance(sentence, str) for sentence in sentences):
            raise ValueError(f"{path}: film {film} has no list of sentences")
    return films


def _id(film: str, place: int) -> str:
    return f"{file_name(film, 'film')}-{place:06d}"


def _arm(path: Path, before: Sequence[GivenAnswer]) -> str:
    """An arm by its file's name. Raises ValueError where two are called alike."""
    name = arm_name(path.stem)
    if any(answer.arm == name for answer in before):
        raise ValueError(f"{path}: arm {name} is there twice; rename one of the files")
    return name
