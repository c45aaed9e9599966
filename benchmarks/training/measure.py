"""The stopwatch: turns over all samples by every variant, one after the other so that noise meets all alike."""

from __future__ import annotations

import gc
import math
import re
import statistics
import sys
import time
import traceback
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import data
import shapes
import torch
from variants import Variant, padding

from fabula_api.gpu_products import gpu
from fabula_workloads.models.family import FIGURES
from fabula_workloads.models.qwen3_vl.batches import Collator, PackedCollator
from fabula_workloads.models.qwen3_vl.flops import ModelFlops
from fabula_workloads.models.qwen3_vl.positions import rope_index
from fabula_workloads.training.model.loss import token_loss
from fabula_workloads.training.samples import measures

TURN_LIMIT_SECONDS = 40.0
"""A variant that has taken this long takes no further turn once it was measured."""


@dataclass
class Figures:
    """What was measured of a variant."""

    data: str
    variant: str
    padding: float
    """Share of the positions computed that hold no token."""
    tokens_per_second: float = 0.0
    samples_per_second: float = 0.0
    versus_reference: float | None = None
    spread: float = 0.0
    """Slowest turn by fastest."""
    loss: float = 0.0
    mfu: float | None = None
    memory_gib: float | None = None
    waits: int | None = None
    """Times that a pass waits for the GPU, as torch's own check counts them; without the optimizer's step."""
    missing: str | None = None
    """Why there are no figures."""


@dataclass
class _Course:
    """A variant under way."""

    variant: Variant
    batches: list[Any]
    figures: Figures
    tokens: int
    samples: int
    flops: float
    seconds: list[float] = field(default_factory=list)


