"""What ZeRO-3 gathers in a pass and for an adapter that is saved: `python -m … FOLDER DEVICE [mixed]`, as JSON.

One rank is enough: it gathers what eight would. `mixed` has an update in fp32 on a base in bf16. A process of its own,
for DeepSpeed stays in the one it was started in.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

os.environ |= {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
PASSES = 3
"""DeepSpeed knows the order of modules, and fetches ahead, from the third pass on."""


def main() -> None:
    from fabula_workloads.training.rank.entry import prepare_libraries

    folder, device, *mixed = sys.argv[1:]
    prepare_libraries(cuda=device == "cuda")
    import deepspeed
    import torch
    from deepspeed.runtime.zero.partition_parameters import ZeroParamStatus
    from deepspeed.runtime.zero.partitioned_param_coordinator import PartitionedParameterCoordinator as Coordinator
    from transformers.integrations import HfDeepSpeedConfig

    from fabula_api.fine_tune_run import FineTuneRunSpec
    from fabula_workloads.training.launcher.deepspeed_config import render
    from fabula_workloads.training.libraries.zero import trained_weights
    from fabula_workloads.training.messages.job import TrainingJob
    from fabula_workloads.training.model.tuned_model import build_model

    wire: dict[str, Any] = {"dataset": {"uri": "d"}, "model": {"uri": "m"}, "training": {"precision": "fp32"}}
    if mixed:
        wire |= {"training": {"precision": "bf16"}, "lora": {"precision": "fp32"}}
    spec = FineTuneRunSpec.model_validate(wire | {"topology": {"gpusPerNode": 1, "device": device}})
    config = render(spec, hidden_size=64)
    # A tiny model would stay on its rank as a whole.
    config["zero_optimization"] |= {
        "stage3_param_persistence_threshold": 500,
        "stage3_prefetch_bucket_size": 10_000,
        "stage3_max_live_parameters": 30_000,
        "stage3_max_reuse_distance": 0,
    }
    deepspeed.init_distributed("nccl" if device == "cuda" else "gloo", auto_mpi_discovery=False)
    _keep = HfDeepSpeedConfig(config)
    job = TrainingJob(spec=spec, dataset=Path(), model=Path(folder), base_name="tiny", deepspeed=config, work=Path())
    model = build_model(job)[1].train()
    trained = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad])
    engine, *_ = deepspeed.initialize(model=model, optimizer=trained, config=config)

    gather = Coordinator._PartitionedParameterCoordinator__all_gather_params_  # type: ignore[attr-defined]
    names = {parameter.ds_id: name for name, parameter in model.named_parameters()}
    gathered: Counter[str] = Counter()

    def counting(self: Any, parameters: Any, *args: Any, **kwargs: Any) -> Any:
        gathered.update(names[p.ds_id] for p in parameters if p.ds_status == ZeroParamStatus.NOT_AVAILABLE)
        return gather(self, parameters, *args, **kwargs)

    Coordinator._PartitionedParameterCoordinator__all_gather_params_ = counting  # type: ignore[attr-defined]
    assert engine.device.type == device
    tokens = torch.arange(10, 40, device=device)[None]
    for _ in range(PASSES):
        gathered.clear()
        engine.backward(engine(input_ids=tokens, labels=tokens).loss)
    frozen = {name: times for name, times in gathered.items() if name.endswith("_proj.base_layer.weight")}

    entering, saved = deepspeed.zero.GatheredParameters.__enter__, Counter[str]()

    def entered(self: Any) -> Any:
        saved.update({names[p.ds_id]: 1 for p in self.params if p.ds_status == ZeroParamStatus.NOT_AVAILABLE})
        return entering(self)

    deepspeed.zero.GatheredParameters.__enter__ = entered
    weights = trained_weights(engine) or {}
    trained = {name: list(p.ds_shape) for name, p in model.named_parameters() if p.requires_grad}
    assert {name: list(tensor.shape) for name, tensor in weights.items()} == trained
    before = {name: tensor.clone() for name, tensor in weights.items()}
    engine.step()
    engine.backward(engine(input_ids=tokens, labels=tokens).loss)
    assert all(torch.equal(tensor, before[name]) for name, tensor in weights.items()), "they are copies"
    print(json.dumps({"frozen": frozen, "saved": saved, "trained": sorted(trained)}))
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
