"""Annotations and banks in the published layouts, small enough to read: TV clips, and a film of frames."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

WIDTH, FEATURES = 8, 4
JOEY = {"id": "nm0001455", "role": "Joey Tribbiani", "name": "Matt LeBlanc"}
ROSS = {"name": "David Schwimmer", "role": "Dr. Ross Geller", "char_in_ad": "Ross", "id": "nm0001710"}
FIRST, SECOND = "friends_s01e01_seg02_clip_04", "bigbang_s02e03_seg01_clip_00"


def clips(**changes: Any) -> list[dict[str, Any]]:
    """Rows as TV-AD has them; `changes` are made to the first."""
    first = {
        "start": 17, "end": 27, "ad": "He awkwardly sits down, and Joey pats his shoulder.",
        "char": [JOEY], "char_in_ad": ["Joey"],
        "content": {"start": 9, "end": 16, "ad": "His umbrella springs open between them."},
        "char_pred": [ROSS, JOEY], "prob": [ROSS], "prob_data": [0.742, 0.4996, -1.0, -1.0, -1.0],
        "key_name": FIRST,
    }  # fmt: skip
    alone = {
        "start": 9, "end": 16, "ad": "His umbrella springs open between them.", "char": [], "char_in_ad": [],
        "char_pred": [ROSS], "prob": [], "prob_data": [-1.0] * 5, "key_name": FIRST,
    }  # fmt: skip
    other = alone | {"start": 1, "end": 8, "ad": "She smiles.", "key_name": SECOND}
    return [first | changes, alone, other]


def write_clips(folder: Path, rows: list[dict[str, Any]], layout: str = "tvad") -> dict[str, Any]:
    """The rows with a bank and exemplars; the source that names them."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tvad.json").write_text(json.dumps({layout: rows}))
    with h5py.File(folder / "tvad.h5", "w") as bank:
        for row in rows:
            for clip in (row, row.get("content") or row.get("context")):
                name = f"{row['key_name']}_{clip['start']}_{clip['end']}" if clip else ""
                if name and name not in bank:
                    bank[name] = np.full((6, FEATURES, WIDTH), len(bank), dtype=np.float16)
    faces = {f"{person['id']}.jpg": np.ones((1, FEATURES, WIDTH), np.float32) for person in (JOEY, ROSS)}
    torch.save(faces, folder / "chars_all.pth.tar")
    return {
        "name": "tvad", "format": layout, "annotations": "tvad.json", "bank": {"uri": "tvad.h5", "layout": "clips"},
        "exemplars": "chars_all.pth.tar",
    }  # fmt: skip


def write_film(folder: Path, frames: int = 60) -> dict[str, Any]:
    """MAD's evaluation layout: times as texts, in seconds; the film's frame k is k in every feature."""
    folder.mkdir(parents=True, exist_ok=True)
    person = {"id": "nm0000123", "name": "Mel Gibson", "role": "Graham Hess"}
    rows = [
        {"start": "1.2", "end": "3.4", "ad": "Graham opens the door.", "prob": [person], "context": []},
        {
            "start": "4.1", "end": "4.4", "ad": "He runs.", "prob": [],
            "context": [{"start": 1.2, "end": 3.4, "ad": "Graham opens the door."}],
        },
        {"start": "100", "end": "101", "ad": "The end.", "prob": [], "context": []},
        {"start": "-1", "end": "1", "ad": "A logo.", "prob": [], "context": []},
    ]  # fmt: skip
    (folder / "mad.json").write_text(json.dumps({"1005_Signs": rows}))
    with h5py.File(folder / "mad.h5", "w") as bank:
        bank["1005_Signs"] = np.repeat(np.arange(frames, dtype=np.float32)[:, None], WIDTH, axis=1)
    torch.save({"1005_Signs_nm0000123": np.ones((1, WIDTH), np.float32)}, folder / "MAD_examplers.pth.tar")
    return {
        "name": "mad", "format": "mad-eval", "annotations": "mad.json", "bank": {"uri": "mad.h5"},
        "exemplars": "MAD_examplers.pth.tar",
    }  # fmt: skip