class Bench:
    """One model, trained by all variants in turn."""

    def __init__(self, shape: str, device: str, *, liger: bool = False, end: float = math.inf) -> None:
        """After `end`, on the clock `time.monotonic`, nothing more is begun."""
        self._device, self._end = device, end
        self._model = shapes.model(shape, device, liger=liger)
        self._trained = [p for p in self._model.parameters() if p.requires_grad]
        self._optimizer = torch.optim.AdamW(self._trained, lr=0.0, fused=device == "cuda")
        config = self._model.config
        self._vocabulary = config.text_config.vocab_size
        self._needed = ModelFlops.of(config.to_dict(), sum(p.numel() for p in self._trained)).needed

    def measure(
        self,
        chosen: data.Data,
        variants: list[Variant],
        repeats: int,
        *,
        until: float = math.inf,
        profile: Path | None = None,
    ) -> list[Figures]:
        """A turn to warm up and `repeats` to time for each variant, of which the median counts.

        After `until` no variant takes a second one. A trace is kept of the first variant and of the fastest.
        """
        encoded = data.samples(chosen, self._vocabulary)
        labelled = sum(int((sample["labels"][1:] != -100).sum()) for sample in encoded)
        courses = [self._course(chosen, variant, encoded) for variant in variants]
        for turn in range(repeats + 1):
            for course in courses:
                if course.figures.missing:
                    continue
                if not course.seconds and time.monotonic() > self._end:
                    course.figures.missing = "no time left"
                elif not course.seconds or (
                    sum(course.seconds) < TURN_LIMIT_SECONDS and time.monotonic() < min(until, self._end)
                ):
                    self._turn(course, labelled, timed=turn > 0)
        measured = [course for course in courses if not course.figures.missing]
        for course in measured:
            self._conclude(course)
            if self._device == "cuda" and time.monotonic() < self._end:
                course.figures.waits = self._waits(course, labelled)
        if profile and measured:
            fastest = max(measured, key=lambda course: course.figures.tokens_per_second)
            for course in {id(course): course for course in (measured[0], fastest)}.values():
                self._try_profile(course, labelled, profile)
        return [course.figures for course in courses]

    def _course(self, chosen: data.Data, variant: Variant, encoded: list[data.Encoded]) -> _Course:
        packed = PackedCollator(rope_index(self._model), self._needed)
        batches = variant.batches(chosen, encoded, packed if variant.packed else Collator(0, self._needed))
        total = measures.Measures()
        for batch in batches:
            total.add(batch.pop(FIGURES))
            if self._device == "cuda":  # as the trainer's loader does
                batch |= {name: value.pin_memory() for name, value in batch.items() if isinstance(value, torch.Tensor)}
        lengths = [len(sample["input_ids"]) for sample in encoded]
        share = padding(variant.rows(chosen, lengths), lengths)
        figures = Figures(chosen.name, variant.name, share)
        return _Course(variant, batches, figures, total.tokens, total.samples, total.flops)

    def _turn(self, course: _Course, labelled: int, *, timed: bool) -> None:
        """Forward and backward over all samples, one optimizer step. What fails is noted, and spoils no other."""
        cuda = self._device == "cuda"
        if cuda:
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
        since = self._now()
        try:
            loss = self._step(course, labelled, course.batches if timed or not cuda else _telling(course.batches))
        except Exception as error:
            course.figures.missing = _why(error)
        else:
            if timed:
                course.figures.loss = loss
                course.seconds.append(self._now() - since)
        self._optimizer.zero_grad()
        if course.figures.missing:
            # What the failed pass held hangs in cycles of its graph and of the error's frames.
            gc.collect()
        if cuda:
            memory = torch.cuda.max_memory_allocated() / 1024**3
            course.figures.memory_gib = max(memory, course.figures.memory_gib or 0.0)
            if course.figures.missing:
                torch.cuda.empty_cache()

    def _step(self, course: _Course, labelled: int, batches: list[Any]) -> float:
        head = course.variant.configure(self._model, self._device)
        parts = [self._pass(batch, head, labelled) for batch in batches]
        torch.nn.utils.clip_grad_norm_(self._trained, 0.3)
        self._optimizer.step()
        return torch.stack(parts).sum().item()  # waits for the GPU

    def _now(self) -> float:
        # The processor time of this process: others on the machine take its turns, but do not count in them.
        return time.perf_counter() if self._device == "cuda" else time.process_time()

    def _pass(self, batch: dict[str, Any], head: Any, labelled: int) -> torch.Tensor:
        inputs = {
            name: value.to(self._device, non_blocking=True) if isinstance(value, torch.Tensor) else value
            for name, value in batch.items()
        }
        labels = inputs.pop("labels")
        if head is not None:
            head.labels = labels
        loss = token_loss(self._model(**inputs), labels, labelled)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def _waits(self, course: _Course, labelled: int) -> int:
        head = course.variant.configure(self._model, self._device)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                self._pass(course.batches[0], head, labelled)
            finally:
                torch.cuda.set_sync_debug_mode("default")
                self._optimizer.zero_grad()
        return sum("synchronizing" in str(warning.message) for warning in told)

    def _conclude(self, course: _Course) -> None:
        usual, figures = statistics.median(course.seconds), course.figures
        figures.tokens_per_second, figures.samples_per_second = course.tokens / usual, course.samples / usual
        figures.spread = max(course.seconds) / min(course.seconds)
        if self._device == "cuda":
            known = gpu(torch.cuda.get_device_name().replace(" ", "-"))
            if known and known.teraflops:
                figures.mfu = course.flops / usual / (known.teraflops * 1e12)

    def expandable(self) -> bool:
        """Whether the GPU's memory is taken in segments that can grow."""
        return any(segment["is_expandable"] for segment in torch.cuda.memory_snapshot())

    def _try_profile(self, course: _Course, labelled: int, folder: Path) -> None:
        """A profile that cannot be made (no rights to the GPU's counters, no memory left) costs no figures."""
        if time.monotonic() > self._end:
            return
        try:
            self._profile(course, labelled, folder)
        except Exception as error:
            print(f"no profile of {course.variant.name}: {error}", file=sys.stderr)
        finally:
            self._optimizer.zero_grad()

    def _profile(self, course: _Course, labelled: int, folder: Path) -> None:
        """A Chrome trace of one pass and its operators by time."""
        head = course.variant.configure(self._model, self._device)
        with torch.profiler.profile() as profiler:
            self._pass(course.batches[0], head, labelled)
            if self._device == "cuda":
                torch.cuda.synchronize()
        name = re.sub(r"[ ,.:]+", "-", f"{course.figures.data} {course.variant.name}")
        profiler.export_chrome_trace(str(folder / f"{name}.json.gz"))
        by = f"self_{self._device}_time_total"
        (folder / f"{name}.txt").write_text(profiler.key_averages().table(sort_by=by, row_limit=40))


def _telling(batches: list[Any]) -> list[Any]:
    """The longest pass and the first: enough to warm up a GPU, and to see what has no room."""
    return [max(batches, key=lambda batch: batch["input_ids"].numel()), batches[0]]


def _why(error: Exception) -> str:
    """What to show in place of figures. CUDA and cuBLAS have their own ways to say that memory is out."""
    said = str(error)
    if isinstance(error, torch.OutOfMemoryError) or "out of memory" in said or "ALLOC_FAILED" in said:
        return "out of memory"
    traceback.print_exception(error, file=sys.stderr)
    return f"failed: {type(error).__name__}"
