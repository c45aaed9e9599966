"""Whether the stages of a kind can be walked: each has what its shape needs, and the fields that it names exist."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from typing import get_args

from pydantic import BaseModel

from fabula_api.arms import Arm
from fabula_api.base import EACH, NAME, NAME_LENGTH
from fabula_api.fields import can_be_read, model_at
from fabula_api.judges import Judge
from fabula_api.quota import RequestQuota
from fabula_api.recipes.records import Kind, Paid, Shape, Stage

OBJECT = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
"""`module:object`."""
_ENTRIES: dict[str | None, type[BaseModel]] = {"arms": Arm, "judges": Judge}


def nearest(name: str, known: Iterable[str]) -> str:
    """What to write in the place of a name that is not known."""
    names = list(known)
    like = get_close_matches(name, names, n=1)
    return f"did you mean {like[0]}?" if like else f"there is {', '.join(names) or 'none'}"


def problems_of_stages(
    where: str, kind: Kind, stages: Sequence[Stage], spec: type[BaseModel], *, spends: bool = True
) -> Iterator[str]:
    """All that is wrong with the stages of a kind, or of its dry run, which spends nothing."""
    if not stages:
        yield f"{where} has no stages; leave the kind out"
    before: list[str] = []
    for stage in stages:
        told = f"stage {stage.name} of {where}"
        if stage.name in before:
            yield f"{where} has two stages {stage.name}; call one of them otherwise"
        if not re.fullmatch(NAME, stage.name) or len(stage.name) > NAME_LENGTH:
            yield f"{told} has no name that a Job can have: small letters, digits and hyphens, at most {NAME_LENGTH}"
        for name in stage.after:
            if name not in before:
                yield f"{told} comes after {name}, which is no stage before it; {nearest(name, before)}"
        yield from (f"{told} {problem}" for problem in _shape(stage, kind))
        yield from (f"{told} {problem}" for problem in _unread(stage, spec))
        if stage.paid is not None:
            problems = _paid(stage, stage.paid, kind, spec) if spends else ["is paid, but a dry run spends nothing"]
            yield from (f"{told} {problem}" for problem in problems)
        before.append(stage.name)


def _shape(stage: Stage, kind: Kind) -> Iterator[str]:
    if not OBJECT.fullmatch(stage.runs):
        yield f"runs {stage.runs!r}; name it as `module:function`"
    if stage.shape not in get_args(Shape):
        yield f"is {stage.shape}, which is no shape; {nearest(stage.shape, get_args(Shape))}"
    if stage.shape == "group" and kind != "FineTuneRun":
        yield "is a group of ranks, which only a FineTuneRun has; make it sharded"
    if stage.for_each is not None and (kind != "EvalRun" or stage.for_each not in _ENTRIES):
        yield f"runs for each of {stage.for_each}; only an EvalRun has such lists, arms and judges"
    if stage.entry_key is not None and (stage.for_each is None or not OBJECT.fullmatch(stage.entry_key)):
        yield f"has the entry_key {stage.entry_key!r}; name a function as `module:function`, of a stage with for_each"
    if stage.shards is not None and stage.shape != "sharded":
        yield f"has shards, but is {stage.shape}; make it sharded"


def _unread(stage: Stage, spec: type[BaseModel]) -> Iterator[str]:
    """Fields that it names and the spec does not have."""
    named = [("reads", path) for path in stage.reads] + [("extent", path) for path in stage.extent]
    named += [(role, path) for role, path in (("shards", stage.shards), ("resources", stage.resources)) if path]
    depends = (("remote_when", stage.remote_when), ("skip_unless", stage.skip_unless))
    named += [(role, when[0]) for role, when in depends if when]
    for role, path in named:
        if problem := _missing(stage, role, path, spec):
            yield problem
    if stage.device not in ("cpu", "cuda") and not can_be_read(spec, stage.device):
        yield f"has the device {stage.device!r}, which is neither cpu nor cuda, nor a field of the spec that says which"


def _missing(stage: Stage, role: str, path: str, spec: type[BaseModel]) -> str | None:
    model, rest = spec, path
    if path.startswith(EACH):
        if stage.for_each not in _ENTRIES:
            return f"has {path} in its {role}, but runs for each entry of no list"
        model, rest = _ENTRIES[stage.for_each], path.removeprefix(EACH)
    if can_be_read(model, rest):
        return None
    return f"has {path} in its {role}, which is no field of the spec{_like(model, rest)}"


def _like(model: type[BaseModel], path: str) -> str:
    """The field that may have been meant."""
    above, _, last = path.rpartition(".")
    owner = model_at(model, above)
    like = get_close_matches(last, owner.model_fields, n=1) if owner else []
    return f"; did you mean {f'{above}.' if above else ''}{like[0]}?" if like else ""


def _paid(stage: Stage, paid: Paid, kind: Kind, spec: type[BaseModel]) -> Iterator[str]:
    if not {"budget", "prices"} <= spec.model_fields.keys():
        yield f"is paid, but a {kind} has no budget and no prices; pay in a stage of a DatasetBuild or an EvalRun"
        return
    if stage.shape != "sharded":
        yield f"is paid and {stage.shape}; make it sharded, if only of one shard, so that it has its part of a quota"
    fields = {
        "when": paid.when[0], "model": paid.model, "region": paid.region, "quota": paid.quota,
        "concurrency": paid.concurrency, "reply_tokens": paid.reply_tokens, "limit_usd": paid.limit_usd,
    }  # fmt: skip
    for role, path in fields.items():
        if path is not None and (problem := _missing(stage, f"paid.{role}", path, spec)):
            yield problem
    if (stage.for_each is None) != (paid.entry_usd is None) or not OBJECT.fullmatch(paid.entry_usd or "a:b"):
        yield (
            f"runs for each of {stage.for_each} and has the paid.entry_usd {paid.entry_usd!r}; say the part of "
            "budget.usd that each entry may take by `module:function`, where it runs for entries and only there"
        )
    owner = _ENTRIES.get(stage.for_each, spec) if paid.quota.startswith(EACH) else spec
    quota = model_at(owner, paid.quota.removeprefix(EACH))
    if quota is None or not issubclass(quota, RequestQuota):
        yield f"has {paid.quota} as its quota, which is no Quota or RequestQuota"
