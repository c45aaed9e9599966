"""Stage `illustrate`: a picture for each scene that was found, checked, stored, and recorded with where it came from.

A scene's outcome is in the ledger before the next scene is drawn, so a restarted shard draws nothing twice.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Any

from fabula_api.dataset_build import DatasetBuildSpec, Images
from fabula_workloads.models.stored_files import DamagedFile, check_folder
from fabula_workloads.painting.png import flaw_of
from fabula_workloads.painting.scene import (
    Painter,
    Picture,
    Refusal,
    Scene,
    height_of,
    once_more,
    picture_path,
    scene_seed,
)
from fabula_workloads.painting.sizes import BEDROCK_SIZES
from fabula_workloads.painting.style import STYLE_VERSION, full_prompt, prompt_digest
from fabula_workloads.recipes.podcast.candidates import candidates
from fabula_workloads.runtime.context import StageContext, StageResult
from fabula_workloads.runtime.failures import ConfigInvalid, InputInvalid
from fabula_workloads.runtime.ledger import Ledger, in_round, is_finished, own_items
from fabula_workloads.runtime.store import Store
from fabula_workloads.stages.model_folder import model_folder, model_label
from fabula_workloads.stages.threads import limit_threads
from fabula_workloads.stages.wanted_scenes import WantedScenes

_log = logging.getLogger(__name__)
OpenPainter = Callable[[StageContext], Painter]


def run(context: StageContext) -> StageResult:
    """Draw this shard's scenes."""
    if images_of(context).provider == "bedrock":
        from fabula_workloads.stages.illustrate_paid import illustrate_paid  # boto3 only where it is used

        return illustrate_paid(context)
    return illustrate(context, open_painter)


def illustrate(context: StageContext, open_painter: OpenPainter) -> StageResult:
    """Draw the scenes of this shard that have no outcome yet. The painter is opened only when there are any."""
    spec, extract, ledger = build_of(context), context.open_input("extract"), Ledger(context.store)
    images, retry = spec.images, spec.retry_failed
    wanted = wanted_scenes(context, extract, ledger)
    outcomes, unfinished = take_stock(context, ledger, scenes_of(extract, images), wanted)
    pending = deque(wanted.among(unfinished))
    tally, total = Counter(map(count_name, outcomes)), len(outcomes) + len(pending)
    _report(context, tally, total)
    painter: Painter | None = None
    while batch := _next_batch(pending, images.batch_size, wanted):
        context.check_stop()
        painter = painter or open_painter(context)
        for scene, drawn in zip(batch, painter.draw(batch), strict=True):
            outcome = in_round(keep(context.store, scene, drawn, painter.model), retry)
            ledger.put(scene.key, outcome)
            wanted.ended(scene.key, outcome)
            tally[count_name(outcome)] += 1
        _report(context, tally, total)
    if pending:
        context.check_stop()
        tally["illustrate/left/TargetReached"] = len(pending)
    _log.info("%d scenes for this shard, %d not needed", total, len(pending))
    return StageResult(counts={name: float(count) for name, count in sorted(tally.items())})


def _next_batch(pending: deque[Scene], size: int, wanted: WantedScenes) -> list[Scene]:
    """The next scenes that are needed, taken from `pending`; none when those left are not."""
    batch: list[Scene] = []
    while pending and len(batch) < size and wanted.admit(pending[0], wait=not batch):
        batch.append(pending.popleft())
    return batch


def wanted_scenes(context: StageContext, extract: Store, ledger: Ledger) -> WantedScenes:
    """Which of the build's scenes are needed."""
    spec = build_of(context)
    samples = (
        [f"{sample.id}-{scene}" for scene, _ in sample.scenes[: spec.images.per_sample]]
        for sample in candidates(extract, spec)
    )
    return WantedScenes(samples, spec, ledger, context.stopping, context.reporter.update)


