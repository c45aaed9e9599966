"""Which excerpts may become samples, and in what order: decided by texts alone, before a picture of them is paid for.

`illustrate` draws for these, `assemble` chooses among these, so that nothing is drawn which the dataset cannot use.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from fabula_api.recipes.podcast.build import PodcastBuildSpec
from fabula_workloads.recipes.podcast.dataset.samples import Picture, Sample, samples_of
from fabula_workloads.recipes.podcast.extraction.near_duplicates import NearDuplicates
from fabula_workloads.recipes.podcast.extraction.outcome import ExtractOutcome
from fabula_workloads.runtime.failures import ConfigInvalid
from fabula_workloads.runtime.frontier import needed

Extracted = Iterable[tuple[str, ExtractOutcome]]
"""Outcomes of episodes by their ids, in order."""


def candidates(
    extracted: Extracted,
    spec: PodcastBuildSpec,
    pictures: Mapping[str, Picture] | None = None,
    left_out: Counter[str] | None = None,
) -> Iterator[Sample]:
    """Samples by episode id and excerpt, of the episodes that the target needs, without near-duplicates.

    Episodes beyond those, which an earlier target or a shard that went ahead has left in the ledger, do not count:
    whether they are there depends on more than the source.
    """
    near_duplicates = NearDuplicates()
    outcomes = (((episode, outcome), len(outcome.excerpts) if outcome.ok else 0) for episode, outcome in extracted)
    for episode, outcome in needed(outcomes, spec.excerpts_wanted()):
        for sample in samples_of(outcome, episode, pictures or {}) if outcome.ok else ():
            if not near_duplicates.seen(sample.text):
                yield sample
            elif left_out is not None:
                left_out["NearDuplicate"] += 1


def required_pictures(spec: PodcastBuildSpec, illustrated: bool) -> int:
    """Fewest pictures a sample must have: `podcast.images.require`, by default all; none where nobody draws."""
    require, per_sample = spec.podcast.images.require, spec.podcast.images.per_sample
    if not illustrated:
        if require:
            raise ConfigInvalid(
                f"podcast.images.require is {require}, but podcast.images.provider is none: no sample could have one"
            )
        return 0
    if require is not None and require > per_sample:
        raise ConfigInvalid(
            f"podcast.images.require {require} is above podcast.images.perSample {per_sample}: no sample could be kept"
        )
    return per_sample if require is None else require
