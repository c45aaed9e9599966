"""Characters' features by person, out of the published files, which run no code while they are read."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fabula_workloads.runtime.failures import InputInvalid

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Exemplars = Mapping[str, NDArray[np.floating[Any]]]


def read_exemplars(data: bytes, where: str) -> Exemplars:
    """The features of each key, (1, width) or (features, width). Raises InputInvalid for what is no such file."""
    if where.endswith(".safetensors"):
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            exemplars: Mapping[str, Any] = load(data)
        except SafetensorError as error:
            raise InputInvalid(f"{where} is no safetensors file: {error}") from None
    else:
        exemplars = _pickled(data, where)
    return {key: _rows(value, f"{where}: {key}") for key, value in exemplars.items()}


def _pickled(data: bytes, where: str) -> Mapping[str, Any]:
    """What `torch.save` wrote, of tensors and arrays alone: anything else in it is refused, not run."""
    import numpy as np
    import torch

    kinds = [type(np.dtype(name)) for name in ("float16", "float32", "float64")]
    reconstruct = np.empty(0).__reduce__()[0]
    # Files written by numpy 1 name the same function by its former place.
    allowed: list[Any] = [
        reconstruct,
        (reconstruct, "numpy.core.multiarray._reconstruct"),
        np.ndarray,
        np.dtype,
        *kinds,
    ]
    try:
        with torch.serialization.safe_globals(allowed):
            content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # pickle raises whatever the file makes it
        raise InputInvalid(
            f"{where} is no file of arrays that torch.save wrote: {str(error).splitlines()[0][:200]}"
        ) from None
    if not isinstance(content, dict):
        raise InputInvalid(f"{where} holds a {type(content).__name__}, not arrays by person")
    return {str(key): value.numpy() if isinstance(value, torch.Tensor) else value for key, value in content.items()}


def _rows(value: Any, where: str) -> Any:
    import numpy as np

    array = np.asarray(value)
    if array.dtype.kind != "f" or not 1 <= array.ndim <= 3:
        raise InputInvalid(f"{where} has shape {array.shape} of {array.dtype}, not rows of features")
    # (width), (1, width) and (1, features, width) are published.
    return np.ascontiguousarray(array.reshape(-1, array.shape[-1]))
