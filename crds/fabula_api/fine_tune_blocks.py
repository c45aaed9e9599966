"""Blocks of a FineTuneRun beside the training itself: what is checked before it, and watched during it."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from fabula_api.base import Duration, Quantity, Rule, SpecModel, StatusModel, Text

CODE_BEARING = ("PYTHON", "LD_", "HF_", "TRANSFORMERS_", "AWS_ENDPOINT")
"""Beginnings of environment variables that can change what a worker computes, or where it reads from."""


NETWORK_ANNOTATIONS = ("k8s.v1.cni.cncf.io/", "networking.gke.io/", "devices.gke.io/", "k8s.ovn.org/")
"""Beginnings of annotations by which a pod asks for another network. Others could loosen what holds a pod."""


class Template(SpecModel):
    """Changes of the training pod. With a `command` of its own the image need not be Fabula's: it reports by Kubeflow
    Trainer's protocol (KEP-2779), as Hugging Face's Trainer does by itself, and its exit code 0 ends the run well.
    In `command`, `args` and `env` Kubernetes expands `$(NAME)`, as in any pod; `$$` is one `$`."""

    cel: ClassVar[tuple[Rule, ...]] = (
        {"rule": "size(self.args) == 0 || size(self.command) > 0", "message": "args goes with command"},
    )
    image: Text | None = None
    """Image in place of the operator's."""
    command: list[Text] = Field(default_factory=list, max_length=64)
    """Command in place of `fabula-worker train`. It finds the whole spec as JSON in FABULA_CONFIG."""
    args: list[Text] = Field(default_factory=list, max_length=256)
    """Arguments of `command`."""
    env: Annotated[dict[Text, Text], Field(max_length=64)] = Field(default_factory=dict)
    """Environment variables, for example `NCCL_SOCKET_IFNAME: eth0`. Secrets belong into `secretRef`."""

    @property
    def foreign(self) -> bool:
        """Whether something else than Fabula's own worker trains."""
        return bool(self.command)

    @property
    def code(self) -> dict[str, Any] | None:
        """The image and the variables that decide which code runs and whom it asks; None where there are none."""
        env = {name: value for name, value in self.env.items() if name.startswith(CODE_BEARING)}
        parts = ({"image": self.image} if self.image else {}) | ({"env": env} if env else {})
        return parts or None


class Rdma(SpecModel):
    """A network that goes past the kernel, such as InfiniBand, RoCE or EFA, in each pod of a group."""

    cel: ClassVar[tuple[Rule, ...]] = (
        {
            "rule": "self.resources.all(name, name.contains('/'))",
            "message": "devices have names such as rdma/hca_shared_devices; cpu and memory belong into spec.resources",
            "fieldPath": ".resources",
        },
        {
            "rule": "self.annotations.all(name, "
            + " || ".join(f"name.startsWith('{prefix}')" for prefix in NETWORK_ANNOTATIONS)
            + ")",
            "message": f"annotations are those of a network: {', '.join(NETWORK_ANNOTATIONS)}",
            "fieldPath": ".annotations",
        },
    )
    resources: Annotated[dict[Text, Quantity], Field(min_length=1, max_length=8)]
    """Devices, by the names that the cluster's device plugin gives them: `rdma/hca_shared_devices: "1"`."""
    annotations: Annotated[dict[Text, Text], Field(max_length=16)] = Field(default_factory=dict)
    """Annotations of the pods, such as Multus' `k8s.v1.cni.cncf.io/networks`."""
    ipc_lock: bool = False
    """Adds the capability IPC_LOCK, which PodSecurity `baseline` and `restricted` refuse. Without it the nodes'
    container runtime must let any process pin memory (`LimitMEMLOCK=infinity`), as containerd's own unit does."""


class Preflight(SpecModel):
    """The estimate of memory and hours that is made before a GPU is taken."""

    policy: Literal["enforce", "warn", "off"] = "enforce"
    """`enforce` refuses a run whose weights and state alone are more than a GPU holds; `warn` says so and starts it."""
    billion_parameters: float | None = Field(None, gt=0, le=100_000)
    """Parameters of the base model in billions, where Fabula does not know the model by its name."""


class Watchdog(SpecModel):
    """What is watched in the reports of a training run at work, and what happens when it is not well."""

    stall_factor: float = Field(20, ge=2, le=10_000)
    """The run has stalled when no step came for this many times the usual step time."""
    grace: Duration = "10m"
    """Shortest silence that counts as a stall; checkpoints and evaluations take longer than a step."""
    loss_spike_factor: float = Field(3, ge=1.1, le=1000)
    """A loss above this many times the usual one (the median of the last 32 steps) is a spike."""
    policy: Literal["warn", "restart", "fail"] = "warn"
    """After a stall or a spike `Healthy` becomes False and an event tells of it; then `warn` lets the run go on,
    `restart` begins the next attempt from the last checkpoint, charged to `retries.failure`, and `fail` ends the run.
    Falling throughput is only told. After a loss or gradient that is NaN or infinite Fabula's own worker never trains
    on: with `fail` the run ends, else the next attempt begins."""


class Estimate(StatusModel):
    """What one rank is expected to need. An estimate: it is made from sizes, not from a trial."""

    least_gib: float | None = None
    """GiB of weights and training state alone; a GPU with less cannot do it."""
    memory_gib: float | None = None
    """GiB at the peak of a sample of `maxLength` tokens."""
    available_gib: float | None = None
    """GiB that `topology.product` has; absent when it is not given or not known."""
    step_seconds: float | None = None
    """Seconds of an optimizer step; absent while product or model is not known."""
    hours: float | None = None
    """Hours of training; absent while samples, product or model are not known."""
    basis: Literal["sizes", "steps"] = "sizes"
    """What `stepSeconds` and `hours` rest on: sizes alone, or the run's own steps, once it made 20."""
    note: Text | None = None
    """What the figures rest on, or why there are none."""
