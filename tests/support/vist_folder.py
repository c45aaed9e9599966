"""A folder in VIST's layout with photos made on the spot."""

from __future__ import annotations

import json
import random
from pathlib import Path

from PIL import Image, ImageDraw


def draw_photo(path: Path, seed: int, size: tuple[int, int] = (96, 64)) -> None:
    """A JPEG of coloured discs, with a camera and a place in its EXIF."""
    dice = random.Random(seed)
    image = Image.new("RGB", size, tuple(dice.randrange(256) for _ in range(3)))
    pencil = ImageDraw.Draw(image)
    for _ in range(5):
        x, y = dice.randrange(size[0]), dice.randrange(size[1])
        pencil.ellipse([x, y, x + 24, y + 24], fill=tuple(dice.randrange(256) for _ in range(3)))
    exif = Image.Exif()
    exif[0x010F] = "SecretCamera"
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, exif=exif, comment=b"SecretPlace")


def write_vist(folder: Path, stories: int, *, shuffle: int | None = None) -> None:
    """`stories` stories of five photos each; `shuffle` seeds the order of the annotations in the file."""
    annotations = []
    for story in range(stories):
        for order in range(5):
            photo = f"{story:03d}{order}"
            draw_photo(folder / "images" / f"{photo}.jpg", story * 5 + order)
            annotations.append(annotation(str(4000 + story), order, photo))
    if shuffle is not None:
        random.Random(shuffle).shuffle(annotations)
    (folder / "test.story-in-sequence.json").write_text(json.dumps({"annotations": annotations}))


def annotation(story: str, order: int, photo: str) -> list[dict[str, object]]:
    """One element as VIST has it: a list of one."""
    return [
        {
            "story_id": story, "photo_flickr_id": photo, "worker_arranged_photo_order": order,
            "text": f"sentence {order} of {story} .",
        }
    ]  # fmt: skip
