"""Sets of completion indexes as Job status writes them: "0-2,5"."""

from collections.abc import Iterable


def parse_indexes(text: str) -> set[int]:
    """The indexes in a text such as "0-2,5"; empty for an empty text."""
    indexes: set[int] = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        indexes.update(range(int(first), int(last or first) + 1))
    return indexes


def format_indexes(indexes: Iterable[int]) -> str:
    """The shortest such text. Runs of two are written "1,2", longer ones "1-3", as Kubernetes does."""
    runs: list[list[int]] = []
    for index in sorted(set(indexes)):
        if runs and runs[-1][1] == index - 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    parts = []
    for first, last in runs:
        if first == last:
            parts.append(str(first))
        else:
            parts.append(f"{first},{last}" if last == first + 1 else f"{first}-{last}")
    return ",".join(parts)
