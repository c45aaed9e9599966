"""What a stage is started with: kind of child, device, GPUs, shards, time to end; and what could not be started."""

from __future__ import annotations

from fabula_api.artifact import canonical_json
from fabula_api.entries import instance
from fabula_api.status import FailureDigest
from fabula_api.worker import CONFIG_VARIABLE
from fabula_operator.plan.acceptance.model_facts import fetched_bytes
from fabula_operator.plan.kinds import KINDS
from fabula_operator.plan.money.paid import last_call_seconds
from fabula_operator.plan.seen.observed import Observed
from fabula_operator.plan.stages.key import Work, stage_folder
from fabula_operator.render.launch import Backend, Launch
from fabula_operator.render.literal import VARIABLE_LIMIT, fits
from fabula_operator.render.pod import config_text


def launch_of(seen: Observed, work: Work, backend: Backend, key: str, place: str) -> Launch:
    """The child that carries out the work on a stage, whose folder's name is `place`."""
    run, stage, spec = seen.run, work.stage, work.spec
    needs = KINDS[run.identity.kind].needs(spec, stage, work.entry)
    return Launch(
        run=run.identity,
        generation=run.generation,
        stage=stage.name,
        shape=stage.shape,
        key=key,
        output=stage_folder(run.identity, spec, work.root, stage.name, work.entry_name, place),
        spec=spec,
        arm=work.entry_name,
        backend=backend if stage.shape == "group" else "Job",
        shards=needs.shards,
        inputs=work.inputs,
        device=needs.device,
        gpus=needs.gpus,
        resources=needs.resources,
        template=needs.template,
        topology=needs.topology,
        vllm=needs.vllm,
        retries=spec.retries,
        model_bytes=fetched_bytes(needs.model) if needs.model else 0,
        model_of_hub=needs.model is not None and needs.model.name is not None,
        queue=needs.queue,
        grace_seconds=last_call_seconds(spec, instance(stage.name, work.entry_name)),
    )


def too_large(launch: Launch, root: str) -> FailureDigest | None:
    """Why no process could be started for the launch; None where one can be."""
    text = config_text(launch, root)
    if fits(text):
        return None
    spec = launch.spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    parts = {name: len(canonical_json(part)) for name, part in spec.items()}
    largest = max(parts, key=lambda name: parts[name])
    return FailureDigest(
        reason="ConfigTooLarge",
        message=f"{CONFIG_VARIABLE} of stage {launch.stage} would take {len(text.encode()):,} bytes, and a process can "
        f"be given {VARIABLE_LIMIT:,}; shorten the spec, above all spec.{largest} with {parts[largest]:,} bytes",
        stage=launch.stage,
    )
