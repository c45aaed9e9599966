"""The scenes of a shard: which there are, which have an outcome, and what is kept of a picture, whoever draws it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from fabula_api.recipes.podcast.build import Images, PodcastBuildSpec
from fabula_workloads.painting.png import flaw_of
from fabula_workloads.painting.scene import (
    BEDROCK_SIZES,
    Picture,
    Refusal,
    Scene,
    height_of,
    once_more,
    picture_path,
    scene_seed,
)
from fabula_workloads.painting.style import STYLE_VERSION, full_prompt, prompt_digest
from fabula_workloads.recipes.podcast.dataset.candidates import Extracted, candidates
from fabula_workloads.recipes.podcast.illustration.outcome import PictureOutcome
from fabula_workloads.recipes.podcast.illustration.wanted_scenes import WantedScenes
from fabula_workloads.runtime.context import StageContext
from fabula_workloads.runtime.failures import ConfigInvalid
from fabula_workloads.runtime.ledger import own_items
from fabula_workloads.runtime.outcomes import Outcomes
from fabula_workloads.runtime.store import Store


def wanted_scenes(context: StageContext, extracted: Extracted, ledger: Outcomes[PictureOutcome]) -> WantedScenes:
    """Which of the build's scenes are needed."""
    spec = build_of(context)
    samples = (
        [f"{sample.id}-{scene}" for scene, _ in sample.scenes[: spec.podcast.images.per_sample]]
        for sample in candidates(extracted, spec)
    )
    return WantedScenes(samples, spec, ledger, context.stopping, context.reporter.update)


def take_stock(
    context: StageContext, ledger: Outcomes[PictureOutcome], scenes: Mapping[str, Scene], wanted: WantedScenes
) -> tuple[list[PictureOutcome], list[Scene]]:
    """(outcomes of this shard's scenes that are done with, the others). Those that failed in an earlier round are
    among the others, even where the target has moved and does not need them any more."""
    spec = build_of(context)
    finished, outcomes, unfinished = ledger.ids(), [], []
    for key in own_items(list(scenes), context.shard, context.config.shards):
        outcome = ledger.get(key) if key in finished else None
        if outcome is None:
            unfinished.append(scenes[key])
        elif outcome.is_finished(spec.retry_failed):
            outcomes.append(outcome)
            wanted.ended(key, outcome)
        else:
            unfinished.append(once_more(scenes[key], spec.podcast.images.seed, spec.retry_failed))
    return outcomes, unfinished


def scenes_of(extracted: Extracted, images: Images) -> dict[str, Scene]:
    """Every scene of the extract ledger by its key, at most `perSample` of an excerpt."""
    width, height = picture_size(images)
    scenes: dict[str, Scene] = {}
    for episode, outcome in extracted:
        for excerpt in outcome.excerpts if outcome.ok else ():
            for scene in excerpt.scenes[: images.per_sample]:
                key = f"{episode}-{excerpt.index}-{scene.index}"
                prompt, seed = full_prompt(scene.prompt), scene_seed(images.seed, key)
                scenes[key] = Scene(key, prompt, seed, width, height)
    return scenes


def picture_size(images: Images) -> tuple[int, int]:
    """Width and height of the pictures: Bedrock has its own for each aspect ratio."""
    if images.provider != "bedrock":
        return images.width, height_of(images.width, images.aspect_ratio)
    if (size := BEDROCK_SIZES.get(images.aspect_ratio)) is None:
        raise ConfigInvalid(
            f"podcast.images.aspectRatio {images.aspect_ratio} is not drawn by bedrock; use 16:9 or 1:1"
        )
    return size


def keep(store: Store, scene: Scene, drawn: Picture | Refusal, model: str) -> PictureOutcome:
    """Check and store what was drawn; the outcome for the ledger."""
    origin = PictureOutcome(
        outcome="failed",
        width=scene.width,
        height=scene.height,
        seed=scene.seed,
        model=model,
        prompt_digest=prompt_digest(scene.prompt),
        style_version=STYLE_VERSION,
    )
    if drawn.paid is not None:
        origin = origin.replace(**{name: getattr(drawn.paid, name) for name in drawn.paid.model_fields_set})
    if isinstance(drawn, Refusal):
        return origin.replace(reason=drawn.reason)
    if flaw := flaw_of(drawn.png, scene.width, scene.height):
        return origin.replace(reason=flaw)
    path = picture_path(scene)
    if not drawn.stored:
        store.write(path, drawn.png)
    return origin.replace(outcome="ok", path=path, sha256=hashlib.sha256(drawn.png).hexdigest())


def build_of(context: StageContext) -> PodcastBuildSpec:
    """The build's spec."""
    return context.spec_of(PodcastBuildSpec)
