"""The sequences themselves: pictures in order, and below them what each arm said, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fabula_workloads.metrics.answers import Measured
from fabula_workloads.metrics.evaluation import Evaluation
from fabula_workloads.metrics.profiles import PROFILES
from fabula_workloads.report.markup import Markup, badge, join, tag, void

_VIOLATIONS = {
    "Empty": "empty",
    "TextBeforeFirstLabel": "text before the first label",
    "EmptyTurn": "label without text",
    "OneTurn": "one turn only",
    "OneSpeaker": "one speaker only",
    "MentionsPictures": "mentions the pictures",
}
_NUM_SPEAKER_COLOURS = 6


def dialogues(evaluation: Evaluation, pictures: Mapping[str, Sequence[str]]) -> Markup:
    """A card for each sample. `pictures` holds each sample's thumbnails as data URIs, in order."""
    by_sample: dict[str, list[Measured]] = {sample: [] for sample in pictures}
    for measured in evaluation.answers:
        by_sample[measured.answer.sample].append(measured)
    order = {arm.name: index for index, arm in enumerate(evaluation.arms)}
    return join(
        *(
            _card(
                number,
                sample,
                pictures[sample],
                sorted(answers, key=lambda m: (order[m.answer.arm], m.answer.seed)),
                order,
            )
            for number, (sample, answers) in enumerate(by_sample.items(), 1)
        )
    )


def _card(
    number: int, sample: str, uris: Sequence[str], answers: Sequence[Measured], order: Mapping[str, int]
) -> Markup:
    several = len({m.answer.seed for m in answers}) > 1
    shown = [
        void("img", src=uri, alt=f"Picture {index} of sequence {number}", loading="lazy")
        for index, uri in enumerate(uris, 1)
    ]
    return tag(
        "article",
        tag("header", tag("h3", f"Sequence {number}"), tag("span", sample, class_="mono plain")),
        tag("div", *shown, class_="pictures"),
        tag("div", *(_answer(m, order[m.answer.arm], several) for m in answers), class_="answers"),
        class_="card sample",
    )


def _answer(measured: Measured, index: int, several: bool) -> Markup:
    answer = measured.answer
    heading = tag("h4", answer.arm + (f" · seed {answer.seed}" if several else ""))
    if answer.text is None:
        facts, body = [badge(f"not generated: {answer.reason}", "bad")], Markup("")
    else:
        facts, body = _facts(measured), tag("div", _body(answer.text), class_="dialogue", tabindex="0")
    return tag("section", tag("div", heading, *facts, class_="facts"), body, class_=f"answer a{index % 8}")


def _facts(measured: Measured) -> list[Markup]:
    answer = measured.answer
    assert answer.text is not None  # the caller shows what was not generated otherwise
    turns = PROFILES["v2"].read(answer.text).turns
    facts = []
    if not turns:
        facts.append(badge("unparseable", "bad"))
    elif measured.violation is not None:
        facts.append(badge(_VIOLATIONS[measured.violation], "warn"))
    else:
        facts.append(badge("keeps the format", "good"))
    if answer.finish == "length":
        facts.append(badge("cut at the token limit"))
    counted = (
        f"{len(turns)} turns, {sum(turn.num_words for turn in turns)} words" if turns else f"{answer.tokens} tokens"
    )
    return [*facts, tag("span", counted, class_="plain")]


def _body(text: str) -> Markup:
    """Turns with their speakers in colour; what has none is shown as it came."""
    turns = PROFILES["v2"].read(text).turns
    if not turns:
        return tag("pre", text or "(no text)")
    speakers = {name: index for index, name in enumerate(dict.fromkeys(turn.speaker for turn in turns))}
    return join(
        *(
            tag(
                "p",
                tag("b", turn.speaker.title()),
                turn.text,
                class_=f"s{speakers[turn.speaker] % _NUM_SPEAKER_COLOURS + 1}",
            )
            for turn in turns
        )
    )
