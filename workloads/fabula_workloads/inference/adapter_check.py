"""Does the adapter fit what it is asked with? Other pixels, prompt or base would be measured as quality."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fabula_api.artifact import Manifest
from fabula_api.shared_spec import PixelWindow
from fabula_workloads.runtime.failures import ConfigInvalid, InputInvalid


def check_adapter(manifest: Manifest, *, arm: str, pixels: PixelWindow, prompt_version: str | None, base: Path) -> None:
    """Compare what the adapter was trained with to what it will meet. Raises ConfigInvalid naming both values.

    `prompt_version` None means that the run brings its own prompt, which is the user's to answer for. A fact that the
    manifest does not record is InputInvalid: an adapter of unknown making cannot be compared with anything.
    """
    where = f"arm {arm}: the adapter {manifest.digest[:19]}"
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
    found = "sha256:" + hashlib.sha256((base / "config.json").read_bytes()).hexdigest()
    if digest != found:
        raise ConfigInvalid(
            f"{where} was trained on a base model whose config.json is {digest}, but this arm's model has {found}; "
            "name the model it was trained on"
        )


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
