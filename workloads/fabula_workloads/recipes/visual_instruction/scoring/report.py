"""What the report shows of watching: each clip as a strip of frames, and the benchmark's table with its controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fabula_api.metrics import ProfileName
from fabula_workloads.recipes.visual_instruction.answer import read_answer
from fabula_workloads.recipes.visual_instruction.evaluated import ClipSample
from fabula_workloads.recipes.visual_instruction.scoring.published import published
from fabula_workloads.recipes.visual_instruction.scoring.tables.feedback import feedback_table
from fabula_workloads.recipes.visual_instruction.scoring.tables.ovo import ovo_table
from fabula_workloads.recipes.visual_instruction.scoring.tables.streaming import streaming_table
from fabula_workloads.report.markup import Markup, join, tag, void
from fabula_workloads.report.parts import ReportParts, Section, Told
from fabula_workloads.samples.sample_set import EvaluationSample


def _asked(sample: EvaluationSample) -> Markup:
    if not isinstance(sample, ClipSample):
        return Markup("")
    told = [("Clip", f"{sample.video}, {sample.start:g} to {sample.end:g} s")]
    told += [
        ("Person" if turn.speaker == "user" else "Given as said", f"{turn.at:g} s: {turn.text}")
        for turn in sample.turns
    ]
    if sample.span is not None:
        told.append(("Belongs", f"{sample.span[0]:g} to {sample.span[1]:g} s"))
    told += [("Reference", sample.reference)] if sample.reference else []
    told += [("Right", sample.answer)] if sample.answer else []
    return tag("dl", *(tag(kind, text) for name, said in told for kind, text in (("dt", name), ("dd", said))))


def _shown(text: str) -> Markup:
    answer = read_answer(text)
    if answer is None or not answer.replies:
        return tag("p", "(silence)", class_="hint")
    return join(*(tag("p", tag("b", f"{reply.at:g} s "), reply.text) for reply in answer.replies))


def _counted(text: str) -> str:
    answer = read_answer(text)
    return "silent" if answer is None or answer.first is None else f"at {answer.first.at:g} s"


_LINE = 18


def strips(told: Told) -> Markup:
    """Each clip: its frames, those within the span framed, and below them a line an arm with its moment and words."""
    clips = [sample for sample in told.samples.values() if isinstance(sample, ClipSample)]
    return join(*(_strip(told, sample) for sample in clips))


def _strip(told: Told, sample: ClipSample) -> Markup:
    pictures = told.pictures.get(sample.id, ())
    frames = [
        tag(
            "figure",
            void("img", src=source, alt=f"second {at:g}", style="display:block;width:100%"),
            tag("figcaption", f"{at:g} s", style="font-size:12px;padding:0 4px"),
            # As wide as the time until the next one, so that the lines below it have the same seconds.
            style=f"flex:1;min-width:0;box-sizing:border-box;margin:0;border:3px solid {_border(sample, at)}",
        )
        for at, source in zip(sample.strip, pictures, strict=False)
    ]
    lines = []
    if sample.span is not None:
        start, end = sample.span
        lines.append(_line(sample, "reply belongs", start, end - start, f"{start:g} to {end:g} s", "var(--good)"))
    colours = {arm.name: f"var(--c{index % 8})" for index, arm in enumerate(told.evaluation.arms)}
    for measured in told.evaluation.answers:
        if measured.answer.sample == sample.id:
            reply = sample.reply(measured.answer.text or "")
            name, words = measured.answer.arm, reply.text if reply.at is not None else "(silence)"
            lines.append(_line(sample, name, reply.at, 0.0, words, colours[name]))
    # Where the page is narrow the strip is moved along: its frames and the lines below keep the same seconds.
    strip = tag("div", tag("div", tag("div", *frames, style="display:flex"), *lines), class_="scroll wide")
    return tag("div", tag("h3", sample.id), strip, class_="card piece")


def _border(sample: ClipSample, at: float) -> str:
    within = sample.span is not None and sample.span[0] <= at <= sample.span[1]
    return "var(--good, #2a7)" if within else "transparent"


def _line(sample: ClipSample, name: str, at: float | None, seconds: float, text: str, colour: str) -> Markup:
    """A line of time: a bar where something belongs, or a mark where something was said."""
    whole = max(sample.end - sample.start, 1e-6)
    children = []
    if at is not None:
        left = 100 * min(max((at - sample.start) / whole, 0.0), 1.0)
        wide = f"{100 * min(seconds / whole, 1.0):.2f}%" if seconds else "4px"
        children.append(
            tag(
                "span", "",
                style=f"position:absolute;left:{left:.2f}%;width:{wide};height:8px;top:5px;background:{colour}",
            )
        )  # fmt: skip
    bar = tag("div", *children, style=f"position:relative;height:{_LINE}px;border-bottom:1px solid var(--line)")
    moment = "" if at is None or seconds else f"{at:g} s: "
    return tag("div", tag("b", name), f" {moment}{text}", bar)


def _tables(told: Told) -> Markup:
    first, *others = told.evaluation.profiles
    tables = _under(told, first)
    if not tables:
        return tag("p", "No sample belongs to a benchmark.", class_="hint")
    return join(
        *tables, *(tag("details", tag("summary", f"Under {profile}"), *_under(told, profile)) for profile in others)
    )


def _under(told: Told, profile: ProfileName) -> list[Markup]:
    """The tables of the benchmarks of which there are samples."""
    made = (table(told, profile) for table in (feedback_table, streaming_table, ovo_table))
    return [table for table in made if table is not None]


def _files(told: Told) -> Mapping[str, bytes]:
    return published(told)


def sections() -> Sequence[Section]:
    """The recipe's parts of the page."""
    return (
        Section(
            "Subtasks and controls",
            "Figures by subtask, as the benchmarks have them. A control watches nothing: an arm that does not beat it "
            "has shown nothing.",
            _tables,
            figures=True,
        ),
        Section("Moments", "Frames of each clip, the span in which a reply belongs, and when each arm spoke.", strips),
    )


REPORT = ReportParts(
    item="clip",
    items="clips",
    about_items="What was to be seen, what was awaited when, and what each arm said at which second.",
    about_profiles={
        "v2": "An answer's letter is no word's first one, yes and no are words, and a question that stands twice "
        "counts once.",
        "paper-v1": "The first of the letters A to E anywhere in an answer is its choice.",
    },
    asked=_asked,
    shown=_shown,
    counted=_counted,
    sections=sections(),
    files=_files,
)
