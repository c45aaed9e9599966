"""Recipes as data: which stages a kind has, what shape each takes, and which spec fields decide its output.

The operator runs a recipe it knows nothing about from these declarations; a new recipe adds an entry here and a folder
of workloads. `reads` makes reuse safe: a stage's key covers these fields and its inputs' digests, and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["DatasetBuild", "FineTuneRun", "EvalRun"]
Shape = Literal["single", "sharded", "group"]
"""`single`: one pod; `sharded`: an Indexed Job; `group`: ranks that live and die together (PyTorchJob)."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a run. Paths are dotted snake_case fields of the spec."""

    name: str
    shape: Shape
    reads: tuple[str, ...]
    """Spec fields, or properties of the spec's model, that decide the output."""
    extent: tuple[str, ...] = ()
    """Spec fields that bound how far it goes, and not what any of its items becomes: when one changes, the stage goes
    on in the same folder and repeats nothing."""
    after: tuple[str, ...] = ()
    """Stages whose artifacts it reads."""
    external: tuple[str, ...] = ()
    """Artifacts of other runs and models that it reads, by `External.input`: `dataset`, `adapter`, `model`."""
    makes: tuple[str, ...] = ()
    """Kinds of the artifact that it commits, of which it is one."""
    resolves: bool = False
    """It makes nothing, but finds out the digests of what the run reads from outside, and is skipped where a spec gives
    them all."""
    by_content: bool = False
    """It looks at its source each time, and picks a folder of its own by what it finds there."""
    shards: str | None = None
    """Spec field with the number of shards."""
    device: str = "cpu"
    """`cpu`, `cuda`, or the dotted spec field that says which."""
    remote_when: tuple[str, tuple[object, ...]] | None = None
    """(field, values): with one of the values the work is done elsewhere, and the pod needs no GPU."""
    resources: str | None = None
    """Spec field with the pod's resources."""
    for_each: str | None = None
    """`arms`: the stage runs once for each arm, all at once."""
    skip_unless: tuple[str, tuple[object, ...]] | None = None
    """(field, values): the stage is skipped unless the field has one of the values."""
    version: int = 1
    """Raise it when the stage's code makes other output from the same input."""
    unit: str = "item"
    """What is counted, for people."""
    commits: bool = True
    """Whether its result names an artifact. A sharded stage leaves a ledger, and a foreign trainer what it likes."""


@dataclass(frozen=True, slots=True)
class Recipe:
    name: str
    stages: dict[Kind, tuple[Stage, ...]]
    dry_run: dict[Kind, tuple[Stage, ...]] = field(default_factory=dict)
    """The stages of a run with `dryRun`, by the kinds that have it."""


_INGEST = Stage("ingest", "single", reads=("source",), makes=("episodes",), by_content=True, version=2, unit="episode")
_RESOLVE = "resolve"


def _resolve(*reads: str) -> Stage:
    return Stage(_RESOLVE, "single", reads=reads, resolves=True, commits=False, unit="input")


PODCAST = Recipe(
    name="podcast",
    stages={
        "DatasetBuild": (
            _resolve("images.provider", "images.model"),
            _INGEST,
            Stage(
                "extract",
                "sharded",
                reads=(
                    "extraction.provider", "extraction.model", "extraction.words", "extraction.max_excerpts",
                    "extraction.max_tokens", "extraction.min_verbatim_ratio", "images.per_sample",
                ),
                extent=("target.samples", "budget", "retry_failed"),
                after=("ingest",),
                shards="extraction.workers",
                resources="extraction.resources",
                version=2,
                unit="episode",
            ),
            Stage(
                "illustrate",
                "sharded",
                reads=(
                    "images.provider", "images.model", "images.bedrock_model", "images.per_sample",
                    "images.aspect_ratio", "images.width", "images.steps", "images.guidance_scale", "images.seed",
                ),
                # How many more are drawn depends on how many pictures make a sample complete.
                extent=("target.samples", "budget", "retry_failed", "images.require"),
                after=(_RESOLVE, "ingest", "extract"),
                external=("imageModel",),
                shards="images.workers",
                device="images.device",
                remote_when=("images.provider", ("bedrock",)),
                resources="images.resources",
                skip_unless=("images.provider", ("bedrock", "diffusers")),
                version=2,
                unit="image",
            ),
            Stage(
                "assemble",
                "single",
                reads=("split", "target", "images.require", "images.per_sample"),
                after=("ingest", "extract", "illustrate"),
                makes=("dataset",),
                version=4,
                unit="sample",
            ),
        ),
        "FineTuneRun": (
            _resolve("dataset", "model"),
            Stage(
                "train",
                "group",
                # Not how many ranks, nor what each of them holds: a run goes on from a checkpoint with other ones.
                reads=("model", "lora", "decisive_training", "pixels", "topology.device", "decisive_template"),
                after=(_RESOLVE,),
                external=("dataset", "model"),
                makes=("adapter", "model"),
                device="topology.device",
                resources="resources",
                version=3,
                unit="step",
            ),
        ),
        "EvalRun": (
            _resolve("arms", "metrics", "clip_model"),
            Stage(
                "select",
                "single",
                reads=("samples",),
                makes=("sample-set",),
                by_content=True,
                version=3,
                unit="sequence",
            ),
            Stage(
                "infer",
                "sharded",
                reads=("prompt", "pixels", "generation", "engine"),
                after=(_RESOLVE, "select"),
                external=("model", "adapter"),
                shards="shards",
                resources="resources",
                for_each="arms",
                version=2,
                unit="answer",
            ),
            Stage(
                "score",
                "single",
                reads=("arms", "baseline", "metrics", "profiles", "clip_model", "gates"),
                after=(_RESOLVE, "select", "infer"),
                external=("clipModel",),
                makes=("report",),
                version=2,
                unit="metric",
            ),
        ),
    },
    dry_run={
        "DatasetBuild": (
            _INGEST,
            Stage(
                "estimate",
                "single",
                reads=("extraction", "images", "prices", "target"),
                after=("ingest",),
                unit="episode",
                commits=False,
            ),
        ),
    },
)  # fmt: skip

RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in (PODCAST,)}


def stages_of(recipe: str, kind: Kind, dry_run: bool = False) -> tuple[Stage, ...] | None:
    """The stages of a kind under a recipe, in order; None when there is no such recipe or it lacks the kind."""
    found = RECIPES.get(recipe)
    if found is None:
        return None
    return (found.dry_run if dry_run else found.stages).get(kind)
