"""Stage `select`: the picture sequences that every arm gets, chosen once, copied, and freed of camera and GPS data.

Its artifact lies in a folder named by its own content: samples that changed make another one, whatever their place.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

from fabula_api.artifact import artifact_digest
from fabula_api.details import SampleSetDetails
from fabula_api.eval_run import EvalRunSpec
from fabula_api.samples import Samples
from fabula_api.status import Lineage
from fabula_workloads.pictures.opening import UnfitPicture
from fabula_workloads.runtime.artifact import add_parts, commit, part_of
from fabula_workloads.runtime.context import StageContext, StageResult
from fabula_workloads.runtime.failures import ConfigInvalid, InputInvalid, NotFound
from fabula_workloads.runtime.open_store import open_store
from fabula_workloads.runtime.store import Store, split_uri
from fabula_workloads.runtime.verified import committed
from fabula_workloads.sequences.choice import Sequence, choose
from fabula_workloads.sequences.directories import read_directories
from fabula_workloads.sequences.photo import BarePhoto, bare_photo
from fabula_workloads.sequences.vist import read_vist

KIND = "sample-set"
_log = logging.getLogger(__name__)


def run(context: StageContext) -> StageResult:
    """Choose up to `samples.count` sequences and commit them as an artifact of kind `sample-set`.

    Fewer than `count` are taken as they are: the counts and the report say how many there were. None is InputInvalid.
    """
    spec = context.config.spec
    if not isinstance(spec, EvalRunSpec):
        raise ConfigInvalid(f"stage select belongs to an EvalRun, not to a {context.config.run.kind}")
    store, sequences, tally = _read(context, spec.samples)
    with context.scratch() as scratch:
        chosen = _Choosing(context, store, tally, scratch).choose(sequences, spec.samples)
        if not chosen:
            raise InputInvalid(f"samples.uri: {store.uri} holds no usable sequence: {_why(tally)}")
        tally["sequence/ok"] = len(chosen)
        return _commit(context, spec.samples, _contents(chosen, spec.samples.count), tally)


def _commit(
    context: StageContext, samples: Samples, contents: list[tuple[str, bytes | Path]], tally: Counter[str]
) -> StageResult:
    chosen = tally["sequence/ok"]
    if chosen < samples.count:
        _log.warning("%d sequences were asked for, %d are usable: %s", samples.count, chosen, _why(tally))
    counts = {name: float(count) for name, count in sorted(tally.items())}
    context.reporter.update(done=chosen, total=chosen, counts=counts)
    named = artifact_digest(KIND, [part_of(path, content) for path, content in contents])
    place = context.store.child(named.removeprefix("sha256:")[:16])
    lineage = [Lineage(name="samples", uri=place.uri, digest=named)]
    key = context.config.key
    if (found := committed(place, (KIND,), key, context.cache, context.check_stop)) is not None:
        return replace(StageResult.reuse(found, place.uri), lineage=lineage)
    manifest = commit(
        place,
        kind=KIND,
        key=key,
        parts=add_parts(place, contents),
        counts=counts,
        lineage=[Lineage(name="samples", uri=context.resolve(samples.uri))],
        details=SampleSetDetails(format=samples.format, asked=samples.count, seed=samples.seed),
        attempt=context.config.attempt,
    )
    return StageResult(artifact=manifest, uri=place.uri, counts=counts, lineage=lineage)


@dataclass
class _Choosing:
    """Reads the photos of sequences in their seeded order until there are enough whose photos can be used."""

    context: StageContext
    store: Store
    tally: Counter[str]
    scratch: Path
    taken: dict[int, tuple[Sequence, list[Path]]] = field(default_factory=dict)
    """By its place in the order: the sequence, and its clean photos."""
    holders: dict[str, tuple[str, int]] = field(default_factory=dict)
    """By a photo's content: the id it was first met under, and where in the order."""

    def choose(self, sequences: list[Sequence], samples: Samples) -> list[tuple[Sequence, list[Path]]]:
        """The chosen sequences, in order."""
        for place, sequence in enumerate(choose(sequences, seed=samples.seed, skipped=self.tally)):
            if len(self.taken) == samples.count:
                break
            self.context.check_stop()
            if reason := self._look(place, sequence):
                self.tally[f"sequence/skipped/{reason}"] += 1
            self.context.reporter.update(done=len(self.taken), total=samples.count)
        return list(self.taken.values())

    def _look(self, place: int, sequence: Sequence) -> str | None:
        """Take the sequence, or say why not."""
        photos: list[BarePhoto] = []
        for path in sequence.pictures:
            try:
                photos.append(bare_photo(self.store.read(path)))
            except NotFound:
                return self._left_out(sequence, path, "PhotoMissing", "is not there")
            except UnfitPicture as error:
                return self._left_out(sequence, path, f"Photo{error.reason}", error.what)
            if photos[-1].flat:
                return self._left_out(sequence, path, "PhotoFlat", "is one flat colour")
        # The picture that a site shows in place of a photo it no longer has comes under the ids of many photos.
        others = [
            (path, before)
            for path, name, photo in zip(sequence.pictures, sequence.photos, photos, strict=True)
            if (before := self.holders.setdefault(photo.digest, (name, place)))[0] != name
        ]
        for path, (name, first) in others:
            self._left_out(sequence, path, "PhotoRepeated", f"is the very picture of photo {name}")
            if first in self.taken:
                del self.taken[first]
                self.tally["sequence/skipped/PhotoRepeated"] += 1
        if others:
            return "PhotoRepeated"
        files = [self.scratch / f"{place}-{number}.jpg" for number in range(1, len(photos) + 1)]
        for file, photo in zip(files, photos, strict=True):
            file.write_bytes(photo.jpeg)
        self.taken[place] = sequence, files
        return None

    def _left_out(self, sequence: Sequence, path: str, reason: str, what: str) -> str:
        _log.warning("story %s is left out (%s): %s %s", sequence.story_id, reason, path, what)
        return reason


def _contents(chosen: list[tuple[Sequence, list[Path]]], asked: int) -> list[tuple[str, bytes | Path]]:
    """The parts of the chosen sequences: their photos, and the lines of samples.jsonl."""
    contents: list[tuple[str, bytes | Path]] = []
    lines: list[str] = []
    for sequence, photos in chosen:
        sample = sequence.sample_id(len(lines) + 1, asked)
        paths = [f"pictures/{sample}/image_{number}.jpg" for number in range(1, len(photos) + 1)]
        contents += zip(paths, photos, strict=True)
        record = {"id": sample, "images": paths, **({"story": sequence.story} if sequence.story else {})}
        lines.append(json.dumps(record, ensure_ascii=False))
    return [*contents, ("samples.jsonl", ("\n".join(lines) + "\n").encode())]


def _read(context: StageContext, samples: Samples) -> tuple[Store, list[Sequence], Counter[str]]:
    uri = context.resolve(samples.uri)
    if samples.format == "directories":
        store = open_store(uri)
        return (store, *read_directories(store))
    # The annotations may be named themselves; the pictures are then looked for beside them.
    folder, name = split_uri(uri) if uri.endswith(".json") else (uri, None)
    store = open_store(folder)
    return (store, *read_vist(store, name))


def _why(tally: Counter[str]) -> str:
    skipped = [f"{count} {name.rpartition('/')[2]}" for name, count in sorted(tally.items()) if name != "sequence/ok"]
    return ", ".join(skipped) or "the source has no more"
