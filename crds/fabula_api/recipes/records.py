"""What a recipe is, as data: which stages a kind has, what shape each takes, and which spec fields decide its output.

The operator runs a recipe that it knows nothing about from these records. `reads` makes reuse safe: a stage's key
covers these fields and its inputs' digests, and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from fabula_api.asked import Asked
from fabula_api.metrics import Metric
from fabula_api.rubrics import Rubric
from fabula_api.shared_spec import RunSpec
from fabula_api.summary import Summary

Kind = Literal["DatasetBuild", "FineTuneRun", "EvalRun"]
Shape = Literal["single", "sharded", "group"]
"""`single`: one pod; `sharded`: an Indexed Job; `group`: ranks that live and die together (PyTorchJob)."""


ColumnType = Literal["string", "integer", "number", "boolean", "date"]


@dataclass(frozen=True, slots=True)
class ReadModel:
    """A model or artifact that a recipe reads beside those that every run of a kind does."""

    name: str
    """Lineage name, and the name under which a stage declares it in `external`."""
    field: str
    """Spec field with a ModelSource or ArtifactSource."""
    when: tuple[str, tuple[object, ...]] | None = None
    """(field, values): it is read only where the field has one of the values."""
    made_by: Kind | None = None
    """Kind of run that makes such artifacts; None for a model."""


@dataclass(frozen=True, slots=True)
class Paid:
    """What a stage pays a provider for, and out of what. Paths are as in a Stage; of a stage that runs for each entry
    of a list, those that begin with `each.` are the entry's own fields."""

    when: tuple[str, tuple[object, ...]]
    """(field, values): it pays where the field, which names the provider, has one of the values."""
    model: str
    """Field with the model that is paid for, by the name under which it has a price."""
    region: str
    """Field with the provider's region."""
    quota: str
    """Field with what the provider allows: a RequestQuota or Quota."""
    concurrency: str
    """Field with the calls that one shard has in hand at most."""
    reply_tokens: str | None = None
    """Field with the longest reply in tokens, which says how long a call may last; None where no tokens come back."""
    limit_usd: str | None = None
    """Property with the dollars that it may take in all; None: what the paid stages before it left of `budget.usd`."""
    entry_usd: str | None = None
    """Of a stage that runs for each entry of a list: the function of (spec, entry) that gives the entry's part of
    `budget.usd`, as `module:function`."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A number in `status.figures` of a build, made of a stage's counts. What only figures are made of is no item."""

    name: str
    """In camelCase, as it stands in the status."""
    count: str
    """The count that it is, summed over shards, such as `caption/words`."""
    per: str | None = None
    """The count that it is divided by."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of `kubectl get`."""

    name: str
    path: str
    """JSONPath, such as `.status.figures.meanWords`."""
    type: ColumnType = "string"
    about: str = ""
    wide: bool = True
    """Shown with `-o wide` only."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a run. Paths are dotted snake_case fields of the spec."""

    name: str
    shape: Shape
    runs: str
    """The worker's function, as `module:function`. As text, so that whoever reads a recipe imports no worker."""
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
    """Spec field with the number of shards, or `each.` and a field of the entry that it runs for."""
    shared: bool = False
    """Its shards take items from one queue: what a slow one leaves, the others do."""
    device: str = "cpu"
    """`cpu`, `cuda`, or the dotted spec field that says which."""
    remote_when: tuple[str, tuple[object, ...]] | None = None
    """(field, values): with one of the values the work is done elsewhere, and the pod needs no GPU."""
    resources: str | None = None
    """Spec field with the pod's resources."""
    for_each: Literal["arms", "judges"] | None = None
    """The list of the spec for each of whose entries the stage runs once, all at once."""
    entry_key: str | None = None
    """What of the entry decides the output beside the `each.` fields of `reads`: a function of (spec, entry), as
    `module:function`. None: all of its fields but those that name inputs."""
    skip_unless: tuple[str, tuple[object, ...]] | None = None
    """(field, values): the stage is skipped unless the field has one of the values."""
    paid: Paid | None = None
    """A sharded stage that pays for calls: it takes part in quota, budget and prices."""
    figures: tuple[Figure, ...] = ()
    """What the status shows of its counts beside items and bills."""
    summary: type[Summary] = Summary
    """What its result says beside counts. A kind's last stage says what the kind's status shows: `DatasetSummary`,
    `TrainSummary`, `ScoreSummary`, and one that estimates `EstimateSummary`, or a class below it."""
    estimates: bool = False
    """It makes nothing and says what the run would take: the one stage that counts of a dry run."""
    version: int = 1
    """Raise it when the stage's code makes other output from the same input."""
    unit: str = "item"
    """What is counted, for people."""
    commits: bool = True
    """Whether its result names an artifact. A sharded stage leaves a ledger, and a foreign trainer what it likes."""

    @property
    def only_in_figures(self) -> frozenset[str]:
        """Counts that figures are made of and that are no items, whatever they are called."""
        named = {figure.count for figure in self.figures} | {figure.per for figure in self.figures if figure.per}
        return frozenset(name for name in named if not name.endswith("/ok"))


