"""Base model and adapter as a person names them: folders, places in a store, or models of the Hub."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fabula_api.artifact import Manifest
from fabula_api.details import TunedDetails
from fabula_api.shared_spec import ModelSource, PixelWindow, RunSpec
from fabula_api.worker import MODEL_CACHE_VARIABLE
from fabula_workloads.inference.adapter_check import Held, check_adapter, held_in_training
from fabula_workloads.inference.opening import TUNED_KINDS
from fabula_workloads.models.hub import from_hub
from fabula_workloads.models.quantization import Quantization
from fabula_workloads.recipe_parts import parts_of
from fabula_workloads.runtime.artifact import details_of, read_manifest
from fabula_workloads.runtime.content import require_content
from fabula_workloads.runtime.context import cache_folder
from fabula_workloads.runtime.failures import ConfigInvalid, InputInvalid, NotFound
from fabula_workloads.runtime.local_copy import fetched
from fabula_workloads.runtime.open_store import materialize, open_store
from fabula_workloads.runtime.store import resolve_uri

DEFAULT_RECIPE: str = RunSpec.model_fields["recipe"].default
"""Of a model that does not say what it was tuned for."""
_OF_THE_HUB = re.compile(r"(?P<name>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?")
Note = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Tuned:
    """Where what was trained lies."""

    uri: str
    """Absolute, or a path."""
    digest: str | None = None
    """Of its manifest, where a run has said it."""
    name: str = ""
    """As the person named it."""


@dataclass(frozen=True, slots=True)
class Named:
    """What a person says of the model. What is left out, an adapter's manifest knows, or else the spec's defaults."""

    model: str | None = None
    """A folder, a URI, or `owner/name[@revision]` of the Hub. Default: what the adapter was trained on."""
    tuned: Tuned | None = None
    recipe: str | None = None
    own_prompt: bool = False
    """Whether it is asked in words of the person's own."""
    pixels: PixelWindow | None = None
    quantization: Quantization | None = None
    root: str | None = None
    """Artifact root, below which URIs without a scheme lie: a URI, or a folder."""

    @property
    def place(self) -> str | None:
        """The artifact root as a URI."""
        if not self.root:
            return None
        return self.root if "://" in self.root else Path(self.root).expanduser().resolve().as_uri()


@dataclass(frozen=True, slots=True)
class Weights:
    """What an engine is opened from."""

    label: str
    model: Path
    adapter: Path | None
    held: Held
    pixels: PixelWindow
    recipe: str


def find_weights(named: Named, note: Note) -> Weights:
    """Bring base and adapter onto this machine and hold one against the other; `note` is told what cannot be compared.

    Raises ConfigInvalid, InputInvalid (NotFound) or what a store or the Hub raises.
    """
    if named.tuned is None:
        if named.model is None:
            raise ConfigInvalid("name a model (--model), or what was tuned (--adapter)")
        folder = _model(named.model, named.place)
        recipe = named.recipe or DEFAULT_RECIPE
        held = Held(named.quantization or "none")
        return Weights(named.model, folder, None, held, named.pixels or PixelWindow(), recipe)
    return _with_adapter(named, named.tuned, note)


def _with_adapter(named: Named, tuned: Tuned, note: Note) -> Weights:
    store = open_store(_absolute(tuned.uri, named.place))
    manifest = read_manifest(store)
    label = f"{tuned.name or tuned.uri}"
    if manifest is None:
        if tuned.digest is not None:
            raise InputInvalid(f"--adapter {label}: {store.uri} has no manifest any more; was its folder removed?")
        return _bare_adapter(named, tuned, label, note)
    if manifest.kind not in TUNED_KINDS:
        raise InputInvalid(f"--adapter {label}: {store.uri} holds a {manifest.kind}, not {' or '.join(TUNED_KINDS)}")
    require_content(store.uri, manifest.digest, tuned.digest)
    details = details_of(manifest, TunedDetails, f"--adapter {label}")
    recipe = named.recipe or details.recipe or DEFAULT_RECIPE
    base = named.model or _base_of(details, label)
    folder = None if manifest.kind == "model" else _model(base, named.place)
    _compare(named, manifest, details, label, recipe, folder)
    files = fetched(store, manifest, cache_folder())
    if folder is None:
        return Weights(f"{label}, tuned in full", files, None, Held(), details.pixels, recipe)
    held = held_in_training(details)
    return Weights(f"{base} with adapter {label}", folder, files, held, details.pixels, recipe)


