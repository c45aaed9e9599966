"""A training sample: pictures, prompt and dialogue, in our format and in the reference's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fabula_api.artifact import digest_of
from fabula_workloads.recipes.podcast.extraction.outcome import ExtractOutcome
from fabula_workloads.recipes.podcast.prompt import PROMPT_VERSION, training_prompt
from fabula_workloads.text.plain_text import without_control_tokens
from fabula_workloads.text.words import num_words


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawn scene: where it lies in the illustrate folder, and its hash."""

    scene: int
    path: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Sample:
    """One excerpt with the pictures it has. `scenes` are all scenes asked for, drawn or not."""

    episode: str
    podcast: str
    excerpt: int
    text: str
    scenes: tuple[tuple[int, str], ...]
    pictures: tuple[Picture, ...]
    cleaned: bool = False
    """Whether its text held a model's control tokens, whose brackets were taken off."""

    @property
    def id(self) -> str:
        """Stable: episode and excerpt."""
        return f"{self.episode}-{self.excerpt}"

    @property
    def words(self) -> int:
        return num_words(self.text)

    @property
    def folder(self) -> str:
        return f"samples/{self.id}"

    @property
    def images(self) -> list[str]:
        """Paths in the dataset. The number is the scene's, so a missing scene leaves a gap and not a shift."""
        return [f"{self.folder}/image_{picture.scene}.png" for picture in self.pictures]

    def record(self, split: str) -> dict[str, Any]:
        """The sample's line in `train.jsonl` or `validation.jsonl`."""
        prompt = training_prompt(self.words)
        content = {"prompt": prompt, "response": self.text, "images": [picture.sha256 for picture in self.pictures]}
        return {
            "id": self.id,
            "images": self.images,
            "prompt": prompt,
            "response": self.text,
            "words": self.words,
            "imageCount": len(self.pictures),
            "episode": self.episode,
            "podcast": self.podcast,
            "excerpt": self.excerpt,
            "split": split,
            "promptVersion": PROMPT_VERSION,
            "digest": digest_of(content),
        }

    def reference(self) -> dict[str, Any]:
        """The sample as the published training code reads it: image tags, newline and prompt; then the dialogue."""
        return {
            "image": self.images,
            "conversations": [
                {"from": "human", "value": "<image>" * len(self.pictures) + "\n" + training_prompt(self.words)},
                {"from": "gpt", "value": self.text},
            ],
        }

    def excerpt_json(self) -> dict[str, Any]:
        """The sample's own `excerpt.json`: the dialogue, and each scene with its picture, or null without one."""
        drawn = {picture.scene: f"image_{picture.scene}.png" for picture in self.pictures}
        scenes = [{"index": scene, "prompt": prompt, "image": drawn.get(scene)} for scene, prompt in self.scenes]
        return {"id": self.id, "episode": self.episode, "words": self.words, "excerpt": self.text, "scenes": scenes}


def samples_of(outcome: ExtractOutcome, episode: str, pictures: Mapping[str, Picture]) -> list[Sample]:
    """The samples of one episode's outcome, with the pictures found for them by `<episode>-<excerpt>-<scene>`."""
    samples = []
    for excerpt in outcome.excerpts:
        scenes = tuple((scene.index, scene.prompt) for scene in excerpt.scenes)
        keys = [f"{episode}-{excerpt.index}-{scene}" for scene, _ in scenes]
        drawn = tuple(pictures[key] for key in keys if key in pictures)
        text = without_control_tokens(excerpt.text)
        cleaned = text != excerpt.text
        samples.append(Sample(episode, outcome.podcast, excerpt.index, text, scenes, drawn, cleaned))
    return samples
