"""CRITIC by a judge: a language model says whom each sentence is about, in place of a resolver of mentions.

It is asked about one sentence at a time, and shown those before it, for pronouns. References are asked about as answers
are, each once, and apart from them: who is judged must not tell who is meant.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from statistics import fmean

from fabula_api.eval_run import EvalRunSpec
from fabula_api.judges import Judge
from fabula_api.rubrics import OVERALL, Criterion, Rubric, Scale
from fabula_workloads.judging.ballots import Ballot
from fabula_workloads.judging.questions import Asked, Question, question, text_of
from fabula_workloads.judging.self_test import DAMAGED, ORIGINAL
from fabula_workloads.recipes.audio_description.annotations.names import named_in
from fabula_workloads.recipes.audio_description.held_out import NarrationEvaluationSample
from fabula_workloads.recipes.audio_description.scoring.titles import Clips, by_title, cast_of

REFERENCE = "(reference)"
"""In place of an arm; no arm can be called so."""
BEFORE = 8
"""Sentences that are shown before the one in question."""
NAMELESS = "nameless"
"""Probe: a reference that names somebody, and the same with a chair in the place of each name."""
_ABOUT = 0.5
_CHARACTER = "character-"


def ask(spec: EvalRunSpec, judge: Judge, asked: Asked) -> Iterator[Question]:
    """All questions to a judge with the rubric `critic`."""
    left = judge.probes
    for clips in by_title(sample for sample in asked.samples if isinstance(sample, NarrationEvaluationSample)):
        cast = cast_of(clips)
        if not cast:
            continue
        rubric = _rubric(cast)
        yield from _about(
            rubric, asked, clips, REFERENCE, spec.generation.seeds[0], [sample.reference for sample in clips]
        )
        for arm in spec.arms:
            for seed in spec.generation.seeds:
                said = [text_of(asked, arm.name, sample.id, seed) for sample in clips]
                yield from _about(rubric, asked, clips, arm.name, seed, said)
        probes = list(_probes(rubric, asked, clips, cast, spec.generation.seeds[0]))[: 2 * left]
        left -= len(probes) // 2
        yield from probes


def _about(
    rubric: Rubric, asked: Asked, clips: Clips, teller: str, seed: int, said: Sequence[str]
) -> Iterator[Question]:
    for place, (sample, sentence) in enumerate(zip(clips, said, strict=True)):
        if sentence.strip():
            before = [earlier for earlier in said[max(0, place - BEFORE) : place] if earlier.strip()]
            yield question(rubric, asked, sample, seed, (teller,), (_shown(sentence, before),))


def _probes(rubric: Rubric, asked: Asked, clips: Clips, cast: Sequence[str], seed: int) -> Iterator[Question]:
    for sample in clips:
        if not (names := named_in(sample.reference, cast)):
            continue
        nameless = sample.reference
        for name in sorted(names, key=len, reverse=True):
            nameless = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "a chair", nameless)
        for shown, text in ((ORIGINAL, sample.reference), (DAMAGED, nameless)):
            yield question(rubric, asked, sample, seed, (shown,), (_shown(text, ()),), NAMELESS)


def _shown(sentence: str, before: Sequence[str]) -> str:
    return "\n".join([*(" ".join(earlier.split()) for earlier in before), f">>> {' '.join(sentence.split())}"])


def _rubric(cast: Sequence[str]) -> Rubric:
    """What is asked about a sentence of a film with this cast."""
    *most, last = cast
    names = f"{', '.join(most)} and {last}" if most else last
    criteria = [
        Criterion(name=f"{_CHARACTER}{number}", about=f"1 where it is about {name}, else 0;")
        for number, name in enumerate(cast, 1)
    ]
    whole = Criterion(name=OVERALL, about="1 where it is about at least one of these characters, else 0.")
    return Rubric(
        name="critic",
        task=f"A film is described to people who cannot see it, a sentence a clip. Its characters are {names}. The "
        "answer holds the last sentences in order. Say of the one behind >>> alone whom it is about: by name, by a "
        "pronoun, or in other words. The sentences before it are there to tell whom a pronoun means. A pronoun whose "
        "person cannot be told is about nobody.",
        criteria=[*criteria, whole],
        scale=Scale(min=0, max=1),
        pictures=False,
    )


def read(ballots: Sequence[Ballot]) -> list[Ballot]:
    """A ballot for each answer whose reference is about somebody, with the overlap of both as its points; probes as
    they are."""
    probes = [ballot for ballot in ballots if ballot.probe]
    real = sorted((ballot for ballot in ballots if not ballot.probe), key=_place)
    told = {key: list(group) for key, group in groupby(real, key=_place)}
    meant = {sample: _characters(group) for (teller, sample, _), group in told.items() if teller == REFERENCE}
    overlaps = list(probes)
    for (teller, sample, seed), group in told.items():
        theirs = meant.get(sample)
        if teller == REFERENCE or not theirs:
            continue
        ours = _characters(group)
        marks = None if ours is None else {OVERALL: len(theirs & ours) / len(theirs | ours)}
        overlaps.append(Ballot(sample, seed, (teller,), marks, reason=next((ballot.reason for ballot in group), "")))
    return overlaps


def _place(ballot: Ballot) -> tuple[str, str, int]:
    return ballot.shown[0], ballot.sample, ballot.seed


def _characters(ballots: Iterable[Ballot]) -> frozenset[str] | None:
    """Those whom at least half of the tries that could be read find; None where none could be read."""
    marks = [ballot.marks for ballot in ballots if ballot.marks is not None]
    if not marks:
        return None
    names = (name for name in marks[0] if name.startswith(_CHARACTER))
    return frozenset(name for name in names if fmean(points[name] for points in marks) >= _ABOUT)
