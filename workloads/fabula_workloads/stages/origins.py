"""Where an arm's answers come from, as stage `infer` leaves it beside them and the report tells it."""

from __future__ import annotations

from importlib.metadata import version

from pydantic import ValidationError

from fabula_api.artifact import canonical_json
from fabula_api.base import StatusModel, Text
from fabula_api.eval_run import EvalRunSpec
from fabula_api.status import Lineage
from fabula_workloads.inference.opening import TUNED_KINDS
from fabula_workloads.runtime.context import StageContext
from fabula_workloads.runtime.failures import InputInvalid, NotFound

ORIGIN = "origin.json"
SAMPLES = "select"
"""Input that all arms have in common."""


class Origin(StatusModel):
    """What the pods of an arm were given, what its adapter was made from, and which code answered."""

    lineage: list[Lineage]
    code: Text


def own_code() -> str:
    """Version of this package, which the operator's and the workers' images carry alike."""
    return f"fabula {version('fabula')}"


def keep_origin(context: StageContext) -> None:
    """Leave the origin beside the answers. All shards of an arm would write the same; the first does."""
    lineage = []
    for given in context.config.inputs:
        if given.name == SAMPLES:
            continue
        lineage.append(Lineage(name=given.name, uri=given.uri, digest=given.digest))
        if given.name == "adapter":
            _, manifest = context.open_artifact("adapter", *TUNED_KINDS)
            lineage += [made.replace(name=f"adapter/{made.name}") for made in manifest.lineage]
    origin = Origin(lineage=lineage, code=own_code())
    context.store.write_if_absent(ORIGIN, canonical_json(origin.to_wire()))


def read_origins(context: StageContext, spec: EvalRunSpec) -> dict[str, Origin]:
    """The origin of each arm; none of answers that were given before origins were kept. Raises InputInvalid."""
    found: dict[str, Origin] = {}
    for arm in spec.arms:
        store = context.open_input(f"infer/{arm.name}")
        try:
            found[arm.name] = Origin.model_validate_json(store.read(ORIGIN))
        except NotFound:
            continue
        except ValidationError as error:
            raise InputInvalid(f"{store.uri}/{ORIGIN} cannot be read: {error}") from error
    return found
