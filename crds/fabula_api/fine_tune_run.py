"""FineTuneRun: fine-tuning of a vision-language model on a dataset, by LoRA or in full."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from fabula_api.base import Name, Quantity, Rule, SpecModel, Text, untouched
from fabula_api.fine_tune_blocks import Preflight, Rdma, Template, Watchdog
from fabula_api.shared_spec import ArtifactSource, ModelSource, PixelWindow, Resources, Retries, RunSpec

TARGET_MODULES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


class Lora(SpecModel):
    rank: int = Field(16, ge=1, le=512)
    """Width of the low-rank update (r). Parameters grow linearly with it."""
    alpha: int = Field(32, ge=1, le=4096)
    """Scale of the update; the effective factor is alpha / rank."""
    dropout: float = Field(0.05, ge=0, lt=1)
    """Dropout on the update's input."""
    target_modules: list[Text] = Field(default_factory=lambda: list(TARGET_MODULES), min_length=1, max_length=32)
    """Linear layers that get an update, by the last part of their name."""
    quantization: Literal["none", "nf4"] = "none"
    """How the frozen base is held: `nf4` keeps the matrices of its language layers in 4 bits (QLoRA: NF4 with double
    quantisation, by bitsandbytes), and computes in `training.precision`. Recorded with the adapter; inference holds the
    base in the same way."""
    precision: Literal["fp32"] | None = None
    """Number format of the update and its path. Default: `training.precision`. `fp32` holds and computes the update in
    fp32, and adds it to its layer's product before that is rounded to bf16, which otherwise loses most of an update as
    small as the published one. Recorded with the adapter; inference does the same, and does not merge it."""


class Training(SpecModel):
    cel: ClassVar[tuple[Rule, ...]] = (
        {
            "rule": "self.recomputeEvery == 1 || self.gradientCheckpointing",
            "message": "recomputeEvery goes with gradientCheckpointing",
            "fieldPath": ".recomputeEvery",
        },
        {
            "rule": "self.keepLayers == 0 || (self.gradientCheckpointing && self.recomputeEvery == 1)",
            "message": "keepLayers goes with gradientCheckpointing, and takes the place of recomputeEvery",
            "fieldPath": ".keepLayers",
        },
    )
    method: Literal["lora", "full"] = "lora"
    """What is trained: `lora` a low-rank update of a frozen base; `full` the language model's own weights, embeddings
    and output matrix included, while the vision tower and its mergers stay frozen. It makes a whole model."""
    learning_rate: float = Field(4e-6, gt=0, le=1)
    """Peak learning rate; cosine decay to zero."""
    epochs: float = Field(1, gt=0, le=10_000)
    """Passes over the training split."""
    max_steps: int | None = Field(None, ge=1)
    """Optimizer steps in all; takes the place of `epochs`."""
    per_device_batch_size: int = Field(1, ge=1, le=1024)
    """Samples (with `packing`: packed sequences) a rank takes in one forward pass."""
    gradient_accumulation_steps: int = Field(4, ge=1, le=4096)
    """Forward passes for one optimizer step."""
    weight_decay: float = Field(0.1, ge=0, le=10)
    """Decoupled weight decay of AdamW."""
    warmup_ratio: float = Field(0.1, ge=0, lt=1)
    """Share of the steps in which the learning rate rises."""
    warmup_steps: int | None = Field(None, ge=0)
    """Steps in which it rises, at most all of them; takes the place of `warmupRatio`."""
    max_grad_norm: float = Field(0.3, ge=0, le=1000)
    """Gradients are clipped to this norm; 0 turns clipping off. It is written into the DeepSpeed config."""
    neftune_noise_alpha: float = Field(5, ge=0, le=100)
    """Noise on the embeddings during training (NEFTune); 0 turns it off."""
    max_length: int = Field(8192, ge=32, le=1_048_576)
    """Longest sample in tokens; longer ones are left out and counted."""
    bad_samples: Literal["stop", "skip"] = "stop"
    """What happens to a sample that cannot be read (its line, a picture that is missing or damaged, a control token in
    its text): `stop` ends the run and names it, `skip` leaves it out, says so in the log and counts it."""
    packing: bool = False
    """Several samples in one sequence of at most `maxLength` tokens, with attention that does not cross them. Loss and
    gradients stay the same; an optimizer step sees more samples."""
    group_by_length: bool = True
    """Within an optimizer step, take samples of similar length together: less padding, and ranks wait less for each
    other. Which samples a step sees stays the same, and so does its loss."""
    gradient_checkpointing: bool = True
    """Recompute activations in the backward pass: less memory, about a third more compute."""
    recompute_every: int = Field(1, ge=1, le=256)
    """With `gradientCheckpointing`: recompute only every n-th layer, which saves compute where memory is left. 2 halves
    what is recomputed."""
    keep_layers: int = Field(0, ge=0, le=1024)
    """With `gradientCheckpointing`: so many layers, the last ones, keep their activations and are not recomputed. The
    estimate before the run says how many find room."""
    kernels: Literal["torch", "liger"] = "torch"
    """Who computes a layer's norms, rotary positions and gated unit: `liger` fuses each into one GPU kernel."""
    precision: Literal["bf16", "fp32"] = "bf16"
    """Number format of the forward and backward pass. In `fp32`, GPUs that have TF32 multiply matrices in it."""
    deterministic: bool = False
    """On GPUs, compute each step the same to the bit whenever it is made again, also after a resume. Slower: attention
    and embeddings then add gradients in one order. On a CPU nothing changes."""
    loader_workers: int = Field(4, ge=0, le=64)
    """Processes that prepare samples, for each rank."""
    seed: int = Field(42, ge=0, le=2**31 - 1)
    """Seed of order, dropout and noise."""


