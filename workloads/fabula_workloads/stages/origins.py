"""Where an arm's answers come from, as stage `infer` leaves it beside them and the report tells it.

Answers of one folder may come from several versions of the code, when a run goes on after an upgrade: each leaves its
own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from importlib.metadata import version

from pydantic import ValidationError

from fabula_api.artifact import Manifest, canonical_json, digest_of
from fabula_api.base import StatusModel, Text
from fabula_api.eval_run import EvalRunSpec
from fabula_api.status import Lineage
from fabula_workloads.inference.opening import TUNED_KINDS
from fabula_workloads.runtime.context import StageContext
from fabula_workloads.runtime.failures import InputInvalid
from fabula_workloads.runtime.store import Store
from fabula_workloads.runtime.verified import require_hash

CARD = "README.md"
ORIGINS = "origins"
SAMPLES = "select"
"""Input that all arms have in common."""


class Origin(StatusModel):
    """What the pods of an arm were given, what its adapter was made from, and which code answered."""

    lineage: list[Lineage]
    code: Text
    card: str = ""
    """Of what was tuned, in Hugging Face's format."""


def own_code() -> str:
    """Version of this package, which the operator's and the workers' images carry alike."""
    return f"fabula {version('fabula')}"


def keep_origin(context: StageContext) -> None:
    """Leave the origin beside the answers, before the first of them. All shards of an arm write the same."""
    lineage, card = [], ""
    for given in context.config.inputs:
        if given.name == SAMPLES:
            continue
        lineage.append(Lineage(name=given.name, uri=given.uri, digest=given.digest))
        if given.name == "adapter":
            store, manifest = context.open_artifact("adapter", *TUNED_KINDS)
            lineage += [made.replace(name=f"adapter/{made.name}") for made in manifest.lineage]
            card = _card(store, manifest)
    origin = Origin(lineage=lineage, code=own_code(), card=card).to_wire()
    name = digest_of(origin).removeprefix("sha256:")[:16]
    context.store.write_if_absent(f"{ORIGINS}/{name}.json", canonical_json(origin))


def _card(store: Store, manifest: Manifest) -> str:
    """The card among the parts of an artifact; empty where it has none."""
    part = next((part for part in manifest.parts if part.path == CARD), None)
    if part is None:
        return ""
    content = store.read(CARD)
    require_hash(f"{store.uri}/{CARD}", part, hashlib.sha256(content).hexdigest())
    return content.decode(errors="replace")


def read_origins(context: StageContext, spec: EvalRunSpec) -> dict[str, list[Origin]]:
    """The origins of each arm's answers; none of those from before origins were kept. Raises InputInvalid."""
    origins: dict[str, list[Origin]] = {}
    for arm in spec.arms:
        store = context.open_input(f"infer/{arm.name}")
        for entry in sorted(store.list(ORIGINS), key=lambda entry: entry.path):
            try:
                origins.setdefault(arm.name, []).append(Origin.model_validate_json(store.read(entry.path)))
            except ValidationError as error:
                raise InputInvalid(f"{store.uri}/{entry.path} cannot be read: {error}") from error
    return origins


def behind(origins: Mapping[str, Sequence[Origin]]) -> list[Lineage]:
    """What all arms were given, once each, under the arm's name."""
    told = (
        made.replace(name=f"{arm}: {made.name}") for arm, of_arm in origins.items() for origin in of_arm
        for made in origin.lineage
    )  # fmt: skip
    return list({(made.name, made.uri, made.digest): made for made in told}.values())