def take_stock(
    context: StageContext, ledger: Ledger, scenes: Mapping[str, Scene], wanted: WantedScenes
) -> tuple[list[dict[str, Any]], list[Scene]]:
    """(outcomes of this shard's scenes that are done with, the others). Those that failed in an earlier round are
    among the others, even where the target has moved and does not need them any more."""
    spec = build_of(context)
    finished, outcomes, unfinished = ledger.ids(), [], []
    for key in own_items(list(scenes), context.shard, context.config.shards):
        outcome = ledger.get(key) if key in finished else None
        if outcome is None:
            unfinished.append(scenes[key])
        elif is_finished(outcome, spec.retry_failed):
            outcomes.append(outcome)
            wanted.ended(key, outcome)
        else:
            unfinished.append(once_more(scenes[key], spec.images.seed, spec.retry_failed))
    return outcomes, unfinished


def scenes_of(extract: Store, images: Images) -> dict[str, Scene]:
    """Every scene of the extract ledger by its key, at most `perSample` of an excerpt."""
    width, height = picture_size(images)
    scenes: dict[str, Scene] = {}
    for episode, outcome in Ledger(extract).items():
        for excerpt in outcome.get("excerpts", []) if outcome.get("outcome") == "ok" else []:
            for scene in excerpt["scenes"][: images.per_sample]:
                key = f"{episode}-{excerpt['index']}-{scene['index']}"
                prompt, seed = full_prompt(scene["prompt"]), scene_seed(images.seed, key)
                scenes[key] = Scene(key, prompt, seed, width, height)
    return scenes


def picture_size(images: Images) -> tuple[int, int]:
    """Width and height of the pictures: Bedrock has its own for each aspect ratio."""
    if images.provider != "bedrock":
        return images.width, height_of(images.width, images.aspect_ratio)
    if (size := BEDROCK_SIZES.get(images.aspect_ratio)) is None:
        raise ConfigInvalid(f"images.aspectRatio {images.aspect_ratio} is not drawn by bedrock; use 16:9 or 1:1")
    return size


def open_painter(context: StageContext) -> Painter:
    """The painter that `images.provider` names, with its model loaded."""
    images = images_of(context)
    folder = model_folder(context, images.model, "images.model", "imageModel")
    from fabula_workloads.painting.diffusers_painter import DiffusersPainter

    if images.device == "cpu":
        limit_threads(images.resources, context.config.shards)
    model = model_label(images.model)
    _log.info("loading %s on %s", model, images.device)
    try:
        check_folder(folder, below=True)
        return DiffusersPainter(
            folder, model=model, device=images.device, steps=images.steps, guidance_scale=images.guidance_scale
        )
    except (OSError, ValueError, DamagedFile) as error:
        raise InputInvalid(f"images.model: {model} is not a Stable Diffusion 3 pipeline: {error}") from error


def keep(store: Store, scene: Scene, drawn: Picture | Refusal, model: str) -> dict[str, Any]:
    """Check and store what was drawn; the outcome for the ledger."""
    origin = {
        "width": scene.width, "height": scene.height, "seed": scene.seed, "model": model,
        "promptDigest": prompt_digest(scene.prompt), "styleVersion": STYLE_VERSION,
    }  # fmt: skip
    origin |= drawn.facts
    if isinstance(drawn, Refusal):
        return {"outcome": "failed", "reason": drawn.reason, **origin}
    if flaw := flaw_of(drawn.png, scene.width, scene.height):
        return {"outcome": "failed", "reason": flaw, **origin}
    path = picture_path(scene)
    if not drawn.stored:
        store.write(path, drawn.png)
    return {"outcome": "ok", "path": path, "sha256": hashlib.sha256(drawn.png).hexdigest(), **origin}


def build_of(context: StageContext) -> DatasetBuildSpec:
    """The build's spec."""
    spec = context.config.spec
    if not isinstance(spec, DatasetBuildSpec):
        raise ConfigInvalid(f"stage illustrate belongs to a DatasetBuild, not to a {context.config.run.kind}")
    return spec


def images_of(context: StageContext) -> Images:
    """What the build says of pictures."""
    return build_of(context).images


def count_name(outcome: dict[str, Any]) -> str:
    """Name of the outcome's count, as `image/outcome/Reason`."""
    return "image/ok" if outcome["outcome"] == "ok" else f"image/{outcome['outcome']}/{outcome['reason']}"


def _report(context: StageContext, tally: Counter[str], total: int) -> None:
    failed = tally.total() - tally["image/ok"]
    context.reporter.update(done=tally.total(), total=total, failed=failed, counts=dict(tally))
