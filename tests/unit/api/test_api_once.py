"""What follows from a value that never changes is worked out once."""

from __future__ import annotations

import pytest

from fabula_api.once import once


def test_the_same_value_is_asked_about_once_and_an_equal_one_by_itself() -> None:
    asked: list[tuple[dict[str, int], str, int]] = []

    @once(8)
    def made(value: dict[str, int], name: str, number: int = 0) -> list[int]:
        asked.append((value, name, number))
        return [*value.values(), number]

    one, other = {"a": 1}, {"a": 1}
    assert made(one, "x") is made(one, "x")
    assert made(one, "x") is not made(other, "x")
    made(one, "y")
    assert made(one, "x", number=3) == [1, 3]
    assert made(one, "x", number=3) == [1, 3]
    assert asked == [(one, "x", 0), (other, "x", 0), (one, "y", 0), (one, "x", 3)]


def test_those_in_use_stay_and_no_identity_is_taken_for_another() -> None:
    asked: list[int] = []

    @once(2)
    def made(value: list[int]) -> int:
        asked.append(value[0])
        return value[0]

    kept = [0]
    for number in range(1, 100):
        assert made(kept) == 0
        assert made([number]) == number
    assert asked == [0, *range(1, 100)]


def test_what_raises_is_asked_again() -> None:
    tries: list[None] = []

    @once(2)
    def made(value: object) -> None:
        tries.append(None)
        raise ValueError

    thing = object()
    for _ in range(2):
        with pytest.raises(ValueError):
            made(thing)
    assert len(tries) == 2
