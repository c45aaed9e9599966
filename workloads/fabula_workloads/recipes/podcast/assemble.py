"""Stage `assemble`: excerpts and pictures become a dataset, which depends on nothing but their content.

Order is by sample id; no date, attempt, shard count or place goes into a part, so equal inputs give an equal digest.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from fabula_api.recipes.podcast.build import PodcastBuildSpec
from fabula_api.summary import DatasetSummary
from fabula_workloads.recipe_parts.datasets import commit_dataset
from fabula_workloads.recipe_parts.splits import validation_groups
from fabula_workloads.recipes.podcast.dataset.candidates import candidates, required_pictures
from fabula_workloads.recipes.podcast.dataset.card import card
from fabula_workloads.recipes.podcast.dataset.contact_sheet import CONTACT_SHEET, contact_sheet, shown
from fabula_workloads.recipes.podcast.dataset.figures import FIGURES, figures
from fabula_workloads.recipes.podcast.dataset.hugging_face import metadata_file, metadata_row
from fabula_workloads.recipes.podcast.dataset.samples import Picture, Sample
from fabula_workloads.recipes.podcast.details import EpisodesDetails, ExtractionDetails, PodcastDatasetDetails
from fabula_workloads.recipes.podcast.extraction.excerpt_prompt import EXCERPT_PROMPT_VERSION, excerpt_prompt_digest
from fabula_workloads.recipes.podcast.extraction.near_duplicates import THRESHOLD
from fabula_workloads.recipes.podcast.extraction.outcome import ExtractOutcome
from fabula_workloads.recipes.podcast.illustration.outcome import PictureOutcome
from fabula_workloads.recipes.podcast.prompt import PROMPT_VERSION
from fabula_workloads.runtime.artifact import add_parts, details_of
from fabula_workloads.runtime.context import StageContext, StageResult
from fabula_workloads.runtime.failures import InputInvalid
from fabula_workloads.runtime.outcomes import Outcomes
from fabula_workloads.runtime.store import Store

_ILLUSTRATE = "illustrate"


def run(context: StageContext) -> StageResult:
    """The `assemble` stage."""
    spec = context.spec_of(PodcastBuildSpec)
    illustrated = any(given.name == _ILLUSTRATE for given in context.config.inputs)
    required = required_pictures(spec, illustrated)
    drawn = context.open_input(_ILLUSTRATE) if illustrated else None
    left_out: Counter[str] = Counter()
    samples = choose(_candidates(context, spec, drawn, left_out), required, spec.target.samples, left_out)
    if not samples:
        raise InputInvalid(
            f"no sample is left: {dict(sorted(left_out.items())) or 'no episode has an excerpt'}. "
            f"{_most_frequent(context.open_input('extract'))}Look at the counts of the stages before, and at "
            "podcast.extraction.words, podcast.images.require and the source.",
            "NoSamples",
        )
    validation = validation_groups(
        (sample.podcast for sample in samples), spec.podcast.split.validation, spec.podcast.split.seed
    )
    given, ingest = context.read_artifact("ingest", "episodes")
    turns = details_of(ingest, EpisodesDetails, given.uri).turns
    with context.scratch() as scratch:
        page = card(samples, validation, left_out, turns.to_wire())
        files = _files(context, samples, validation, page, drawn, scratch)
        parts = add_parts(context.store, files)
        context.check_stop()
        num_validation = sum(sample.podcast in validation for sample in samples)
        by_images = Counter(len(sample.pictures) for sample in samples)
        splits = {"train": len(samples) - num_validation, "validation": num_validation}
        summary = DatasetSummary(samples_by_split=splits)
        counts = {"sample/ok": len(samples)} | {f"pictures/{n}": number for n, number in sorted(by_images.items())}
        if cleaned := sum(sample.cleaned for sample in samples):
            counts["sample/cleaned/ControlToken"] = cleaned
        counts |= {f"sample/skipped/{reason}": count for reason, count in sorted(left_out.items())}
    details = PodcastDatasetDetails(
        recipe=spec.recipe,
        prompt_version=PROMPT_VERSION,
        turns=turns,
        extraction=extraction_details(spec),
        splits=splits,
        samples_by_image_count={str(n): number for n, number in sorted(by_images.items())},
        near_duplicate_jaccard=THRESHOLD,
        required_images=required,
        summary=summary,
    )
    return commit_dataset(context, ingest, parts, counts, details)


def extraction_details(spec: PodcastBuildSpec) -> ExtractionDetails:
    """Who chose the excerpts, and by which words."""
    asked = spec.podcast.extraction
    if asked.provider != "bedrock":
        return ExtractionDetails(provider=asked.provider)
    return ExtractionDetails(
        provider=asked.provider,
        model=asked.model,
        prompt_version=EXCERPT_PROMPT_VERSION,
        prompt_digest=excerpt_prompt_digest(),
        min_verbatim_ratio=asked.min_verbatim_ratio,
    )


def choose(candidates: Iterable[Sample], required: int, target: int | None, left_out: Counter[str]) -> list[Sample]:
    """The first ones that have their pictures, up to the target; what is left out is counted by reason."""
    kept: list[Sample] = []
    for sample in candidates:
        if target is not None and len(kept) >= target:
            left_out["TargetReached"] += 1
        elif len(sample.pictures) < required:
            left_out["MissingPictures"] += 1
        else:
            kept.append(sample)
    return kept


def _most_frequent(extract: Store) -> str:
    """Why most episodes, and most excerpts, came to nothing in `extract`."""
    episodes, rejected = Counter[str](), Counter[str]()
    for _, outcome in Outcomes(extract, ExtractOutcome).items():
        if not outcome.ok:
            episodes[f"{outcome.outcome} for {outcome.reason}"] += 1
        rejected.update(outcome.rejected)
    told = [f"{count} episodes {what} in extract" for what, count in episodes.most_common(1)]
    told += [f"{count} excerpts rejected for {what}" for what, count in rejected.most_common(1)]
    return f"Most often: {'; '.join(told)}. " if told else ""


def _candidates(
    context: StageContext, spec: PodcastBuildSpec, drawn: Store | None, left_out: Counter[str]
) -> Iterator[Sample]:
    pictures: dict[str, Picture] = {}
    for key, outcome in Outcomes(drawn, PictureOutcome).items() if drawn is not None else ():
        if outcome.ok:
            pictures[key] = Picture(int(key.rsplit("-", 1)[1]), outcome.path, outcome.sha256)
    for sample in candidates(Outcomes(context.open_input("extract"), ExtractOutcome).items(), spec, pictures, left_out):
        context.check_stop()
        yield sample


def _files(
    context: StageContext,
    samples: list[Sample],
    validation: frozenset[str],
    readme: str,
    drawn: Store | None,
    scratch: Path,
) -> Iterator[tuple[str, bytes | Path]]:
    """(path, content) of every part, made one by one."""
    splits: dict[str, list[Sample]] = {"train": [], "validation": []}
    for done, sample in enumerate(samples, start=1):
        context.check_stop()
        splits["validation" if sample.podcast in validation else "train"].append(sample)
        yield f"{sample.folder}/excerpt.json", _pretty(sample.excerpt_json())
        for picture, path in zip(sample.pictures, sample.images, strict=True):
            assert drawn is not None
            yield path, _picture(drawn, picture)
        context.reporter.update(done=done, total=len(samples))
    for split, members in splits.items():
        records = (sample.record(split) for sample in members)
        yield f"{split}.jsonl", _lines(scratch / f"{split}.jsonl", records)
    pictured = shown(samples)
    if pictured:
        assert drawn is not None
        for split, members in splits.items():
            rows = (metadata_row(sample.record(split)) for sample in members)
            yield metadata_file(split), _lines(scratch / metadata_file(split), rows)
        yield CONTACT_SHEET, contact_sheet(pictured, validation, partial(_picture, drawn))
    yield FIGURES, figures(samples, validation)
    yield "reference.json", _array(scratch / "reference.json", (sample.reference() for sample in splits["train"]))
    yield "README.md", readme.encode()


def _lines(file: Path, records: Iterable[dict[str, Any]]) -> Path:
    with file.open("w", encoding="utf-8") as lines:
        lines.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    return file


def _array(file: Path, records: Iterable[dict[str, Any]]) -> Path:
    """A JSON array, an element a line and written one by one: thousands of dialogues need not be a string first."""
    with file.open("w", encoding="utf-8") as array:
        array.write("[")
        for number, record in enumerate(records):
            array.write(("," if number else "") + "\n" + json.dumps(record, ensure_ascii=False))
        array.write("\n]\n")
    return file


def _picture(drawn: Store, picture: Picture) -> bytes:
    data = drawn.read(picture.path)
    if hashlib.sha256(data).hexdigest() != picture.sha256:
        raise InputInvalid(
            f"{drawn.uri}/{picture.path} is not the picture that the ledger names; delete its outcome to draw it again"
        )
    return data


def _pretty(value: Any) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=1) + "\n").encode()
