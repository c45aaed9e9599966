"""Parts of a large file are read from disk and from S3 alike, and of a bank no more than a clip's rows."""

from __future__ import annotations

import io
from typing import Any

import h5py
import numpy as np
import pytest

from fabula_api.recipes.audio_description.build import Bank as BankSpec
from fabula_workloads.recipes.audio_description.annotations.rows import Clip
from fabula_workloads.recipes.audio_description.features.bank import open_bank
from fabula_workloads.runtime.failures import NotFound
from fabula_workloads.runtime.open_store import open_store
from fabula_workloads.runtime.random_access import open_random

FRAMES, WIDTH = 20_000, 128


@pytest.fixture
def bank(store_uri: str) -> str:
    """A film of 10 MB whose frame k is k in every feature."""
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file["film"] = np.repeat(np.arange(FRAMES, dtype=np.float32)[:, None], WIDTH, axis=1)
    open_store(store_uri).write("bank.h5", content.getvalue())
    return f"{store_uri}/bank.h5"


def test_any_place_of_a_file_can_be_read(store_uri: str) -> None:
    open_store(store_uri).write("letters", b"abcdefghij")
    with open_random(f"{store_uri}/letters") as file:
        assert (file.read(3), file.seek(-2, io.SEEK_END), file.read(), file.read()) == (b"abc", 8, b"ij", b"")
    with pytest.raises(NotFound):
        open_random(f"{store_uri}/gone")


def test_of_a_film_a_clips_rows_are_read_and_not_the_film(bank: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    if bank.startswith("s3://"):
        from fabula_workloads.runtime.s3_store import S3Store

        usual = S3Store.read_range

        def counted(store: Any, path: str, start: int, length: int) -> bytes:
            read.append(length)
            return usual(store, path, start, length)

        monkeypatch.setattr(S3Store, "read_range", counted)
    with open_bank(bank, BankSpec(uri="bank.h5")) as opened:
        rows: Any = opened.read(Clip(start=2000, end=2004, entry="film"))
        assert rows[:, 0].tolist() == list(range(10_000, 10_021))
        assert opened.read(Clip(start=9000, end=9001, entry="film")) == "BeyondFilm"
        assert opened.read(Clip(start=0, end=1, entry="another")) == "MissingKey"
    assert sum(read) < FRAMES * WIDTH * 4 / 2
