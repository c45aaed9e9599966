"""Which samples of a split a run trains on: those that are short enough, and that can be read.

The ranks share the looking, and all come to the same answer before the first step.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from fabula_api.fine_tune_run import Training
from fabula_workloads.recipe_parts import AnySample, SampleEncoder, SampleTooLong
from fabula_workloads.runtime.failures import InputInvalid
from fabula_workloads.training.samples.dataset import Split, read_samples

TOO_LONG, UNREADABLE = "TooLong", "Unreadable"
_log = logging.getLogger("fabula.train")


@dataclass(frozen=True, slots=True)
class Usable:
    """The samples to train on, in file order, and what was left out."""

    samples: list[AnySample]
    lengths: list[int]
    """Tokens of each."""
    left_out: dict[str, int]
    """Samples by the reason why they were left out."""
    first_unreadable: str | None
    """What is wrong with the first one that cannot be read."""
    bounded: int = 0
    """Of those that are too long, how many are by the recipe's own bound, as the log says."""

    @property
    def num_left_out(self) -> int:
        return sum(self.left_out.values())

    def nothing_left(self, max_length: int) -> str:
        """Why there is no sample to train on, and what to do."""
        unreadable, too_long = self.left_out.get(UNREADABLE, 0), self.left_out.get(TOO_LONG, 0) - self.bounded
        told = [f"{too_long} have more than {max_length} tokens: raise training.maxLength"] if too_long else []
        told += [f"{self.bounded} are longer than the recipe takes, as the log says"] if self.bounded else []
        told += [f"{unreadable} cannot be read, the first since {self.first_unreadable}"] if unreadable else []
        return f"no sample of the training split can be used: {'; '.join(told) or 'it is empty'}"


def usable(folder: Path, split: Split, encoder: SampleEncoder, training: Training, kind: type[AnySample]) -> Usable:
    """The usable samples of a split; all ranks call it together.

    Raises InputInvalid naming the first sample that cannot be read, unless `training.bad_samples` is `skip`: then every
    picture is decoded here, since one that fails later could not be left out any more.
    """
    import torch.distributed as dist

    rank, world = dist.get_rank(), dist.get_world_size()
    skip = training.bad_samples == "skip"
    bad: list[str] = []
    samples = read_samples(folder, split, left_out=bad if skip else None, kind=kind)
    share = [_length(sample, encoder, skip=skip) for sample in samples[rank::world]]
    shares: list[list[int | str | None]] = [[] for _ in range(world)]
    dist.all_gather_object(shares, share)
    lengths = [shares[index % world][index // world] for index in range(len(samples))]
    kept = [(sample, length) for sample, length in zip(samples, lengths, strict=True) if isinstance(length, int)]
    unreadable = bad + [problem for problem in lengths if isinstance(problem, str)]
    fitting = [(sample, length) for sample, length in kept if length <= training.max_length]
    if rank == 0:
        for message in bad:
            _log.warning("left out: %s", message)
    too_long = len(kept) - len(fitting) + lengths.count(None)
    left_out = {TOO_LONG: too_long, UNREADABLE: len(unreadable)}
    return Usable(
        [sample for sample, _ in fitting],
        [length for _, length in fitting],
        {reason: count for reason, count in left_out.items() if count},
        unreadable[0] if unreadable else None,
        lengths.count(None),
    )


def _length(sample: AnySample, encoder: SampleEncoder, *, skip: bool) -> int | str | None:
    """Tokens of a sample; what is wrong with one that is left out since it cannot be read; None for one that the recipe
    finds too long."""
    try:
        if skip:
            encoder.check(sample)
        return encoder.length(sample)
    except SampleTooLong as error:
        _log.info("left out: %s", error)
        return None
    except InputInvalid as error:
        if not skip:
            raise
        _log.warning("left out: %s", error.message)
        return error.message
