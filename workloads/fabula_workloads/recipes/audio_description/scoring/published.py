"""What an evaluation found, in the layouts of the published evaluation, so that its scripts read ours.

Lines belong together by their place alone there, so each file has a line for every sample, in the samples' order; one
that could not be described has an empty sentence. Titles and casts go with the sample, never by its sentence: two films
may say the same.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence

from fabula_workloads.recipes.audio_description.held_out import NarrationEvaluationSample
from fabula_workloads.recipes.audio_description.scoring.titles import CAST, title_of
from fabula_workloads.report.parts import Told


def narrated(told: Told, arm: str) -> Iterator[tuple[NarrationEvaluationSample, str]]:
    """Each sample with what the arm said there; of several seeds, the first."""
    said: dict[str, str] = {}
    for measured in told.evaluation.answers:
        if measured.answer.arm == arm:
            said.setdefault(measured.answer.sample, measured.answer.text or "")
    for name, sample in told.samples.items():
        if isinstance(sample, NarrationEvaluationSample):
            yield sample, said.get(name, "")


def published(told: Told) -> Mapping[str, bytes]:
    """`published/<arm>/<source>_ad_output_results.json`, `..._ad_output_gts.json` and `..._critic.csv`."""
    files: dict[str, bytes] = {}
    for arm in told.evaluation.arms:
        lines = list(narrated(told, arm.name))
        for source in dict.fromkeys(sample.source for sample, _ in lines):
            of_source = [(sample, said) for sample, said in lines if sample.source == source]
            start = f"published/{arm.name}/{source}"
            files[f"{start}_ad_output_results.json"] = _by_film([(sample.film, said) for sample, said in of_source])
            files[f"{start}_ad_output_gts.json"] = _by_film(
                [(sample.film, sample.reference) for sample, _ in of_source]
            )
            files[f"{start}_critic.csv"] = _critic(of_source)
    return files


def _by_film(lines: Sequence[tuple[str, str]]) -> bytes:
    films: dict[str, list[str]] = {}
    for film, sentence in lines:
        films.setdefault(film, []).append(sentence)
    return (json.dumps(films, ensure_ascii=False, indent=1) + "\n").encode()


def _critic(lines: Sequence[tuple[NarrationEvaluationSample, str]]) -> bytes:
    casts: dict[str, dict[str, None]] = {}
    for sample, _ in lines:
        cast = casts.setdefault(title_of(sample), {})
        cast.update(
            dict.fromkeys(name for character in sample.characters if (name := character.short_name or character.role))
        )
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["imdbid", "text_gt", "text_gen", "char_list"])
    for sample, said in lines:
        title = title_of(sample)
        writer.writerow([title, sample.reference, said, repr(list(casts[title])[:CAST])])
    return buffer.getvalue().encode()
