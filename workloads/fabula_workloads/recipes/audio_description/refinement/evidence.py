"""What speaks for a character being named in a clip: how alike its exemplar and the clip's frames are. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.floating[Any]]

EVIDENCE = (
    "most alike frame", "mean over frames", "mean of the most alike quarter", "lead of the most alike frame",
    "lead of the mean", "first of the candidates", "place in the cast", "share of the candidates",
)  # fmt: skip
"""What the columns are, for people."""


def evidence(clip: Vectors, faces: Sequence[Vectors]) -> Vectors:
    """(candidates, columns) of a clip, (frames, width) or (frames, parts, width), and of its candidates' exemplars.

    Candidates are compared with each other too: a face that is a little like everybody's is told from one that is the
    only one. A lead is what a candidate has before the best of the others.
    """
    import numpy as np

    frames = _unit(np.asarray(clip, dtype=np.float64).reshape(len(clip), -1, clip.shape[-1]))
    alike = np.stack([_alike(frames, np.asarray(face, dtype=np.float64)) for face in faces])
    count = len(faces)
    quarter = max(1, alike.shape[1] // 4)
    most, mean = alike.max(axis=1), alike.mean(axis=1)
    top = np.sort(alike, axis=1)[:, -quarter:].mean(axis=1)
    first = np.zeros(count)
    first[int(np.argmax(mean))] = 1.0
    place = 1.0 / (1.0 + np.arange(count))
    columns = [most, mean, top, _lead(most), _lead(mean), first, place, np.full(count, 1.0 / count)]
    return np.stack(columns, axis=1)


def _alike(frames: Vectors, face: Vectors) -> Vectors:
    """Of each frame: the mean over its parts of their cosines with the exemplar's, part by part."""
    import numpy as np

    return np.asarray((frames * _unit(face.reshape(-1, face.shape[-1]))).sum(axis=-1).mean(axis=-1))


def _unit(vectors: Vectors) -> Vectors:
    import numpy as np

    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1.0))


def _lead(values: Vectors) -> Vectors:
    """How far each is before the largest of the others; nothing where it is alone."""
    import numpy as np

    if len(values) == 1:
        return np.zeros(1)
    ordered = np.sort(values)
    best = np.arange(len(values)) == int(np.argmax(values))
    return np.asarray(values - np.where(best, ordered[-2], ordered[-1]))