def _compare(
    named: Named, manifest: Manifest, details: TunedDetails, label: str, recipe: str, folder: Path | None
) -> None:
    """As an evaluation compares an arm."""
    check_adapter(
        manifest,
        asked=f"--adapter {label}",
        pixels=named.pixels or details.pixels,
        prompt_version=None if named.own_prompt else parts_of(recipe).prompt_version,
        base_digest=details.base.digest if folder is None else _config_digest(folder),
        quantization=named.quantization,
        recipe=recipe,
    )


def _bare_adapter(named: Named, tuned: Tuned, label: str, note: Note) -> Weights:
    """Of a folder in peft's format that no run made."""
    folder = materialize(_absolute(tuned.uri, named.place), cache_folder())
    if named.model is None:
        raise ConfigInvalid(f"--adapter {label} has no manifest that tells its base model: name it with --model")
    note(f"{label} has no manifest: whether it was tuned on this base, with these pixels and prompt, cannot be told")
    return Weights(
        f"{named.model} with adapter {label}", _model(named.model, named.place), folder,
        Held(named.quantization or "none"), named.pixels or PixelWindow(), named.recipe or DEFAULT_RECIPE,
    )  # fmt: skip


def _base_of(details: TunedDetails, label: str) -> str:
    base = details.base
    if base.uri is not None:
        return base.uri
    if base.name is None:
        raise ConfigInvalid(f"--adapter {label} does not tell its base model: name it with --model")
    return f"{base.name}@{base.revision}" if base.revision else base.name


def _model(text: str, root: str | None) -> Path:
    """Local folder of a model."""
    if "://" in text:
        return _stored(text)
    here = Path(text).expanduser()
    if here.is_dir():
        return here
    if root is not None and not here.is_absolute():
        try:
            return _stored(resolve_uri(text, root))
        except NotFound:
            pass
    if match := _OF_THE_HUB.fullmatch(text):
        source = ModelSource(name=match["name"], revision=match["revision"])
        try:
            return Path(from_hub(source, "--model", _hub_cache(), None))
        except InputInvalid as error:
            raise InputInvalid(f"{error.message}; and there is no folder {text}", error.reason) from error
    below = f", nor below {root}" if root else "; where the artifact root is, --artifact-root says"
    raise NotFound(text, f"there is no folder of that name here{below}")


def _stored(uri: str) -> Path:
    store = open_store(uri)
    if (manifest := read_manifest(store)) is not None:
        return fetched(store, manifest, cache_folder())
    return materialize(uri, cache_folder())


def _hub_cache() -> Path:
    """Where others on this machine keep models of the Hub, unless a cache of Fabula's own is named."""
    if shared := os.environ.get(MODEL_CACHE_VARIABLE):
        return Path(shared)
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(HF_HUB_CACHE)


def _absolute(place: str, root: str | None) -> str:
    if "://" in place:
        return place
    here = Path(place).expanduser()
    if here.exists() or root is None:
        return here.resolve().as_uri()
    return resolve_uri(place, root)


def _config_digest(folder: Path) -> str:
    try:
        return "sha256:" + hashlib.sha256((folder / "config.json").read_bytes()).hexdigest()
    except OSError as error:
        raise InputInvalid(f"{folder} holds no model: config.json cannot be read ({error.strerror})") from error
