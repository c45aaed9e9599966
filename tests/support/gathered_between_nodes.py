"""What two nodes of two ranks gather, with and without `deepspeed.withinNode`: `python -m … FOLDER [mixed]`, as JSON.

A process of its own, whose copies are the ranks. Each case: the losses of four steps, the elements that were gathered
over all ranks and within a node, and the losses of the last two steps by ranks that went on from a checkpoint. `mixed`
has an update in fp32 on a base in bf16.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

from tests.support.operator_process import free_ports

NODES, RANKS = 2, 2
MIXED = "mixed" in sys.argv[2:]


def case(rank: int, folder: Path, within: bool, went_on: bool) -> dict[str, Any]:
    """One rank of a group; the first tells."""
    import deepspeed
    import torch
    import torch.distributed as dist
    from deepspeed.comm.torch import TorchBackend
    from transformers.integrations import HfDeepSpeedConfig

    from fabula_api.fine_tune_run import FineTuneRunSpec
    from fabula_workloads.training.launcher.deepspeed_config import render
    from fabula_workloads.training.messages.job import TrainingJob
    from fabula_workloads.training.model.tuned_model import build_model
    from fabula_workloads.training.saving import optimizer_state

    spec = FineTuneRunSpec.model_validate(
        {
            "dataset": {"uri": "d"},
            "model": {"uri": "m"},
            "training": {"precision": "bf16" if MIXED else "fp32", "gradientAccumulationSteps": 1},
            "lora": {"precision": "fp32"} if MIXED else {},
            "topology": {"nodes": NODES, "gpusPerNode": RANKS, "device": "cpu"},
            "deepspeed": {"withinNode": within},
        }
    )
    config = render(spec, hidden_size=64)
    # A tiny model would stay on its rank as a whole.
    config["zero_optimization"] |= {"stage3_param_persistence_threshold": 500, "stage3_max_live_parameters": 30_000}
    deepspeed.init_distributed("gloo", auto_mpi_discovery=False)
    _keep = HfDeepSpeedConfig(config)
    job = TrainingJob(
        spec=spec, dataset=Path(), model=folder / "model", base_name="tiny", deepspeed=config, work=Path()
    )  # fmt: skip
    torch.manual_seed(0)
    model = build_model(job)[1].train()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    engine, *_ = deepspeed.initialize(model=model, optimizer=optimizer, config=config)
    saved = folder / f"saved-{within}"
    if went_on:
        optimizer_state.restore(engine, saved)
    gathered: Counter[int] = Counter()
    gather = TorchBackend.all_gather_into_tensor

    def counting(self: Any, output_tensor: Any, input_tensor: Any, group: Any = None, async_op: bool = False) -> Any:
        gathered[dist.get_world_size(group)] += output_tensor.numel()
        return gather(self, output_tensor, input_tensor, group, async_op)

    TorchBackend.all_gather_into_tensor = counting
    tokens = torch.arange(10, 40)[None] + rank
    losses = []
    for step in range(2 if went_on else 0, 4):
        torch.manual_seed(step)
        loss = engine(input_ids=tokens, labels=tokens).loss
        engine.backward(loss)
        engine.step()
        losses.append(loss.item())
        if step == 1:
            saved.mkdir(exist_ok=True)
            optimizer_state.save(engine, saved, rank=rank)
    trained = sum(p.ds_numel for p in model.parameters() if p.requires_grad)
    return {"losses": losses, "everywhere": gathered[NODES * RANKS], "near": gathered[RANKS], "trained": trained}


def ranks_of(folder: Path, within: bool, went_on: bool) -> dict[str, Any]:
    """Run the group; what its first rank told."""
    told = folder / "told.json"
    os.environ |= {"WORLD_SIZE": str(NODES * RANKS), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_ports(1)[0])}
    children = []
    for rank in range(NODES * RANKS):
        if not (child := os.fork()):
            os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank % RANKS)}
            try:
                gathered = case(rank, folder, within, went_on)
                if rank == 0:
                    told.write_text(json.dumps(gathered))
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        children.append(child)
    if any(os.waitpid(child, 0)[1] for child in children):
        raise SystemExit("a rank failed")
    gathered: dict[str, Any] = json.loads(told.read_text())
    return gathered


def main() -> None:
    from fabula_workloads.training.rank.entry import prepare_libraries

    folder = Path(sys.argv[1])
    prepare_libraries(cuda=False)
    import deepspeed
    import torch
    import transformers

    assert deepspeed and transformers
    torch.set_num_threads(1)
    far, near = (ranks_of(folder, within, went_on=False) for within in (False, True))
    print(json.dumps({"far": far, "near": near, "went_on": ranks_of(folder, True, went_on=True)}))


if __name__ == "__main__":
    main()