class DeepSpeed(SpecModel):
    cel: ClassVar[tuple[Rule, ...]] = (
        {
            "rule": "self.offload != 'all' || self.stage == 3",
            "message": "only stage 3 can move weights to CPU memory; use offload optimizer, or stage 3",
            "fieldPath": ".offload",
        },
        {
            "rule": "self.offload == 'none' || self.stage >= 2",
            "message": "offload is for the stages 2 and 3; use one of them, or offload none",
            "fieldPath": ".offload",
        },
    )
    stage: Literal[0, 1, 2, 3] = 3
    """ZeRO stage: 0 shards nothing (plain data parallelism, for `precision: fp32`), 1 the optimizer's state, 2
    gradients too, 3 the weights too."""
    offload: Literal["none", "optimizer", "all"] = "none"
    """What moves to CPU memory: `optimizer` its state and its step; `all`, under stage 3, the weights too."""
    within_node: bool = False
    """For several nodes under stage 3: each node holds all weights besides, in shards of its own ranks, and gathers
    them within itself (ZeRO++'s hpZ, https://arxiv.org/abs/2306.10209). Frozen weights then never travel between nodes.
    Each GPU holds the model's bytes / `gpusPerNode` more. The losses are the same to the bit."""


class Topology(SpecModel):
    cel: ClassVar[tuple[Rule, ...]] = (
        {
            "rule": "!(has(self.requiredDomain) && has(self.preferredDomain))",
            "message": "give requiredDomain or preferredDomain, not both",
        },
    )
    nodes: int = Field(1, ge=1, le=1024)
    """Pods, one for each node."""
    gpus_per_node: int = Field(8, ge=1, le=64)
    """Ranks in each pod; with `device: cuda`, as many GPUs."""
    device: Literal["cuda", "cpu"] = "cuda"
    """`cpu` runs the same ranks on gloo, without GPUs."""
    product: Text | None = None
    """GPU product by its node label, for example `NVIDIA-A100-SXM4-80GB`."""
    shared_memory: Quantity | None = None
    """Size of `/dev/shm` in each pod; it counts as the pod's memory. Default: 64Gi, or what the
    installation says."""
    required_domain: Text | None = None
    """Node label, such as `topology.kubernetes.io/zone` or a rack's, whose value all pods must share: they are placed
    close together, or not at all."""
    preferred_domain: Text | None = None
    """As `requiredDomain`, but other places are taken where there is no room."""
    rdma: Rdma | None = None
    """Network between the nodes that goes past the kernel. Default: none is asked for."""


class Checkpoints(SpecModel):
    every_steps: int = Field(62, ge=1)
    """Steps between two committed checkpoints; the last step always commits one."""
    keep: int = Field(10, ge=1, le=1000)
    """Checkpoints that stay; older ones are removed."""