@dataclass(frozen=True, slots=True)
class SampleFormat:
    """A layout in which samples of an evaluation may lie."""

    name: str
    """In `samples.format`."""
    about: str
    """What lies there, in a few words."""


HELD_OUT = SampleFormat("dataset", "the validation split of a dataset artifact")
"""What every recipe has whose parts say nothing else."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """A system that is reproduced: its stages by kind, and what it adds to the specs."""

    name: str
    stages: Mapping[Kind, tuple[Stage, ...]]
    dry_run: Mapping[Kind, tuple[Stage, ...]] = field(default_factory=dict)
    """The stages of a run with `dryRun`, by the kinds that have it."""
    parts: str | None = None
    """What it brings to training and evaluation (a `fabula_workloads.recipe_parts.RecipeParts`), as `module:object`."""
    training: str | None = None
    """What it trains (a `fabula_workloads.training.parts.TrainingParts`), as `module:object`; without one, a chat model
    that sees pictures."""
    evaluation: str | None = None
    """What it brings to evaluations (a `fabula_workloads.recipe_parts.evaluation.EvaluationParts`), as `module:object`:
    how samples are found, how an answer is read, and what the report shows. Without it, the plain way."""
    in_vllm: bool = True
    """Whether vLLM can hold what it trains: not where its evaluation parts open an engine of their own."""
    sample_formats: tuple[SampleFormat, ...] = (HELD_OUT,)
    """The layouts that its evaluation parts can read; the first is the one of a run that names none."""
    offers: tuple[str, ...] = ("text", "pictures")
    """What metrics can read of its evaluations (`Metric.reads`): `text`, `pictures`, `dialogue`, `format`, or what its
    own metrics read. Of Fabula's metrics it has those that read no more."""
    usual_metrics: tuple[str, ...] | None = None
    """Of Fabula's metrics those that a run which names none has beside the recipe's own; None: all that are by default.
    What tells long texts apart cannot do so with answers of one sentence, and would fail its self-test."""
    metrics: tuple[Metric, ...] = ()
    """Its own metrics, beside those of every recipe; their names begin with the recipe's and a slash."""
    rubrics: tuple[Rubric, ...] = ()
    """What judges of its evaluations may be asked by, beside the rubrics of every recipe."""
    asked: Asked = field(default_factory=Asked)
    """What its prompt asks of an answer, for the metrics that look whether it was given."""
    specs: Mapping[Kind, type[RunSpec]] = field(default_factory=dict)
    """For each kind in which the recipe has fields of its own: a subclass of the kind's spec with one field more, a
    block of the recipe's name."""
    fixed: Mapping[Kind, tuple[str, ...]] = field(default_factory=dict)
    """Fields of its blocks that cannot change once a run has started."""
    columns: Mapping[Kind, tuple[Column, ...]] = field(default_factory=dict)
    """Its columns of `kubectl get`, in CRDs that are generated with it installed."""
    examples: Mapping[Kind, Mapping[str, Any]] = field(default_factory=dict)
    """What `fabula init` writes uncommented: a small run that makes sense, without `recipe`."""
    models: Mapping[Kind, tuple[ReadModel, ...]] = field(default_factory=dict)
    """What it reads from outside beside what every run of the kind does."""
    unused: Mapping[Kind, tuple[str, ...]] = field(default_factory=dict)
    """Fields of the kind that say nothing under this recipe, such as `pixels` where a model sees none: a run that sets
    one is refused. What none of a build's stages reads (`target`, `budget`, `dryRun` and the like) need not be named:
    `unused_of` has it too."""

    @property
    def block(self) -> str:
        """The field that holds what is the recipe's own: its name in snake_case."""
        return self.name.replace("-", "_")
