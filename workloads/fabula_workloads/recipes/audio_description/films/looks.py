"""How a character looks in a film, from a photo of who plays it: the published recipe. Pure.

Of the film's pictures those are taken that are most like the photo, one after the other, and none within ten seconds of
one that was taken: five shots and not five pictures of one. The exemplar is the mean of their unit vectors (AutoAD-II,
2023).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.floating[Any]]

MOST = 5
APART_SECONDS = 10.0


def most_alike(photo: Vectors, pictures: Vectors, fps: float) -> list[int]:
    """Numbers of at most five pictures, the most alike first; a short film has fewer that are far enough apart."""
    import numpy as np

    alike = (unit(pictures) @ unit(photo).ravel()).astype(np.float64)
    reach = round(APART_SECONDS * fps)
    taken: list[int] = []
    for _ in range(MOST):
        best = int(np.argmax(alike))
        if not np.isfinite(alike[best]):
            break
        taken.append(best)
        alike[max(0, best - reach) : best + reach + 1] = -np.inf
    return taken


def exemplar(pictures: Vectors, taken: list[int]) -> Vectors:
    """The mean of the unit vectors of the pictures that were taken, (1, width)."""
    import numpy as np

    return np.asarray(unit(pictures[taken]).mean(axis=0, keepdims=True), dtype=np.float32)


def unit(vectors: Vectors) -> Vectors:
    """Vectors of length one; one of length zero stays."""
    import numpy as np

    wide = np.asarray(vectors, dtype=np.float32)
    lengths = np.linalg.norm(wide, axis=-1, keepdims=True)
    return np.asarray(wide / np.where(lengths > 0, lengths, 1), dtype=np.float32)
