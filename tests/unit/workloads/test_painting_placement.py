"""What lies where while Stable Diffusion draws, for cards that there are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabula_workloads.painting.placement import MOST_AT_ONCE, Placement, placement

GIB = 2**30
SD35_LARGE = {
    "text_encoder": 250_000_000,
    "text_encoder_2": 1_390_000_000,
    "text_encoder_3": 9_520_000_000,
    "transformer": 16_290_000_000,
    "vae": 170_000_000,
}
"""Bytes in bf16: 27.6 GB."""
USUAL = 1344 * 752


@pytest.mark.parametrize(
    ("card", "pixels", "expected"),
    [
        (80, USUAL, Placement(offload=False, tiles=False, at_once=4)),
        (40, USUAL, Placement(offload=False, tiles=False, at_once=4)),
        (40, 2048 * 2048, Placement(offload=True, tiles=False, at_once=4)),
        (24, USUAL, Placement(offload=True, tiles=False, at_once=4)),
        (19, USUAL, Placement(offload=True, tiles=False, at_once=3)),
        (16, USUAL, Placement(offload=True, tiles=False, at_once=1)),
        (12, 2048 * 2048, Placement(offload=True, tiles=True, at_once=1)),
    ],
)
def test_cards(card: int, pixels: int, expected: Placement) -> None:
    assert placement(SD35_LARGE, card * GIB, pixels) == expected


def test_what_is_asked_is_done() -> None:
    assert placement(SD35_LARGE, 80 * GIB, USUAL, "always").offload
    assert not placement(SD35_LARGE, 24 * GIB, USUAL, "never").offload


@given(st.floats(1, 200), st.floats(0, 50), st.integers(64 * 64, 2048 * 2048))
def test_more_memory_never_means_less(card: float, more: float, pixels: int) -> None:
    small, large = (placement(SD35_LARGE, gib * GIB, pixels) for gib in (card, card + more))
    assert (small.offload, small.tiles) >= (large.offload, False)
    assert 1 <= small.at_once <= MOST_AT_ONCE
    if small.offload == large.offload:
        assert small.at_once <= large.at_once
        assert small.tiles >= large.tiles
