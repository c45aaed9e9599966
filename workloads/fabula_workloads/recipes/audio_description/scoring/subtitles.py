"""An arm's narration as WebVTT and SRT, as players and the people who speak it read it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape

from fabula_api.recipes.audio_description.tell import AudioDescriptionEvalSpec
from fabula_workloads.recipes.audio_description.scoring.published import narrated
from fabula_workloads.report.parts import Told
from fabula_workloads.text.file_names import file_name


@dataclass(frozen=True, slots=True)
class Cue:
    """A sentence and when it is spoken, in seconds."""

    start: float
    end: float
    text: str


def unit_seconds(told: Told) -> float:
    """Seconds of one unit of the samples' times."""
    return told.spec.audio_description.unit_seconds if isinstance(told.spec, AudioDescriptionEvalSpec) else 1.0


def subtitles(told: Told) -> Mapping[str, bytes]:
    """`narration/<arm>/<film>.vtt` and `.srt`; what could not be described has no cue."""
    unit, files = unit_seconds(told), dict[str, bytes]()
    for arm in told.evaluation.arms:
        films: dict[str, list[Cue]] = {}
        for sample, said in narrated(told, arm.name):
            if said.strip():
                films.setdefault(sample.film, []).append(Cue(unit * sample.start, unit * sample.end, said))
        for film, cues in films.items():
            path = f"narration/{arm.name}/{file_name(film, 'film', longest=180)}"
            files[f"{path}.vtt"], files[f"{path}.srt"] = web_vtt(cues).encode(), srt(cues).encode()
    return files


def web_vtt(cues: Iterable[Cue]) -> str:
    """Cues by time as WebVTT, in which a sentence's own marks are escaped."""
    blocks = [f"{clock(cue.start, '.')} --> {clock(cue.end, '.')}\n{escape(_line(cue), quote=False)}\n"
              for cue in _in_time(cues)]  # fmt: skip
    return "\n".join(["WEBVTT\n", *blocks])


def srt(cues: Iterable[Cue]) -> str:
    """Cues by time as SubRip."""
    blocks = [f"{number}\n{clock(cue.start, ',')} --> {clock(cue.end, ',')}\n{_line(cue)}\n"
              for number, cue in enumerate(_in_time(cues), 1)]  # fmt: skip
    return "\n".join(blocks)


def _in_time(cues: Iterable[Cue]) -> list[Cue]:
    return sorted(cues, key=lambda cue: (cue.start, cue.end))


def _line(cue: Cue) -> str:
    """On one line: an empty line within it would end the cue."""
    return " ".join(cue.text.replace("-->", "->").split())


def clock(seconds: float, mark: str) -> str:
    """Hours, minutes, seconds and thousandths, before which `mark` stands."""
    whole = max(0, round(1000 * seconds))
    minutes, thousandths = divmod(whole, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{thousandths // 1000:02}{mark}{thousandths % 1000:03}"
