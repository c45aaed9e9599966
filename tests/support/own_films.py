"""Films of one's own, drawn: two people as colours, descriptions as a table, photos of both, and a tiny CLIP."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from PIL import Image
from tests.support.drawn_video import draw_video

ADA, BRUNO, NOBODY = (200, 30, 30), (30, 60, 200), (60, 60, 60)
COLOURS = {"nm0000001": ADA, "nm0000002": BRUNO}
CAST = [
    {"id": "nm0000001", "name": "Jo Reed", "role": "Ada Finch", "char_in_ad": "Ada"},
    {"id": "nm0000002", "name": "Max Hall", "role": "Mr. Bruno Vale"},
]
SHOT = 4
"""Seconds of each shot."""


def write_films(folder: Path, films: int = 3, shots: int = 6, *, swap: bool = True) -> dict[str, Any]:
    """Films of shots that show one of two people in turn, each shot described; the source that names them."""
    lines = ["film,start,end,text"]
    for film in range(films):
        first = film % 2 if swap else 0
        people = [("Ada", ADA) if (shot + first) % 2 == 0 else ("Bruno", BRUNO) for shot in range(shots)]
        draw_video(
            folder / f"films/film-{film}.mp4",
            [(SHOT * shot, colour) for shot, (_, colour) in enumerate(people)],
            seconds=SHOT * shots,
        )
        for shot, (name, _) in enumerate(people):
            lines.append(f"film-{film}.mp4,00:00:{SHOT * shot:02d}.0,{SHOT * (shot + 1) - 1},{name} looks up.")
    (folder / "ads.csv").write_text("\n".join(lines) + "\n")
    (folder / "photos").mkdir(exist_ok=True)
    for person, colour in COLOURS.items():
        Image.new("RGB", (48, 64), colour).save(folder / f"photos/{person}.jpg")
    (folder / "cast.json").write_text(json.dumps({f"film-{film}": CAST for film in range(films)}))
    return {
        "name": "own", "format": "video", "annotations": "ads.csv", "films": "films", "photos": "photos",
        "cast": "cast.json",
    }  # fmt: skip
