"""The GPUs of a pod, as torch sees them, held to what preflight takes them to be."""

from __future__ import annotations

import time
from dataclasses import dataclass

from fabula_api.gpu_products import gpu
from fabula_api.probe import Finding

_TOLERANCE = 0.05
"""Driver and error correction take a little of a card's memory."""
_LEAST_SHARE = 0.3
"""Of the data sheet's speed, which a large product of matrices reaches on a card that is well."""
_SIDE, _TIMES = 8192, 20


@dataclass(frozen=True, slots=True)
class Card:
    """One GPU."""

    name: str
    memory_gib: float
    bf16: bool
    teraflops: float
    """Of a product of two bf16 matrices with 8192 rows."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What torch says of this pod's GPUs."""

    torch: str
    cuda: str | None
    """CUDA that torch was built for; None is a build for CPUs."""
    cards: tuple[Card, ...] = ()
    problem: str | None = None
    """Why it could not use one."""
    compiles: str | None = None
    """Why no kernel could be compiled; None where one was."""


def look() -> Seen:
    """Use each GPU once."""
    import torch

    version, cuda = torch.__version__, torch.version.cuda
    if not torch.cuda.is_available():
        try:
            torch.zeros(1, device="cuda")
        except (RuntimeError, AssertionError) as error:
            return Seen(version, cuda, problem=str(error).partition("\n")[0])
        return Seen(version, cuda, problem="torch sees none")
    try:
        cards = tuple(_measure(number) for number in range(torch.cuda.device_count()))
    except RuntimeError as error:
        return Seen(version, cuda, problem=str(error).partition("\n")[0])
    return Seen(version, cuda, cards, compiles=_compile())


def _measure(number: int) -> Card:
    import torch

    told = torch.cuda.get_device_properties(number)
    left = torch.randn(_SIDE, _SIDE, device=f"cuda:{number}", dtype=torch.bfloat16)
    left @ left
    torch.cuda.synchronize(number)
    began = time.monotonic()
    for _ in range(_TIMES):
        left @ left
    torch.cuda.synchronize(number)
    speed = 2 * _SIDE**3 * _TIMES / (time.monotonic() - began) / 1e12
    return Card(told.name, told.total_memory / 2**30, torch.cuda.is_bf16_supported(), speed)


def _compile() -> str | None:
    """Triton compiles a kernel and its launcher: it needs the image's compiler, and Python's headers."""
    import torch

    def twice(value: torch.Tensor) -> torch.Tensor:
        return torch.sin(value) * 2

    try:
        torch.compile(twice)(torch.ones(1024, device="cuda"))
    except Exception as error:  # whatever Triton, gcc or the driver say
        return f"{type(error).__name__}: {error}".partition("\n")[0]
    return None


def judge(seen: Seen, wanted: int, product: str | None) -> list[Finding]:
    """What of it differs from what preflight and the images take for granted. `product` is the node's label."""
    built = f"torch {seen.torch}" + (f" for CUDA {seen.cuda}" if seen.cuda else "")
    if seen.cuda is None:
        said = f"{built} is a build for CPUs: images.gpu of the chart names another image than `gpu`"
        return [Finding(about="GPU", state="MISSING", said=said)]
    if seen.problem:
        said = f"{built} cannot use the GPU that the pod has: {seen.problem}. A driver older than 580 needs a torch"
        return [Finding(about="GPU", state="MISSING", said=f"{said} for CUDA 12 (TORCH in images/README.md)"[:600])]
    findings = [_counted(seen, wanted, built)]
    findings += [_held(card, product) for card in dict.fromkeys(seen.cards)]
    if seen.compiles:
        said = f"no kernel can be compiled ({seen.compiles}): Liger and torch.compile fail in this image"
        findings.append(Finding(about="Triton", state="DIFFERS", said=said[:600]))
    else:
        findings.append(Finding(about="Triton", state="OK", said="a kernel was compiled and run"))
    return findings


def _counted(seen: Seen, wanted: int, built: str) -> Finding:
    names = ", ".join(sorted({card.name for card in seen.cards}))
    said = f"{len(seen.cards)} of {wanted} that were asked for: {names}; {built}"
    return Finding(about="GPU", state="OK" if len(seen.cards) == wanted else "DIFFERS", said=said)


def _held(card: Card, product: str | None) -> Finding:
    """Memory and speed, against the table that preflight goes by."""
    about, said = "GPU", f"{card.name}: {card.memory_gib:.1f} GiB, {card.teraflops:.0f} TFLOP/s in bf16"
    known = gpu(product) if product else None
    if known is None:
        said += f"; preflight does not know {product or 'a node without label'}"
        return Finding(about=about, state="NOTE", said=said)
    if not card.bf16:
        said += ", which it only emulates: set training.precision: fp32"
        return Finding(about=about, state="DIFFERS", said=said)
    if abs(card.memory_gib - known.memory_gib) > _TOLERANCE * known.memory_gib:
        said += f", but preflight reckons with {known.memory_gib:.1f} GiB for {product}"
        return Finding(about=about, state="DIFFERS", said=said)
    if known.teraflops and card.teraflops < _LEAST_SHARE * known.teraflops:
        said += f", far below the {known.teraflops:.0f} of its data sheet: is it hot, or has somebody else work on it?"
        return Finding(about=about, state="DIFFERS", said=said)
    return Finding(about=about, state="OK", said=f"{said}, as preflight reckons for {product}")
