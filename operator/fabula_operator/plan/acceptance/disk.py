"""Whether a pod's scratch disk holds the model that it fetches: by the model's name, and what the installation allows.

A pod that fills more than it may is evicted by its node, after it has downloaded for as long as that takes and while it
holds its GPUs, and so is the next one.
"""

from __future__ import annotations

import math

from fabula_api.externals import externals
from fabula_api.specs import Spec
from fabula_operator.plan.acceptance.model_facts import fetched_bytes
from fabula_operator.plan.seen.observed import Environment
from fabula_operator.render.pod import BESIDE_WEIGHTS


def no_room(environment: Environment, spec: Spec) -> str | None:
    """A sentence naming the first model that is larger than a pod's scratch disk may be, and what to do."""
    room = environment.scratch_bytes
    if room is None:
        return None
    for external in externals(spec):
        model = external.model
        if model is None or (model.name and environment.model_cache):
            continue
        if (needed := fetched_bytes(model) * BESIDE_WEIGHTS) > room:
            cache = "give workers a cache of models (workers.modelCache), " if model.name else ""
            return (
                f"spec.{external.field}: {model.name or model.uri} takes {needed / 2**30:.0f} GiB, which each pod "
                f"would fetch to its /scratch, where it may have {room / 2**30:.0f}: {cache}raise workers.scratchLimit "
                f"to {math.ceil(needed / 2**30)}Gi or more, or name a mounted folder as uri"
            )
    return None
