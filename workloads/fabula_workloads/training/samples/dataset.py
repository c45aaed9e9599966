"""Reading of a dataset artifact's samples, strictly: a bad line stops the run with its name and is never replaced."""

from __future__ import annotations

import codecs
import json
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import ValidationError

from fabula_api.fine_tune_run import FineTuneRunSpec
from fabula_api.training_fit import too_few
from fabula_api.uri import path_problem
from fabula_workloads.recipe_parts import AnySample, Sample, parts_of
from fabula_workloads.runtime.failures import InputInvalid
from fabula_workloads.runtime.termination import validation_lines
from fabula_workloads.samples.found import Search, fair_draw

Split = Literal["train", "validation"]
S = TypeVar("S", bound=AnySample)
_CHAT: Any = Sample
SPLITS: tuple[Split, ...] = ("train", "validation")


def read_samples(folder: Path, split: Split, left_out: list[str] | None = None, kind: type[S] = _CHAT) -> list[S]:
    """The samples of a split, in file order, as the recipe's `kind` of them. A split without a file is empty.

    Raises InputInvalid naming file, line and sample for what is not a sample, is there twice or points outside; given
    `left_out`, such a line is left out and what is wrong with it added there.
    """
    file = folder / f"{split}.jsonl"
    samples: list[S] = []
    seen: set[str] = set()
    if not file.exists():
        return samples
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if number == 1:
                line = line.removeprefix(codecs.BOM_UTF8)
            if not line.strip():
                continue
            try:
                sample = _parse(line, f"{file.name} line {number}", kind)
                if sample.id in seen:
                    raise InputInvalid(f"{file.name} line {number}: sample {sample.id} is there twice")
            except InputInvalid as error:
                if left_out is None:
                    raise
                left_out.append(error.message)
                continue
            seen.add(sample.id)
            samples.append(sample)
    return samples


def drawn_from_validation(search: Search, kind: type[S], field: str) -> tuple[Path, list[S]]:
    """The folder of the dataset that an evaluation names, and a fair draw of its validation split, at most
    `samples.count`. Raises InputInvalid where it held nothing out; `field` is the share of a build that does."""
    store, manifest = search.artifact("dataset")
    folder = search.context.fetch_artifact(store, manifest)
    samples = read_samples(folder, "validation", kind=kind)
    if not samples:
        raise InputInvalid(
            f"samples: the dataset {store.uri} held nothing out; build it with {field} above 0, or with a source whose "
            "split is validation"
        )
    asked = search.spec.samples
    return folder, fair_draw(samples, asked.count, asked.seed, lambda sample: sample.id)


def check_samples(folder: Path, spec: FineTuneRunSpec, name: str) -> None:
    """Look at every line and picture's place before ranks start. `name` is what an error calls the dataset.

    Raises InputInvalid for a bad line, a picture that is not there, an empty training split, and for one that is
    smaller than what all ranks take in one pass.
    """
    skip, kind = spec.training.bad_samples == "skip", parts_of(spec.recipe).sample
    for split in SPLITS:
        bad: list[str] = []
        samples = read_samples(folder, split, left_out=bad if skip else None, kind=kind)
        for sample in samples if not skip else ():
            if lost := next((path for path in sample.files if not (folder / path).is_file()), None):
                raise InputInvalid(f"sample {sample.id}: {lost} is not in the dataset {name}")
        if split == "train" and bad and not samples:
            raise InputInvalid(
                f"dataset: {name}: none of the {len(bad)} lines of {split}.jsonl is a sample; first: {bad[0]}"
            )
        if split == "train" and not samples:
            raise InputInvalid(f"dataset: {name} has an empty training split; build a larger one, or leave less "
                               "of it to validation")  # fmt: skip
        # How many sequences packing makes is known once their lengths are.
        if split == "train" and not spec.training.packing and (problem := too_few(spec, len(samples))):
            raise InputInvalid(problem)


def _parse(line: bytes, where: str, kind: type[S]) -> S:
    try:
        record: Any = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise InputInvalid(
            f"{where} is not UTF-8 (byte {error.start + 1} of the line); save the file as UTF-8"
        ) from None
    except (ValueError, RecursionError) as error:
        hint = "; write one object a line, not one array" if line.lstrip().startswith(b"[") else ""
        what = error if isinstance(error, ValueError) else "it is nested too deeply"
        raise InputInvalid(f"{where} is not JSON: {what}{hint}") from None
    try:
        sample = kind.model_validate(record)
    except ValidationError as error:
        name = record.get("id", "without id") if isinstance(record, dict) else "without id"
        raise InputInvalid(f"{where} (sample {name}): {'; '.join(validation_lines(error))}") from None
    for path in sample.files:
        if problem := path_problem(path):
            raise InputInvalid(f"{where} (sample {sample.id}): {path!r} points outside the artifact: {problem}")
    return sample