class FineTuneRunSpec(RunSpec):
    """Fine-tunes a vision-language model on a dataset with DeepSpeed, by LoRA or in full."""

    cel: ClassVar[tuple[Rule, ...]] = (
        {
            "rule": "self.training.kernels == 'torch' || self.topology.device == 'cuda'",
            "message": "liger's kernels run on GPUs only; use torch with topology.device cpu",
            "fieldPath": ".training.kernels",
        },
        {
            "rule": f"self.training.method != 'full' || ({untouched(Lora, 'self.lora')})",
            "message": "lora is for training.method lora; leave it out with full",
            "fieldPath": ".lora",
        },
        {
            "rule": "!self.deepspeed.withinNode || (self.deepspeed.stage == 3 && self.deepspeed.offload != 'all' && "
            "self.topology.nodes > 1 && self.topology.gpusPerNode > 1)",
            "message": "withinNode is for stage 3 on several nodes of several GPUs, with weights on the GPUs",
            "fieldPath": ".deepspeed.withinNode",
        },
        {
            "rule": "self.deepspeed.stage != 0 || self.training.precision == 'fp32'",
            "message": "stage 0 is for training.precision fp32: in bf16 gradients are added up in fp32, which "
            "DeepSpeed does in shards; use stage 1",
            "fieldPath": ".deepspeed.stage",
        },
        {
            "rule": "!has(self.lora.precision) || self.lora.quantization == 'none'",
            "message": "the product of a base in 4 bits is rounded before an update can be added; use one of them",
            "fieldPath": ".lora.precision",
        },
        {
            "rule": "!self.deepspeed.withinNode || self.lora.quantization == 'none'",
            "message": "withinNode is not proved for weights in 4 bits; use one of them",
            "fieldPath": ".deepspeed.withinNode",
        },
    )
    dataset: ArtifactSource
    """What to train on."""
    model: ModelSource
    """The base model."""
    lora: Lora = Field(default_factory=Lora)
    """The low-rank update; left out with `training.method: full`."""
    training: Training = Field(default_factory=Training)
    """Optimizer, batch and schedule."""
    pixels: PixelWindow = Field(default_factory=PixelWindow)
    """Size of the pictures the model sees; recorded with the result and checked at inference."""
    deepspeed: DeepSpeed = Field(default_factory=DeepSpeed)
    """How state is spread over the ranks."""
    topology: Topology = Field(default_factory=Topology)
    """How many ranks, and where."""
    backend: Literal["auto", "PyTorchJob", "Job"] = "auto"
    """Kind of child. `auto`: PyTorchJob where the training operator's CRD is installed and the run has one node, else
    Job. For several nodes under PyTorchJob the training operator's init container has to be set up."""
    checkpoints: Checkpoints = Field(default_factory=Checkpoints)
    """How often state is committed."""
    retries: Retries = Field(default_factory=Retries)
    """How often the group is restarted."""
    queue: Name | None = None
    """Kueue LocalQueue that admits the run."""
    resources: Resources = Field(default_factory=Resources)
    """Resources of one pod, beside its GPUs."""
    template: Template = Field(default_factory=Template)
    """Image, command and environment of the training pod."""
    preflight: Preflight = Field(default_factory=Preflight)
    """What is checked before a GPU is taken."""
    gpu_hour_usd: float | None = Field(None, ge=0, le=10_000)
    """Dollars for one GPU hour. Default: the operator's price of `topology.product`."""
    watchdog: Watchdog = Field(default_factory=Watchdog)
    """What is watched while it trains."""

    @property
    def global_batch_size(self) -> int:
        """Samples (with packing: packed sequences) of one optimizer step, over all ranks and forward passes."""
        ranks = self.topology.nodes * self.topology.gpus_per_node
        return ranks * self.training.per_device_batch_size * self.training.gradient_accumulation_steps

    @property
    def learns_language(self) -> bool:
        """Whether the language model, or an update of it, is trained. A recipe's own spec may say otherwise."""
        return True

    def weights_beside(self, hidden: int) -> int:
        """Weights that a recipe trains beside a language model of this width."""
        return 0

    @property
    def decisive_template(self) -> dict[str, Any] | None:
        """What of `template` decides the output: all of it where a foreign command trains, else what brings code."""
        if self.template.foreign:
            return self.template.model_dump(mode="json", by_alias=True)
        return self.template.code

    @property
    def decisive_training(self) -> dict[str, Any]:
        """What of `training` decides the result. Its batch counts as a whole, however ranks and passes cut it up."""
        cut = {
            "per_device_batch_size",
            "gradient_accumulation_steps",
            "loader_workers",
            "recompute_every",
            "keep_layers",
            "deterministic",
        }
        if self.training.bad_samples == "stop":
            cut.add("bad_samples")  # where none is bad, nothing hangs on it
        if self.training.warmup_steps is None:
            cut.add("warmup_steps")  # a run that does not say it is the run that it was before there was such a field
        decisive = self.training.model_dump(mode="json", by_alias=True, exclude=cut)
        return decisive | {"globalBatchSize": self.global_batch_size}
