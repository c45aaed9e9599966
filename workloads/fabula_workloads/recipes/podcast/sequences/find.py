"""The picture sequences that every arm gets: chosen once, and freed of camera and GPS data."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import Field

from fabula_workloads.pictures.opening import UnfitPicture
from fabula_workloads.recipes.podcast.sequences.choice import Sequence, choose
from fabula_workloads.recipes.podcast.sequences.directories import read_directories
from fabula_workloads.recipes.podcast.sequences.photo import BarePhoto, bare_photo
from fabula_workloads.recipes.podcast.sequences.vist import read_vist
from fabula_workloads.runtime.failures import NotFound
from fabula_workloads.runtime.open_store import open_store
from fabula_workloads.runtime.store import Store, split_uri
from fabula_workloads.samples.found import FoundSample, Search
from fabula_workloads.samples.sample_set import EvaluationSample, PartPath

_log = logging.getLogger(__name__)
Read = tuple[Store, list[Sequence], Counter[str]]


class PictureSequence(EvaluationSample):
    """Pictures in order, and the human story of them where there is one, which no metric uses."""

    images: Annotated[list[PartPath], Field(min_length=1)]
    story: str = ""


def find_vist(search: Search) -> list[FoundSample]:
    """Stories of VIST's annotations; they may be named themselves, and the pictures are then looked for beside them."""
    return _find(search, _read_vist)


def find_directories(search: Search) -> list[FoundSample]:
    """Sample folders as the reference system keeps them."""
    return _find(search, _read_directories)


def _read_vist(uri: str) -> Read:
    folder, name = split_uri(uri) if uri.endswith(".json") else (uri, None)
    store = open_store(folder)
    return store, *read_vist(store, name)


def _read_directories(uri: str) -> Read:
    store = open_store(uri)
    return store, *read_directories(store)


def _find(search: Search, read: Callable[[str], Read]) -> list[FoundSample]:
    store, sequences, tally = read(search.uri)
    search.tally.update(tally)
    chosen = _Choosing(search, store).choose(sequences)
    asked = search.spec.samples.count
    return [_sample(sequence, photos, number, asked) for number, (sequence, photos) in enumerate(chosen, 1)]


def _sample(sequence: Sequence, photos: list[Path], number: int, asked: int) -> FoundSample:
    sample = sequence.sample_id(number, asked)
    paths = [f"pictures/{sample}/image_{place}.jpg" for place in range(1, len(photos) + 1)]
    record = PictureSequence(id=sample, images=paths, story=sequence.story)
    return FoundSample(record, list(zip(paths, photos, strict=True)))


@dataclass
class _Choosing:
    """Reads the photos of sequences in their seeded order until there are enough whose photos can be used."""

    search: Search
    store: Store
    taken: dict[int, tuple[Sequence, list[Path]]] = field(default_factory=dict)
    """By its place in the order: the sequence, and its clean photos."""
    holders: dict[str, tuple[str, int]] = field(default_factory=dict)
    """By a photo's content: the id it was first met under, and where in the order."""

    def choose(self, sequences: list[Sequence]) -> list[tuple[Sequence, list[Path]]]:
        """The chosen sequences, in order."""
        context, samples, tally = self.search.context, self.search.spec.samples, self.search.tally
        for place, sequence in enumerate(choose(sequences, seed=samples.seed, skipped=tally)):
            if len(self.taken) == samples.count:
                break
            context.check_stop()
            if reason := self._look(place, sequence):
                tally[f"sequence/skipped/{reason}"] += 1
            context.reporter.update(done=len(self.taken), total=samples.count)
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
                self.search.tally["sequence/skipped/PhotoRepeated"] += 1
        if others:
            return "PhotoRepeated"
        files = [self.search.scratch / f"{place}-{number}.jpg" for number in range(1, len(photos) + 1)]
        for file, photo in zip(files, photos, strict=True):
            file.write_bytes(photo.jpeg)
        self.taken[place] = sequence, files
        return None

    def _left_out(self, sequence: Sequence, path: str, reason: str, what: str) -> str:
        _log.warning("story %s is left out (%s): %s %s", sequence.story_id, reason, path, what)
        return reason
