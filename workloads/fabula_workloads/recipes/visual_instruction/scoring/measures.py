"""The recipe's metrics: figures of single answers, held against their clips."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

from fabula_api.eval_run import EvalRunSpec
from fabula_api.metrics import ProfileName
from fabula_workloads.metrics.materials import Materials
from fabula_workloads.metrics.per_answer import PerAnswer, per_answer
from fabula_workloads.metrics.records import GivenAnswer
from fabula_workloads.recipes.visual_instruction.answer import read_answer
from fabula_workloads.recipes.visual_instruction.benchmarks import ovo, streaming
from fabula_workloads.recipes.visual_instruction.benchmarks.answers import letter, published_letter
from fabula_workloads.recipes.visual_instruction.benchmarks.vispeak import MOST
from fabula_workloads.recipes.visual_instruction.evaluated import ClipSample
from fabula_workloads.recipes.visual_instruction.rubrics import FEEDBACK

_WORD = re.compile(r"[\w']+")
Measure = Callable[[ClipSample, GivenAnswer, ProfileName], float | None]


def _per_answer(name: str, given: Materials, measure: Measure) -> PerAnswer:
    def of_clip(answer: GivenAnswer, profile: ProfileName) -> float | None:
        sample = given.samples.get(answer.sample)
        return measure(sample, answer, profile) if isinstance(sample, ClipSample) else None

    return per_answer(f"visual-instruction/{name}", given, of_clip)


def time(given: Materials) -> PerAnswer:
    """Whether the reply is on time, where time counts."""
    return _per_answer(
        "time", given, lambda sample, answer, _: None if sample.span is None else float(
            sample.on_time(sample.reply(answer.text or "")))
    )  # fmt: skip


def words(given: Materials) -> PerAnswer:
    """How many words the reply shares with the reference, where there is one and no letter is asked for."""

    def measure(sample: ClipSample, answer: GivenAnswer, profile: ProfileName) -> float | None:
        if not sample.reference or sample.answer is not None:
            return None
        return shared_words(sample.reply(answer.text or "").text, sample.reference)

    return _per_answer("words", given, measure)


def shared_words(said: str, meant: str) -> float:
    """F measure of the words of two texts, in any order."""
    spoken, wanted = (Counter(_WORD.findall(text.lower())) for text in (said, meant))
    both = sum((spoken & wanted).values())
    return 2 * both / (spoken.total() + wanted.total()) if both else 0.0


def choice(sample: ClipSample, text: str, profile: ProfileName) -> bool:
    """Whether an answer names the right option."""
    chosen = published_letter(text) if profile == "paper-v1" else letter(text, sample.options)
    return chosen == (sample.answer or "").strip().upper()[:1]


def feedback(given: Materials) -> PerAnswer:
    """Time x points of each sample: their mean over a subtask is its time accuracy times its text score."""
    points = given.points.get(FEEDBACK.name, {})
    judged = bool(points) or _asks_judges(given)

    def measure(sample: ClipSample, answer: GivenAnswer, profile: ProfileName) -> float | None:
        reply = sample.reply(answer.text or "")
        if sample.bench != "feedback":
            return None
        if sample.options:
            return MOST if choice(sample, reply.text, profile) else 0.0
        if sample.span is None or not judged:
            return None  # late replies alone would make a mean of zeros that nobody judged
        if not sample.on_time(reply):
            return 0.0
        return points.get(answer.arm, {}).get(sample.id)

    return _per_answer("feedback", given, measure)


def _asks_judges(given: Materials) -> bool:
    spec = given.spec
    return isinstance(spec, EvalRunSpec) and any(judge.rubric == FEEDBACK.name for judge in spec.judges)


def right(given: Materials) -> PerAnswer:
    """Whether a question was answered right, by the rules of its benchmark."""

    def measure(sample: ClipSample, answer: GivenAnswer, profile: ProfileName) -> float | None:
        return None if sample.answer is None else float(is_right(sample, answer.text or "", profile))

    return _per_answer("right", given, measure)


def is_right(sample: ClipSample, text: str, profile: ProfileName) -> bool:
    """Whether a stored answer is right. Raises nothing: what cannot be read is wrong."""
    reply, wanted = sample.reply(text), sample.answer or ""
    if sample.bench == "ovo":
        probe = ovo.Probe(sample.subtask, sample.question, sample.end, reply.text, wanted, sample.options)
        return ovo.right(probe, profile)
    if sample.bench == "streaming":
        if sample.subtask == streaming.PROACTIVE:
            return sample.span is not None and streaming.proactive(reply, sample.span[0], wanted).right
        return streaming.right_option(reply.text, wanted, sample.subtask, profile, sample.options)
    return choice(sample, reply.text, profile)


def delay(given: Materials) -> PerAnswer:
    """Seconds from the beginning of the span to the reply."""

    def measure(sample: ClipSample, answer: GivenAnswer, profile: ProfileName) -> float | None:
        at = sample.reply(answer.text or "").at
        return None if at is None or sample.span is None else at - sample.span[0]

    return _per_answer("delay", given, measure)


def decision(given: Materials) -> PerAnswer:
    """Seconds of work from the frame or the question to the decision to speak."""

    def measure(sample: ClipSample, answer: GivenAnswer, profile: ProfileName) -> float | None:
        watched = read_answer(answer.text or "")
        return watched.first.decision_seconds if watched is not None and watched.first is not None else None

    return _per_answer("decision", given, measure)


def first_token(given: Materials) -> PerAnswer:
    """Seconds of work until the first word."""

    def measure(sample: ClipSample, answer: GivenAnswer, profile: ProfileName) -> float | None:
        watched = read_answer(answer.text or "")
        return watched.first.first_token_seconds if watched is not None and watched.first is not None else None

    return _per_answer("first-token", given, measure)


def real_time(given: Materials) -> PerAnswer:
    """Seconds of work for a second of what there was to see."""

    def measure(sample: ClipSample, answer: GivenAnswer, profile: ProfileName) -> float | None:
        # Predictions in files tell nothing of the work that they took.
        return answer.seconds / max(sample.end - sample.start, 1e-6) if answer.seconds > 0 else None

    return _per_answer("real-time", given, measure)
