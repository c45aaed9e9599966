"""How many answers are made at once, and in which order."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from fabula_api.shared_spec import PixelWindow
from fabula_workloads.inference.memory import MOST_ROWS, Shape, _free_of_the_pod, row_bytes, rows
from fabula_workloads.inference.work_order import seen_area, work_order

GIB = 1024**3
B32 = Shape(layers=64, key_values=8 * 128, hidden=5120, intermediate=25_600, vocabulary=151_936, bytes_each=2)
"""Qwen3-VL-32B in bf16."""


def test_a_row_takes_its_keys_and_values_and_one_pass_through_a_layer() -> None:
    # 2 x 64 x 1024 x 2 bytes a token are 256 KiB; 5,000 tokens are 1.2 GiB, the prompt's pass 0.7.
    assert 1.8 < row_bytes(B32, 3000, 2000) / GIB < 2.1


@pytest.mark.parametrize(
    ("free", "expected"), [(0.5, 1), (4.5, 2), (9.0, 4), (1000.0, MOST_ROWS)], ids=["little", "two", "four", "plenty"]
)
def test_as_many_rows_as_fit_and_one_at_least(free: float, expected: int) -> None:
    assert rows(free * GIB, row_bytes(B32, 3000, 2000)) == expected


def test_a_pod_has_what_its_limit_leaves(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("700\n")
    (tmp_path / "memory.stat").write_text("anon 300\ninactive_file 400\n")
    assert _free_of_the_pod(tmp_path) == 700
    (tmp_path / "memory.max").write_text("max\n")
    assert _free_of_the_pod(tmp_path) == float("inf")
    assert _free_of_the_pod(tmp_path / "none") == float("inf")


def test_the_largest_samples_come_first_and_a_samples_seeds_stand_together(tmp_path: Path) -> None:
    Image.new("RGB", (100, 100)).save(tmp_path / "small.png")
    Image.new("RGB", (400, 100)).save(tmp_path / "wide.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    window = PixelWindow(min_pixels=12_544, max_pixels=30_000)
    areas = {
        name: seen_area([tmp_path / f"{one}.png" for one in pictures], window)
        for name, pictures in {"a": ["small"], "b": ["wide", "small"], "c": ["broken"], "d": ["wide"]}.items()
    }
    assert areas == {"a": 12_544, "b": 42_544, "c": 0, "d": 30_000}
    assert work_order(areas, [0, 1])[:5] == [("b", 0), ("b", 1), ("d", 0), ("d", 1), ("a", 0)]
