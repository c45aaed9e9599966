"""Ctrl-C in the middle of the demonstration: nothing stays behind, and the next start goes on."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.e2e.conftest import Product, until

pytestmark = [pytest.mark.slow, pytest.mark.torch, pytest.mark.timeout(300)]


def test_ctrl_c_leaves_nothing_running(tmp_path: Path) -> None:
    product = Product(tmp_path / "home", None, "default")
    process = product.start("demo")
    assert process.stdout is not None
    for line in process.stdout:
        if "Running  illustrate" in line:
            break
    process.send_signal(signal.SIGINT)
    rest = process.stdout.read()
    assert process.wait(60) == 130, rest
    assert "goes on from here" in rest
    until(lambda: not product.processes(), 15, "no process of this state folder")
