"""Does a tuned model fit what it is asked with? Other pixels, prompt or base would be measured as quality."""

from __future__ import annotations

from dataclasses import dataclass

from fabula_api.artifact import Manifest
from fabula_api.details import TunedDetails
from fabula_api.shared_spec import PixelWindow
from fabula_workloads.models.quantization import Quantization
from fabula_workloads.runtime.artifact import details_of
from fabula_workloads.runtime.failures import ConfigInvalid


@dataclass(frozen=True, slots=True)
class Held:
    """How a base, and an adapter on top of it, are held for answers: as in training."""

    quantization: Quantization = "none"
    fp32_update: bool = False
    """Whether the update was computed in fp32 on a base in bf16, and is so again."""


def check_adapter(
    manifest: Manifest,
    *,
    asked: str,
    pixels: PixelWindow,
    prompt_version: str | None,
    base_digest: str,
    quantization: Quantization | None = None,
    recipe: str | None = None,
) -> None:
    """Compare what an adapter or a tuned model was trained with to what it will meet, of which `base_digest` is the
    base model's config.json. Raises ConfigInvalid naming both values; `asked` begins the sentence: `arm tuned`.

    `recipe` is the run's. `prompt_version` None means that the run brings its own prompt, which is the user's to answer
    for; `quantization` None that it asks for none of its own. A fact that the manifest does not record is InputInvalid:
    an adapter of unknown making cannot be compared with anything.
    """
    where = f"{asked}: the {manifest.kind} {manifest.digest[:19]}"
    told = details_of(manifest, TunedDetails, where)
    if recipe is not None and told.recipe not in (None, recipe):
        raise ConfigInvalid(
            f"{where} was trained for recipe {told.recipe}, but it is asked under {recipe}; ask it under the "
            "recipe that it knows"
        )
    if told.pixels != pixels:
        raise ConfigInvalid(
            f"{where} was trained with pixels {_window(told.pixels)}, but it is to see {_window(pixels)}; "
            "give it the same window (pixels)"
        )
    version = told.prompt_version
    if prompt_version is not None and version != prompt_version:
        raise ConfigInvalid(
            f"{where} was trained with prompt {version!r}, but this version asks with {prompt_version!r}; "
            "train it again, or ask with the prompt that it knows (spec.prompt, --prompt)"
        )
    digest = told.base.digest
    if digest != base_digest:
        raise ConfigInvalid(
            f"{where} was trained on a base model whose config.json is {digest}, but the model here has "
            f"{base_digest}; name the model it was trained on"
        )
    held = told.quantization
    if quantization is not None and quantization != held:
        raise ConfigInvalid(
            f"{where} was trained with quantization {held} of its base, but it is asked for in "
            f"{quantization}; leave quantization out"
        )


def held_in_training(told: TunedDetails) -> Held:
    """How both were held while the adapter was trained."""
    return Held(told.quantization, fp32_update=told.lora is not None and told.lora.precision == "fp32")


def _window(pixels: PixelWindow) -> str:
    return f"{pixels.min_pixels}..{pixels.max_pixels}"
