"""Gradients of one optimizer step as DeepSpeed adds them up: `python -m … FOLDER`, figures as JSON.

Plain gradient descent at rate 1 moves each fp32 weight of the optimizer by minus its gradient, so what an engine has
added up is read from its weights. A process of its own, for DeepSpeed stays in the one it was started in.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ |= {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
PASSES = 32


def main() -> None:
    from fabula_workloads.training.rank.entry import prepare_libraries

    prepare_libraries(cuda=False)
    import deepspeed
    import torch

    from fabula_api.fine_tune_run import FineTuneRunSpec
    from fabula_workloads.training.launcher.deepspeed_config import render
    from fabula_workloads.training.libraries.zero import MASTER, own_part
    from fabula_workloads.training.messages.job import TrainingJob
    from fabula_workloads.training.model.tuned_model import build_model

    deepspeed.init_distributed("gloo", auto_mpi_discovery=False)

    def gradient(precision: str, accumulated: str) -> torch.Tensor:
        training = {"precision": precision, "gradientAccumulationSteps": PASSES, "maxGradNorm": 0}
        spec = FineTuneRunSpec.model_validate(
            {
                "dataset": {"uri": "d"}, "model": {"uri": "m"}, "training": training, "deepspeed": {"stage": 2},
                "lora": {"dropout": 0.0}, "topology": {"gpusPerNode": 1, "device": "cpu"},
            }
        )  # fmt: skip
        config = render(spec, hidden_size=64) | {"zero_allow_untested_optimizer": True}
        if precision == "bf16":
            config |= {"data_types": {"grad_accum_dtype": accumulated}, "communication_data_type": accumulated}
        folder = Path(sys.argv[1])
        job = TrainingJob(spec=spec, dataset=Path(), model=folder, base_name="m", deepspeed=config, work=Path())
        torch.manual_seed(0)
        _, model = build_model(job)
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        # A new adapter's second factor is 0, and would leave the first without a gradient.
        draw = torch.Generator().manual_seed(1)
        for parameter in trained:
            parameter.data = (torch.randn(parameter.shape, generator=draw) * 0.05).bfloat16().to(parameter.dtype)
        engine, optimizer, *_ = deepspeed.initialize(
            model=model.train(), optimizer=torch.optim.SGD(trained, lr=1.0), config=config
        )
        parts: list[Any] = [own_part(optimizer, parameter, MASTER) for parameter in trained]
        before = torch.cat([part.tensor.flatten().float().clone() for part in parts])
        words = torch.Generator().manual_seed(2)
        for _ in range(PASSES):
            tokens = torch.randint(10, 200, (1, 24), generator=words)
            engine.backward(engine(input_ids=tokens, labels=tokens).loss)
            engine.step()
        return before - torch.cat([part.tensor.flatten().float() for part in parts])

    exact = gradient("fp32", "fp32")
    off = {
        accumulated: float((gradient("bf16", accumulated) - exact).norm() / exact.norm())
        for accumulated in ("bf16", "fp32")
    }
    print(json.dumps({"norm": float(exact.norm()), "off": off}))
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
