"""What a judge is asked: pairs of answers or single ones, and probes. Each question has an id made of its content, so
that a verdict is never taken for one on other texts, and is found again whoever asks.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter

from fabula_api.artifact import digest_of
from fabula_api.eval_run import EvalRunSpec
from fabula_api.judges import Judge
from fabula_api.judging import judged_arms, pairs_of, rubric_of
from fabula_api.rubrics import Rubric
from fabula_workloads.judging.ballots import Ballot
from fabula_workloads.judging.self_test import DAMAGED, ORIGINAL, PADDED, SCRAMBLED
from fabula_workloads.metrics.records import Key
from fabula_workloads.samples.sample_set import EvaluationSample

_LABEL_CHARACTERS = 30
_FEWEST_WORDS = 4


@dataclass(frozen=True, slots=True)
class Question:
    """One item of a judge's work, asked in both orders where it has two answers."""

    id: str
    sample: str
    seed: int
    shown: tuple[str, ...]
    """Whose answers they are, by the names of the arms; of a probe, what was done to them."""
    texts: tuple[str, ...]
    """The answers, as the judge sees them."""
    pictures: tuple[str, ...] = ()
    """Paths below the sample set."""
    reference: str = ""
    probe: str = ""
    rubric: Rubric | None = None
    """What is asked of this sample, where its recipe has words of its own for it."""

    def call_belongs(self, call: str) -> bool:
        """Whether a paid call was made for it."""
        return item_of_call(call) == self.id


def item_of_call(call: str) -> str:
    """Id of the question that a call was made for."""
    return call.rsplit("-", 2)[0]


@dataclass(frozen=True, slots=True)
class Asked:
    """What questions are made of, beside the spec."""

    samples: Sequence[EvaluationSample]
    answers: Mapping[Key, str | None]
    """By (arm, sample, seed); None where there is none."""
    blind: Callable[[str], str]
    """An answer without anything that tells whose it is."""
    content: Mapping[str, str]
    """Hash of each picture, by its path."""
    own_questions: OwnQuestions | None = None
    """How the judge's rubric is asked, where its recipe has a way of its own."""


@dataclass(frozen=True, slots=True)
class OwnQuestions:
    """How a recipe asks by a rubric that is no points for each answer by itself."""

    ask: Callable[[EvalRunSpec, Judge, Asked], Iterable[Question]]
    """All questions, probes among them."""
    read: Callable[[Sequence[Ballot]], Sequence[Ballot]]
    """The points of answers, from the marks of all questions; ballots of probes stay as they are."""


def questions(spec: EvalRunSpec, judge: Judge, asked: Asked) -> list[Question]:
    """All questions to a judge, probes among them, in one order whoever asks."""
    rubric = rubric_of(spec, judge)
    if asked.own_questions is not None:
        every = list(asked.own_questions.ask(spec, judge, asked))
    else:
        every = [*_questions(spec, judge, rubric, asked), *_probes(spec, judge, rubric, asked)]
    return sorted(every, key=attrgetter("id"))


def _questions(spec: EvalRunSpec, judge: Judge, rubric: Rubric, asked: Asked) -> Iterator[Question]:
    groups = [(name,) for name in judged_arms(spec, judge)] if rubric.scale else pairs_of(spec, judge)
    for sample in asked.samples:
        for seed in spec.generation.seeds:
            for shown in groups:
                texts = tuple(text_of(asked, arm, sample.id, seed) for arm in shown)
                asked_by = _rubric(rubric, asked, sample, shown, seed) if all(texts) else None
                if asked_by is not None:
                    yield question(asked_by, asked, sample, seed, shown, texts)


def _probes(spec: EvalRunSpec, judge: Judge, rubric: Rubric, asked: Asked) -> Iterator[Question]:
    """Pairs of which everybody knows the better one, made of the arms' own answers in turn."""
    arms, left, seed = judged_arms(spec, judge), judge.probes, spec.generation.seeds[0]
    for number, sample in enumerate(asked.samples):
        turn = number % max(1, len(arms))
        probed = _probed(rubric, asked, sample, [*arms[turn:], *arms[:turn]], seed) if left else None
        if probed is None:
            continue
        text, asked_by = probed
        left -= 1
        damaged = {SCRAMBLED: scrambled(text, sample.id)}
        if rubric.scale is None:
            damaged[PADDED] = f"{text}\n\n{text}"
        for probe, worse in damaged.items():
            if rubric.scale is None:
                yield question(asked_by, asked, sample, seed, (ORIGINAL, DAMAGED), (text, worse), probe)
            else:
                yield question(asked_by, asked, sample, seed, (ORIGINAL,), (text,), probe)
                yield question(asked_by, asked, sample, seed, (DAMAGED,), (worse,), probe)


def _probed(
    rubric: Rubric, asked: Asked, sample: EvaluationSample, arms: Sequence[str], seed: int
) -> tuple[str, Rubric] | None:
    """The first of these arms' answers that a judge can be tried on, and what is asked of it; None where there is none:
    an arm may have said nothing that is judged."""
    for arm in arms:
        text = text_of(asked, arm, sample.id, seed)
        asked_by = _rubric(rubric, asked, sample, (arm,), seed) if len(text.split()) >= _FEWEST_WORDS else None
        if asked_by is not None:
            return text, asked_by
    return None


def _rubric(rubric: Rubric, asked: Asked, sample: EvaluationSample, shown: tuple[str, ...], seed: int) -> Rubric | None:
    """What is asked of these arms' answers to a sample; None where nothing is."""
    return sample.asked_by(rubric, [asked.answers.get((arm, sample.id, seed)) or "" for arm in shown])


def text_of(asked: Asked, arm: str, sample: str, seed: int) -> str:
    """An answer as judges see it; empty where there is none."""
    answer = asked.answers.get((arm, sample, seed))
    return asked.blind(answer) if answer else ""


def question(
    rubric: Rubric,
    asked: Asked,
    sample: EvaluationSample,
    seed: int,
    shown: tuple[str, ...],
    texts: tuple[str, ...],
    probe: str = "",
) -> Question:
    """A question about a sample, with an id of its content."""
    pictures = tuple(sample.images) if rubric.pictures else ()
    reference = sample.reference if rubric.reference else ""
    hashes = [asked.content[path] for path in pictures]
    content = [rubric.model_dump(mode="json"), shown, texts, hashes, reference, probe]
    digest = digest_of(content).removeprefix("sha256:")[:12]
    name = f"{sample.id[:100]}-{seed}-{digest}"
    return Question(name, sample.id, seed, shown, texts, pictures, reference, probe, rubric)


def scrambled(text: str, seed: str) -> str:
    """The text with its words in disorder; labels, lines and their lengths stay."""
    lines = [_cut(line) for line in text.split("\n")]
    words = [word for _, said in lines for word in said]
    random.Random(seed).shuffle(words)  # noqa: S311 - nothing is kept secret
    left = iter(words)
    return "\n".join((label + " ".join(next(left) for _ in said)).rstrip() for label, said in lines)


def _cut(line: str) -> tuple[str, list[str]]:
    label, colon, said = line.partition(": ")
    return (label + colon, said.split()) if colon and len(label) <= _LABEL_CHARACTERS else ("", line.split())
