"""The metrics of narration, and what judges are asked about it."""

from __future__ import annotations

from typing import ClassVar

from fabula_api.metrics.record import Definition, Metric
from fabula_api.rubrics import Criterion, Rubric, Scale

_SCORING = "fabula_workloads.recipes.audio_description.scoring"
NEIGHBOURS, CRITIC_METRIC = "audio-description/neighbours", "audio-description/critic"
"""Those for which the clips of a film belong together."""

METRICS = (
    Metric(
        name="audio-description/cider",
        title="CIDEr",
        unit="100 x CIDEr-D of a sentence, by word groups that few references have",
        shown=".1f",
        better="higher",
        over="evaluation",
        definitions={
            "v2": Definition("Penn Treebank words without any bracket", f"{_SCORING}.sentences:cider"),
            "paper-v1": Definition("Penn Treebank words, round brackets among them", f"{_SCORING}.sentences:cider"),
        },
        column="Cider",
        place=10,
    ),
    Metric(
        name="audio-description/rouge-l",
        title="ROUGE-L",
        unit="100 x F measure of the longest common sequence of words",
        shown=".1f",
        better="higher",
        over="evaluation",
        definitions={
            "v2": Definition("Penn Treebank words without any bracket", f"{_SCORING}.sentences:rouge"),
            "paper-v1": Definition("Penn Treebank words, round brackets among them", f"{_SCORING}.sentences:rouge"),
        },
        column="Rouge_L",
        place=20,
    ),
    Metric(
        name="audio-description/name-precision",
        title="Name precision",
        unit="share of the characters named that the reference names",
        shown=".3f",
        better="higher",
        over="evaluation",
        definitions={"v2": Definition("names of the clip's characters, as whole words", f"{_SCORING}.names:precision")},
        place=30,
    ),
    Metric(
        name="audio-description/name-recall",
        title="Name recall",
        unit="share of the reference's characters that are named",
        shown=".3f",
        better="higher",
        over="evaluation",
        definitions={"v2": Definition("names of the clip's characters, as whole words", f"{_SCORING}.names:recall")},
        headline=True,
        place=40,
    ),
    Metric(
        name="audio-description/words-per-minute",
        title="Pace",
        unit="words a minute, spoken within the clip's time",
        shown=".0f",
        over="evaluation",
        definitions={"v2": Definition("words of the answer in the time of its clip", f"{_SCORING}.pace:pace")},
        place=50,
    ),
    Metric(
        name=NEIGHBOURS,
        title="R@k/N",
        unit="share of windows of N clips in which an answer's own reference is among the k most like it",
        shown=".3f",
        better="higher",
        over="evaluation",
        definitions={
            "v2": Definition("windows over all clips of a film, BERTScore", f"{_SCORING}.context:neighbours"),
            "paper-v1": Definition("whole windows only, every N/2 clips", f"{_SCORING}.context:neighbours"),
        },
        by_default=False,
        place=60,
    ),
    Metric(
        name=CRITIC_METRIC,
        title="CRITIC",
        unit="overlap of the characters that answer and reference are about, pronouns resolved",
        shown=".3f",
        better="higher",
        over="evaluation",
        definitions={
            "v2": Definition(
                "mean over answers; mentions by a judge with the rubric critic, or by F-COREF",
                f"{_SCORING}.context:critic",
            )
        },
        by_default=False,
        place=70,
    ),
)
LLM_AD_EVAL = Rubric(
    name="llm-ad-eval",
    task="Each answer is one sentence of audio description for a short film clip, spoken to people who cannot see it. "
    "Compare it with the reference description of the same clip and say how far it tells the same. What counts is what "
    "can be seen: actions, objects, who does what to whom. A synonym is as good as the word itself. A pronoun, or "
    "another name for a character, is no mistake. What is specific and "
    "right is worth more than what is general.",
    criteria=[Criterion(name="events", about="Its verbs and nouns tell the main events of the reference.")],
    scale=Scale(min=0, max=5),
    pictures=False,
    reference=True,
)
"""As the published judge is asked, in our words. A reply that cannot be read is asked for again and then counted apart,
where the published one drew at temperature 1 and took such a reply for no points; `temperature: 0` makes it greedy."""


class CharactersRubric(Rubric):
    """Of a sentence, whom it is about."""

    of_references: ClassVar[bool] = True


CRITIC = CharactersRubric(
    name="critic",
    task="Whom is a sentence of audio description about? A judge is shown the cast of the film, the sentences before "
    "and the one in question, and says of each character whether it is about that one, be it by name, by a pronoun or "
    "in other words. It is asked so of references and of answers, apart from each other; an answer's points are how "
    "far its characters are those of its reference (intersection over union).",
    scale=Scale(min=0, max=1),
    pictures=False,
)
"""CRITIC by a language model in place of a resolver of mentions. The words that a judge is sent are made for each film,
for its cast is in them."""
