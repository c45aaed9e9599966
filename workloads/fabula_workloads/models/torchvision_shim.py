"""torchvision beside a torch built without CUDA.

A torchvision wheel built for CUDA cannot register its operators there, and transformers then hides the failure behind
"Could not import module 'AutoProcessor'". Declaring the two schemas that its import looks for is enough for all that
image processing needs; `torchvision.ops.nms` itself stays unusable, and nothing here calls it.
"""

from __future__ import annotations

import sys
from typing import Any

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_libraries: list[object] = []
"""Libraries live as long as they are referenced; dropping one would take its schemas with it."""


def prepare_torchvision() -> None:
    """Make `import torchvision` work with a CPU build of torch. Call before importing transformers; twice is once."""
    if _libraries or "torchvision" in sys.modules:
        return
    import torch

    if torch.version.cuda is not None:
        return
    try:
        torch._C._dispatch_find_schema_or_throw("torchvision::nms", "")
    except RuntimeError:
        library: Any = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
        for schema in _SCHEMAS:
            library.define(schema)
        _libraries.append(library)
