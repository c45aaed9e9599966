"""Pictures in a tar file. It has no times and no owners: equal content makes an equal file."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image


@contextmanager
def packing(file: Path) -> Iterator[tarfile.TarFile]:
    """A new tar file, to which `add` adds."""
    with tarfile.open(file, "w", format=tarfile.USTAR_FORMAT) as tar:
        yield tar


def add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    """Put bytes behind what is there."""
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    tar.addfile(entry, io.BytesIO(data))


def contents(file: Path, names: Iterable[str]) -> Iterator[bytes]:
    """What lies under these names, in their order; nothing where a name is a folder's. Raises KeyError where there is
    none of that name."""
    with tarfile.open(file) as tar:
        for name in names:
            content = tar.extractfile(name)
            yield content.read() if content is not None else b""


def jpeg(picture: Image, quality: int) -> bytes:
    """The picture as a JPEG in RGB."""
    data = io.BytesIO()
    picture.convert("RGB").save(data, "JPEG", quality=quality)
    return data.getvalue()
