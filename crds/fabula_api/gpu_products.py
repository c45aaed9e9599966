"""Memory and speed of GPUs by the name that their node label gives them (`nvidia.com/gpu.product`)."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU, as its driver and its data sheet tell."""

    memory_gib: float
    """What the driver reports."""
    teraflops: float | None = None
    """Dense bf16 at the peak; None where it is not known or not offered."""


GPUS: dict[str, Gpu] = {
    "NVIDIA-A100-SXM4-80GB": Gpu(80.0, 312),
    "NVIDIA-A100-80GB-PCIe": Gpu(80.0, 312),
    "NVIDIA-A100-SXM4-40GB": Gpu(40.0, 312),
    "NVIDIA-A100-PCIE-40GB": Gpu(40.0, 312),
    "NVIDIA-H100-80GB-HBM3": Gpu(79.6, 989),
    "NVIDIA-H100-PCIe": Gpu(79.6, 756),
    "NVIDIA-H100-NVL": Gpu(93.6, 835),
    "NVIDIA-H200": Gpu(140.4, 989),
    "NVIDIA-H20": Gpu(95.6, 148),
    "NVIDIA-H800": Gpu(79.6, 989),
    "NVIDIA-A800-SXM4-80GB": Gpu(80.0, 312),
    "NVIDIA-A800-80GB-PCIe": Gpu(80.0, 312),
    # Named by the memory of its CPU.
    "NVIDIA-GH200-480GB": Gpu(95.6, 989),
    "NVIDIA-GH200-144G-HBM3e": Gpu(140.4, 989),
    "NVIDIA-B200": Gpu(179.1, 2250),
    "NVIDIA-B300-SXM6-AC": Gpu(268.6, 2250),
    "NVIDIA-L40S": Gpu(45.0, 362),
    "NVIDIA-L4": Gpu(22.5, 121),
    "NVIDIA-A10": Gpu(22.5, 125),
    "NVIDIA-A10G": Gpu(22.5, 70),
    "Tesla-T4": Gpu(15.0),
    "Tesla-V100-SXM2-16GB": Gpu(16.0),
    "Tesla-V100-SXM2-32GB": Gpu(32.0),
}

_SLICE = re.compile(r"-MIG-\d+g\.(\d+)gb", re.IGNORECASE)
_SIZE = re.compile(r"-(\d+)GB\b", re.IGNORECASE)


def gpu(product: str) -> Gpu | None:
    """The GPU of that name; of an unknown one, the memory that its name tells, if any."""
    plain = product.removesuffix("-SHARED")
    if plain in GPUS:
        return GPUS[plain]
    if size := _SLICE.search(plain) or _SIZE.search(plain):
        return Gpu(float(size[1]))
    return None
