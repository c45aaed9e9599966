"""The quickstart's picture sequences: eight stories of five drawn scenes, in VIST's layout.

They stand in for photographs that may not be passed on. As in VIST, no picture is in two of them. Where
scikit-image is installed, some scenes of the last story are its photographs.
"""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image

from fabula_quickstart.stories import STORIES

SIZE = (640, 480)
"""Width and height in pixels."""
_FIRST_STORY, _FIRST_PHOTO = 70001, 900001
# Story 8's scenes that scikit-image has photographs of, by position.
_PHOTOGRAPHS = {1: "moon", 2: "hubble_deep_field", 3: "rocket", 4: "astronaut"}


def write_vist(folder: Path) -> None:
    """Write `test.story-in-sequence.json` and `images/<id>.jpg` into `folder`."""
    images = folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    annotations = []
    for story, scenes in enumerate(STORIES):
        for order, (text, scene) in enumerate(scenes):
            photo = _FIRST_PHOTO + story * 10 + order
            picture = photograph(_PHOTOGRAPHS[order]) if story == 7 and order in _PHOTOGRAPHS else None
            picture = picture or scene(photo).finished(*SIZE)
            picture.save(images / f"{photo}.jpg", quality=88)
            annotations.append(
                [
                    {
                        "story_id": str(_FIRST_STORY + story),
                        "photo_flickr_id": str(photo),
                        "worker_arranged_photo_order": order,
                        "text": text,
                        "original_text": text,
                    }
                ]
            )
    layout = {"type": "story-in-sequence", "annotations": annotations}
    (folder / "test.story-in-sequence.json").write_text(json.dumps(layout, indent=1) + "\n")


def photograph(name: str) -> Image.Image | None:
    """One of scikit-image's own photographs, cropped to the sequences' size; None where it is not installed."""
    try:
        from skimage import data
    except ImportError:
        return None
    picture = Image.fromarray(getattr(data, name)()).convert("RGB")
    width, height = SIZE
    scale = max(width / picture.width, height / picture.height)
    picture = picture.resize((round(picture.width * scale), round(picture.height * scale)), Image.Resampling.LANCZOS)
    left, top = (picture.width - width) // 2, (picture.height - height) // 4
    return picture.crop((left, top, left + width, top + height))
