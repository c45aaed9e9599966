"""Whether each arm of an evaluation is one that its engine can answer for."""

from __future__ import annotations

from fabula_api.arms import Arm, engine_of
from fabula_api.eval_run import EvalRunSpec
from fabula_api.recipes import recipes


def unfit_arm(spec: EvalRunSpec) -> str | None:
    """A sentence naming the first field of an arm that does not go with its engine, and what to do."""
    for position, arm in enumerate(spec.arms):
        engine = engine_of(arm, spec.engine)
        if problem := (_served(arm) if engine == "openai" else _loaded(arm, engine, spec.recipe)):
            field, words = problem
            return f"spec.arms[{position}].{field}: {words}"
    return None


def _served(arm: Arm) -> tuple[str, str] | None:
    if arm.endpoint_url is None:
        return "endpointUrl", "engine openai asks a server; give its address, such as https://api.openai.com/v1"
    if not arm.endpoint_url.startswith(("https://", "http://")):
        return "endpointUrl", "a server's address begins with https:// or http://"
    if arm.model.name is None:
        return "model", "engine openai asks for a model by the name that its server knows; give model.name"
    if arm.model.revision is not None:
        return "model.revision", "which revision a server holds is its own; leave it out"
    if arm.adapter is not None:
        return "adapter", "a server loads its adapters itself; leave it out, and give its name there as model.name"
    if arm.quantization is not None:
        return "quantization", "how a server holds its model is its own; leave it out"
    return None


def _loaded(arm: Arm, engine: str, recipe: str) -> tuple[str, str] | None:
    if arm.endpoint_url is not None:
        return "endpointUrl", f"engine {engine} loads the model itself; leave it out, or set engine: openai"
    if engine == "transformers" and arm.gpus_per_shard > 1:
        return "gpusPerShard", "transformers holds a model on one GPU; set engine: vllm, which shares it among several"
    if engine == "vllm" and not recipes()[recipe].in_vllm:
        words = f"{recipe} has an engine of its own, and vllm does not hold what it trains; set engine: transformers"
        return "engine", f"{words}, or openai for a model that a server has"
    if engine == "vllm" and arm.quantization == "nf4":
        return "quantization", "vllm is not asked to hold a base in 4 bits; set engine: transformers for this arm"
    return None
