"""Scenes drawn by a model that is loaded here."""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable

from fabula_api.counts import left
from fabula_workloads.models.model_folder import model_folder, model_label
from fabula_workloads.models.stored_files import DamagedFile, check_folder
from fabula_workloads.models.threads import limit_threads
from fabula_workloads.painting.placement import MOST_AT_ONCE
from fabula_workloads.painting.scene import Painter, Scene
from fabula_workloads.recipes.podcast.extraction.outcome import ExtractOutcome
from fabula_workloads.recipes.podcast.illustration.outcome import IMAGE, PictureOutcome
from fabula_workloads.recipes.podcast.illustration.pictures import (
    build_of,
    keep,
    picture_size,
    scenes_of,
    take_stock,
    wanted_scenes,
)
from fabula_workloads.recipes.podcast.illustration.wanted_scenes import WantedScenes
from fabula_workloads.runtime.context import StageContext, StageResult
from fabula_workloads.runtime.failures import InputInvalid
from fabula_workloads.runtime.outcomes import Outcomes, ReadOutcomes, in_round

_log = logging.getLogger(__name__)
OpenPainter = Callable[[StageContext], Painter]


def illustrate(context: StageContext, open_painter: OpenPainter) -> StageResult:
    """Draw the scenes of this shard that have no outcome yet. The painter is opened only when there are any."""
    spec, ledger = build_of(context), Outcomes(context.store, PictureOutcome)
    extracted = ReadOutcomes(Outcomes(context.open_input("extract"), ExtractOutcome), context.cache)
    images, retry = spec.podcast.images, spec.retry_failed
    wanted = wanted_scenes(context, extracted, ledger)
    outcomes, unfinished = take_stock(context, ledger, scenes_of(extracted, images), wanted)
    pending = deque(wanted.among(unfinished))
    tally, total = Counter(outcome.counted_as(IMAGE) for outcome in outcomes), len(outcomes) + len(pending)
    _report(context, tally, total)
    painter: Painter | None = None
    while batch := _next_batch(pending, images.batch_size or MOST_AT_ONCE, wanted):
        context.check_stop()
        if painter is None:
            painter = open_painter(context)
            _report(context, tally, total)  # the time left is reckoned from here on
        for scene, drawn in zip(batch, painter.draw(batch), strict=True):
            outcome = in_round(keep(context.store, scene, drawn, painter.model), retry)
            ledger.put(scene.key, outcome)
            wanted.ended(scene.key, outcome)
            tally[outcome.counted_as(IMAGE)] += 1
        _report(context, tally, total)
    if pending:
        context.check_stop()
        tally[left("illustrate", "TargetReached")] = len(pending)
    _log.info("%d scenes for this shard, %d not needed", total, len(pending))
    return StageResult(counts={name: float(count) for name, count in sorted(tally.items())})


def _next_batch(pending: deque[Scene], size: int, wanted: WantedScenes) -> list[Scene]:
    """The next scenes that are needed, taken from `pending`; none when those left are not."""
    batch: list[Scene] = []
    while pending and len(batch) < size and wanted.admit(pending[0], wait=not batch):
        batch.append(pending.popleft())
    return batch


def open_painter(context: StageContext) -> Painter:
    """The painter that `podcast.images.provider` names, with its model loaded."""
    images = build_of(context).podcast.images
    folder = model_folder(context, images.model, "podcast.images.model", "imageModel")
    from fabula_workloads.painting.diffusers_painter import DiffusersPainter

    limit_threads(images.resources, context.config.shards)
    model = model_label(images.model)
    _log.info("loading %s on %s", model, images.device)
    width, height = picture_size(images)
    try:
        check_folder(folder, below=True)
        return DiffusersPainter(
            folder,
            model=model,
            device=images.device,
            steps=images.steps,
            guidance_scale=images.guidance_scale,
            pixels=width * height,
            at_once=images.batch_size,
            offload=images.offload,
            compiled=images.compile,
        )
    except (OSError, ValueError, DamagedFile) as error:
        raise InputInvalid(f"podcast.images.model: {model} is not a Stable Diffusion 3 pipeline: {error}") from error


def _report(context: StageContext, tally: Counter[str], total: int) -> None:
    failed = tally.total() - tally[f"{IMAGE}/ok"]
    context.reporter.update(done=tally.total(), total=total, failed=failed, counts=dict(tally))
