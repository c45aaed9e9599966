"""Whether the files of a model or an adapter are whole: from their headers, without torch, before anything is loaded.

A download that was cut short, a clone without Git LFS or a missing part is named here, and not found by a library in
the middle of loading, or after half of a model was made up.
"""

from __future__ import annotations

import json
from pathlib import Path

INDEX, SINGLE = "model.safetensors.index.json", "model.safetensors"
_LFS = b"version https://git-lfs"

Shapes = dict[str, list[int]]
"""Shape of each tensor by its name."""


class DamagedFile(Exception):
    """A file that is not what its name says; the message names it and says what is wrong."""

    def __init__(self, file: str, what: str) -> None:
        super().__init__(f"{file}: {what}; fetch it again")


def check_folder(folder: Path, *, below: bool = False) -> None:
    """Look at every JSON and safetensors file of a folder, `below` it too. Raises DamagedFile for the first bad one."""
    for file in sorted(folder.rglob("*") if below else folder.iterdir()):
        name = str(file.relative_to(folder))
        if not file.is_file():
            continue
        if _begins(file, len(_LFS)) == _LFS:
            raise DamagedFile(name, "it is a Git LFS pointer, not the file itself")
        if file.suffix == ".json":
            _check_json(file, name)
        elif file.suffix == ".safetensors":
            tensor_shapes(file, name)
        elif file.name == "merges.txt" and not file.stat().st_size:
            raise DamagedFile(name, "it is empty")


def weight_shapes(folder: Path) -> Shapes | None:
    """Shapes of all tensors of a model, whose index is looked at; None where it has no safetensors.

    Raises DamagedFile, also for a tensor that the index places where it is not.
    """
    if (folder / INDEX).is_file():
        try:
            wanted: dict[str, str] = json.loads((folder / INDEX).read_bytes())["weight_map"]
            files = sorted(set(wanted.values()))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise DamagedFile(INDEX, "it is no index of weights") from None
    elif (folder / SINGLE).is_file():
        wanted, files = {}, [SINGLE]
    else:
        return None
    shapes: Shapes = {}
    for file in files:
        shapes |= tensor_shapes(folder / file, file)
    if lost := next((tensor for tensor in wanted if tensor not in shapes), None):
        raise DamagedFile(wanted[lost], f"the index places {lost} there, but it is not in it")
    return shapes


def tensor_shapes(file: Path, name: str) -> Shapes:
    """What the header of a safetensors file tells; the file must be as long as it says. Raises DamagedFile."""
    from safetensors import SafetensorError, safe_open

    try:
        size = file.stat().st_size
        if _begins(file, len(_LFS)) == _LFS:
            raise DamagedFile(name, "it is a Git LFS pointer, not the file itself")
        with safe_open(file, framework="np") as tensors:
            return {tensor: list(tensors.get_slice(tensor).get_shape()) for tensor in tensors.keys()}  # noqa: SIM118
    except OSError as error:
        raise DamagedFile(name, error.strerror or type(error).__name__) from None
    except SafetensorError as error:
        if "not fully covered" in str(error):
            raise DamagedFile(name, f"it has {size} bytes, but its header tells of more or fewer") from None
        if "header too" in str(error):
            raise DamagedFile(name, "it does not begin as safetensors do") from None
        raise DamagedFile(name, "its header cannot be read") from None


def _begins(file: Path, count: int) -> bytes:
    with file.open("rb") as content:
        return content.read(count)


def _check_json(file: Path, name: str) -> None:
    try:
        json.loads(file.read_bytes())
    except (ValueError, RecursionError):
        raise DamagedFile(name, "it is no JSON" if file.stat().st_size else "it is empty") from None
