"""Small sets in the layouts of MME, MVBench and Video-MME, and tasks that read them with lmms-eval's own questions and
scores: `python drawn_benchmarks.py FOLDER`, by the Python of lmms-eval's environment."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

COLOURS = {"green": (40, 200, 60), "red": (220, 40, 40), "yellow": (240, 220, 40)}
GREY = (120, 120, 120)
TASKS = {
    "drawn_mme": ("mme/mme.yaml", "test"),
    "drawn_mvbench": ("mvbench/mvbench_action_count.yaml", "train"),
    "drawn_videomme": ("videomme/videomme.yaml", "test"),
}
"""lmms-eval's own task of each, and the split that it reads."""


def write(folder: Path) -> None:
    """Videos below `hf/`, where lmms-eval looks for them (HF_HOME), rows below `sets/`, tasks below `tasks/`."""
    import lmms_eval
    from datasets import Dataset, Features, Image, Value

    known = Path(lmms_eval.__file__).parent / "tasks"
    text = Value("string")
    columns = Features({"question_id": text, "image": Image(), "question": text, "answer": text, "category": text})
    sets = {
        "drawn_mme": Dataset.from_list(pictures(), features=columns),
        "drawn_mvbench": Dataset.from_list(list(videos(folder / "hf/mvbench_video/perception/videos"))),
        "drawn_videomme": Dataset.from_list(list(long_videos(folder / "hf/videomme/data"))),
    }
    for name in ("sets", "tasks"):
        (folder / name).mkdir()
    for name, (included, split) in TASKS.items():
        rows = folder / f"sets/{name}.parquet"
        sets[name].to_parquet(str(rows))
        (folder / f"tasks/{name}.yaml").write_text(
            f"include: {known / included}\ntask: {name}\ndataset_path: parquet\ndataset_name: null\n"
            f"dataset_kwargs: {{data_files: {{{split}: {rows}}}}}\n"
        )


def pictures() -> list[dict[str, Any]]:
    """MME asks of each picture what is so, and what is not."""
    from PIL import Image

    return [
        {
            "question_id": f"color/{name}.jpg",
            "image": Image.new("RGB", (112, 112), colour),
            "question": f"Is the picture {asked}? Please answer yes or no.",
            "answer": answer,
            "category": "color",
        }
        for name, colour in COLOURS.items()
        for asked, answer in ((name, "Yes"), ("blue", "No"))
    ]


def videos(folder: Path) -> Any:
    """MVBench has candidates, of which the answer is one."""
    for name in COLOURS:
        _draw(folder / f"{name}.mp4", name)
        yield {"video": f"{name}.mp4", "question": "Which sign is shown?", "candidates": list(COLOURS), "answer": name}


def long_videos(folder: Path) -> Any:
    """Video-MME has options with their letters."""
    options = [f"{letter}. {name}" for letter, name in zip("ABCD", [*COLOURS, "blue"], strict=True)]
    for number, name in enumerate(COLOURS):
        _draw(folder / f"{name}.mp4", name)
        yield {
            "video_id": f"{number:03d}", "videoID": name, "question_id": f"{number}-1", "duration": "short",
            "domain": "Knowledge", "sub_category": "Humanity & History", "task_type": "Attribute Perception",
            "question": "Which sign is shown?", "options": options, "answer": "ABC"[number],
        }  # fmt: skip


def _draw(path: Path, name: str) -> None:
    from tests.support.drawn_video import draw_video

    draw_video(path, [(0.0, GREY), (2.0, COLOURS[name]), (4.0, GREY)], seconds=6, size=(112, 112))


if __name__ == "__main__":
    write(Path(sys.argv[1]))
