"""Triton's kernels on a CPU: its interpreter, with two things mended that Liger's kernels need of it.

Import it before Liger. Only how scalars reach a kernel and how `rsqrt` is found differ from a GPU.
"""

from __future__ import annotations

import os

os.environ["TRITON_INTERPRET"] = "1"  # read when triton is imported

from typing import Any

import numpy as np
import triton
import triton.language as tl
import triton.runtime.interpreter as interpreter

_convert = interpreter._implicit_cvt


def _with_floats(argument: Any) -> Any:
    """A compiled kernel gets a float as fp32; the interpreter hands it on as Python's, which has no `to`."""
    if isinstance(argument, float):
        return tl.tensor(interpreter.TensorHandle(np.array([argument], dtype=np.float32), tl.float32), tl.float32)
    return _convert(argument)


interpreter._implicit_cvt = _with_floats


@triton.jit
def rsqrt(x):  # type: ignore[no-untyped-def]
    """In place of the GPU library's, which cannot be interpreted."""
    return tl.rsqrt(x)


import liger_kernel.ops.rms_norm as rms_norm  # noqa: E402

rms_norm.rsqrt = rsqrt
