"""What an EvalRun asks, and how: the arms, the engine that runs them, and how answers are sampled."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from fabula_api.base import Count, Name, SpecModel, StatusModel, Text, Uri
from fabula_api.eval_results import MetricStatus
from fabula_api.shared_spec import ArtifactSource, ModelSource

Engine = Literal["transformers", "vllm", "openai"]
"""What generates answers: a library in the pod, or a server that speaks OpenAI's chat completions."""


class Arm(SpecModel):
    name: Name
    """Name of the arm in status and report."""
    model: ModelSource
    """Base model. With engine `openai`, `name` is what the server calls it, an adapter that it serves too."""
    engine: Engine | None = None
    """What generates this arm's answers. Default: `engine` of the run."""
    endpoint_url: Uri | None = None
    """For engine `openai`: the server's address with its version, such as `https://api.openai.com/v1`."""
    # Keys of stages have what is said of an arm, so what is left out must stay so.
    key_variable: Annotated[str, StringConstraints(max_length=63, pattern=r"^[A-Z][A-Z0-9_]*$")] | None = None
    """For engine `openai`: variable with the server's key, as the Secret of `secretRef` brings it; without such a
    variable, none is sent. Default: OPENAI_API_KEY."""
    concurrency: int | None = Field(None, ge=1, le=256)
    """For engine `openai`: requests that one shard has in flight at most. Default: 8."""
    adapter: ArtifactSource | None = None
    """What a FineTuneRun made of it: a LoRA adapter goes on top of the base model; the model of a full fine-tuning is
    taken in its place."""
    quantization: Literal["none", "nf4"] | None = None
    """How the base model is held, as in `lora.quantization`. Default: as the adapter was trained with it, and `none`
    without one. An adapter that was trained otherwise is refused."""
    gpus_per_shard: int = Field(1, ge=0, le=16)
    """GPUs of one inference pod; 0 runs on the CPU. Several, for a model that one cannot hold, share it with engine
    `vllm` (tensor parallel); `transformers` takes one. A served arm takes none."""


KEY_VARIABLE, CONCURRENCY = "OPENAI_API_KEY", 8
"""Of an arm that says nothing else."""


def engine_of(arm: Arm, usual: Engine) -> Engine:
    """What generates the arm's answers; `usual` is the run's."""
    return arm.engine or usual


def beyond_vllm(quantization: str, update_precision: str | None) -> str | None:
    """How training held base and update that vLLM would not; None where it holds both alike. It knows no base in 4 bits
    from a run, and adds an update to what is rounded already."""
    if quantization != "none":
        return f"on a base in {quantization}"
    return "with lora.precision fp32" if update_precision == "fp32" else None


class Generation(SpecModel):
    temperature: float = Field(0.7, ge=0, le=2)
    """Sampling temperature; 0 decodes greedily."""
    top_p: float = Field(0.8, gt=0, le=1)
    """Each token is drawn from the likeliest ones that together have this probability; 1 draws from all."""
    max_new_tokens: int = Field(2048, ge=1, le=32_768)
    """Longest answer in tokens."""
    batch_size: int | None = Field(None, ge=1, le=256)
    """Answers generated at once. Default: as many as the memory is likely to hold; `vllm` and servers keep more in
    flight by themselves."""
    seeds: list[int] = Field(default_factory=lambda: [0], min_length=1, max_length=16)
    """One answer for each seed and sample."""


class ShardCount(StatusModel):
    done: Count = 0
    """Finished."""
    total: Count = 0
    """In all."""
    failed: Count = 0
    """Failed for good."""


class ArmStatus(StatusModel):
    name: Text
    """Arm."""
    done: Count = 0
    """Answers written."""
    failed: Count = 0
    """Answers that could not be generated."""
    unparseable: Count = 0
    """Answers that the recipe cannot read, such as a dialogue without a turn; never counted as zero."""
    total: Count | None = None
    """Answers in all, one for each sample and seed, once that is known."""
    shards: ShardCount | None = None
    """Its inference shards."""
    eta: Text | None = None
    """Time left for its answers, as `2m10s`."""
    metrics: Annotated[list[MetricStatus], Field(max_length=32)] = Field(default_factory=list)
    """Means."""
