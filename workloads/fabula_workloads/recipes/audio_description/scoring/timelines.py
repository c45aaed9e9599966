"""Films along their time: how near each arm comes to what a person said, clip by clip, and who is named and missed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from fabula_workloads.recipes.audio_description.held_out import NarrationEvaluationSample
from fabula_workloads.recipes.audio_description.scoring.published import narrated
from fabula_workloads.recipes.audio_description.scoring.shown import names_line
from fabula_workloads.recipes.audio_description.scoring.subtitles import clock, unit_seconds
from fabula_workloads.report.charts import short
from fabula_workloads.report.markup import Markup, join, tag, void
from fabula_workloads.report.parts import Told

CIDER = "audio-description/cider"
FILMS, CLIPS, ENDS = 8, 60, 5
"""At most so many films, clips of one in words, and clips at either end."""
_WIDTH, _LEFT, _ROW = 1000, 110, 22
_LETTER = 7
"""Width of a letter of an arm's name."""
_FAINTEST = 0.12

Said = Mapping[str, Mapping[str, str]]
"""arm -> sample -> sentence."""


def timelines(told: Told) -> Markup:
    """Each film: a strip for each arm, darker where it is nearer to the reference, and the sentences by time."""
    films: dict[str, list[NarrationEvaluationSample]] = {}
    for sample in told.samples.values():
        if isinstance(sample, NarrationEvaluationSample):
            films.setdefault(sample.film, []).append(sample)
    said = _said(told)
    shown = [_film(told, film, sorted(clips, key=lambda sample: (sample.start, sample.id)), said)
             for film, clips in list(films.items())[:FILMS]]  # fmt: skip
    left = len(films) - len(shown)
    return join(
        *shown, tag("p", f"{left} more films; narration/ has them as subtitles.", class_="hint") if left else None
    )


def _film(told: Told, film: str, clips: Sequence[NarrationEvaluationSample], said: Said) -> Markup:
    head = tag("tr", *(tag("th", name) for name in ("Time", "Reference", *said)))
    rows = [_row(told, sample, said) for sample in clips[:CLIPS]]
    left = len(clips) - len(rows)
    more = tag("p", f"{left} more clips.", class_="hint") if left > 0 else None
    summary = tag("summary", f"{len(clips)} clips in words")
    table = tag("div", tag("table", tag("thead", head), tag("tbody", *rows)), class_="scroll")
    words = tag("details", summary, table, more)
    return tag("article", tag("h3", film), _strips(told, film, clips), words, class_="card piece")


def _strips(told: Told, film: str, clips: Sequence[NarrationEvaluationSample]) -> Markup:
    """A rectangle for each clip where it stands in the film; without a figure only its outline."""
    first, last = min(sample.start for sample in clips), max(sample.end for sample in clips)
    length, arms = max(last - first, 1e-9), told.evaluation.arms
    margin = max(_LEFT, 20 + _LETTER * max(len(short(arm.name)) for arm in arms))
    key = (told.evaluation.profile, CIDER)
    most = max((value for arm in arms for value in arm.samples.get(key, {}).values()), default=0.0) or 1.0
    parts = [f'<svg class="chart" viewBox="0 0 {_WIDTH} {_ROW * len(arms) + 18}" role="img" '
             f'aria-label="{escape(film, quote=True)} along its time">']  # fmt: skip
    for number, arm in enumerate(arms):
        top = _ROW * number
        parts.append(f'<text class="arm" x="{margin - 10}" y="{top + 15}">{escape(short(arm.name))}</text>')
        for clip in clips:
            left = margin + (clip.start - first) / length * (_WIDTH - margin)
            wide = max(1.5, (clip.end - clip.start) / length * (_WIDTH - margin) - 0.5)
            figure = arm.samples.get(key, {}).get(clip.id)
            shade = 0.0 if figure is None else _FAINTEST + (1 - _FAINTEST) * min(1.0, figure / most)
            parts.append(
                f'<rect class="c{number % 8}" x="{left:.1f}" y="{top + 2}" width="{wide:.1f}" height="{_ROW - 5}" '
                f'fill-opacity="{shade:.2f}" stroke-width=".5" stroke-opacity=".4"/>'
            )
    unit, bottom = unit_seconds(told), _ROW * len(arms) + 13
    parts.append(f'<text class="tick" x="{margin + 24}" y="{bottom}">{clock(unit * first, ".")[:8]}</text>')
    parts.append(f'<text class="tick" x="{_WIDTH - 26}" y="{bottom}">{clock(unit * last, ".")[:8]}</text></svg>')
    # Where the page is narrow the strip is moved along, for scaled down it could not be read.
    return tag("div", Markup("".join(parts)), class_="scroll wide")


def _row(told: Told, sample: NarrationEvaluationSample, said: Said) -> Markup:
    unit = unit_seconds(told)
    answers = [
        tag("td", text, names_line(sample, text)) for text in (sentences[sample.id] for sentences in said.values())
    ]
    return tag("tr", tag("td", clock(unit * sample.start, ".")[:8]), tag("td", sample.reference), *answers)


def worst_and_best(told: Told) -> Markup:
    """For each arm the clips in which it is nearest to the reference and farthest from it, by CIDEr."""
    said, key = _said(told), (told.evaluation.profile, CIDER)
    parts: list[Markup] = []
    for arm in told.evaluation.arms:
        ordered = sorted(arm.samples.get(key, {}).items(), key=lambda scored: (-scored[1], scored[0]))
        count = min(ENDS, len(ordered) // 2)
        ends = (("best", ordered[:count]), ("worst", list(reversed(ordered[len(ordered) - count :]))))
        for word, extremes in ends:
            items = [_item(told, sample, figure, said[arm.name]) for sample, figure in extremes]
            if items:
                parts.append(tag("details", tag("summary", f"{arm.name}: {word}"), *items))
    return join(*parts) if parts else tag("p", "No figure says which clips those are.", class_="hint")


def _item(told: Told, name: str, figure: float, said: Mapping[str, str]) -> Markup | None:
    sample = told.samples[name]
    if not isinstance(sample, NarrationEvaluationSample):
        return None
    pictures = [void("img", src=uri, alt=f"Picture of {name}", loading="lazy") for uri in told.pictures.get(name, ())]
    facts = [("CIDEr", f"{figure:.1f}")]
    facts += [("Before", sample.previous.text)] if sample.previous else []
    facts += [("Reference", sample.reference), ("Said", said[name])]
    lines = [tag(kind, text) for title, told_ in facts for kind, text in (("dt", title), ("dd", told_))]
    return tag(
        "article",
        tag("div", *pictures, class_="pictures") if pictures else None,
        tag("dl", *lines),
        names_line(sample, said[name]),
        class_="card piece",
    )


def _said(told: Told) -> dict[str, dict[str, str]]:
    return {arm.name: {sample.id: text for sample, text in narrated(told, arm.name)} for arm in told.evaluation.arms}
