"""Does a tuned model fit what it is asked with? Other pixels, prompt or base would be measured as quality."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from fabula_api.artifact import Manifest
from fabula_api.shared_spec import PixelWindow
from fabula_workloads.models.quantization import Quantization
from fabula_workloads.runtime.failures import ConfigInvalid, InputInvalid


def check_adapter(
    manifest: Manifest,
    *,
    arm: str,
    pixels: PixelWindow,
    prompt_version: str | None,
    base_digest: str,
    quantization: Quantization | None = None,
) -> None:
    """Compare what an adapter or a tuned model was trained with to what it will meet, of which `base_digest` is the
    base model's config.json. Raises ConfigInvalid naming both values.

    `prompt_version` None means that the run brings its own prompt, which is the user's to answer for; `quantization`
    None that it asks for none of its own. A fact that the manifest does not record is InputInvalid: an adapter of
    unknown making cannot be compared with anything.
    """
    where = f"arm {arm}: the {manifest.kind} {manifest.digest[:19]}"
    trained = _pixels(manifest.details, where)
    if trained != pixels:
        raise ConfigInvalid(
            f"{where} was trained with pixels {_window(trained)}, but spec.pixels is {_window(pixels)}; "
            "use the same window in both runs"
        )
    version = _recorded(manifest.details, "promptVersion", where)
    if prompt_version is not None and version != prompt_version:
        raise ConfigInvalid(
            f"{where} was trained with prompt {version!r}, but this version asks with {prompt_version!r}; "
            "train it again, or set spec.prompt to the prompt it knows"
        )
    digest = _recorded(manifest.details, "base", where).get("digest")
    if digest != base_digest:
        raise ConfigInvalid(
            f"{where} was trained on a base model whose config.json is {digest}, but this arm's model has "
            f"{base_digest}; name the model it was trained on"
        )
    held = trained_quantization(manifest)
    if quantization is not None and quantization != held:
        raise ConfigInvalid(
            f"{where} was trained with quantization {held} of its base, but arms[{arm}].quantization is "
            f"{quantization}; leave it out"
        )


def trained_quantization(manifest: Manifest) -> Quantization:
    """How the base was held while the adapter was trained."""
    recorded: Quantization = manifest.details.get("quantization", "none")
    return recorded


def _pixels(details: dict[str, Any], where: str) -> PixelWindow:
    recorded = _recorded(details, "pixels", where)
    try:
        return PixelWindow.model_validate(recorded)
    except ValidationError as error:
        raise InputInvalid(f"{where}: its manifest records a pixel window that is none: {recorded}") from error


def _recorded(details: dict[str, Any], name: str, where: str) -> Any:
    if name not in details:
        raise InputInvalid(f"{where}: its manifest does not record {name}; it was not made by a FineTuneRun")
    return details[name]


def _window(pixels: PixelWindow) -> str:
    return f"{pixels.min_pixels}..{pixels.max_pixels}"
