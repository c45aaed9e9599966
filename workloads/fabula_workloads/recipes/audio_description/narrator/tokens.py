"""The tokens that a narrator adds to a vocabulary. They are numbered behind it, and its tokenizer never sees them."""

from __future__ import annotations

from dataclasses import dataclass

from fabula_api.recipes.audio_description.tune import AudioDescriptionTune


@dataclass(frozen=True, slots=True)
class NewTokens:
    """Ids by what they stand for; -1 where a narrator has none."""

    vocabulary: int
    """Rows of the language model's embeddings; the first id of a new token."""
    video: int
    character: int
    context: int = -1
    video_marks: tuple[int, int] = (-1, -1)
    character_marks: tuple[int, int] = (-1, -1)
    count: int = 0

    @classmethod
    def of(cls, tune: AudioDescriptionTune, vocabulary: int) -> NewTokens:
        """Those of a narrator that is made so."""
        ids = iter(range(vocabulary, vocabulary + 7))
        marked = tune.special_tokens == "markers"
        before = next(ids) if marked else -1
        video = next(ids)
        after = next(ids) if marked else -1
        character_before = next(ids) if marked else -1
        character = next(ids)
        character_after = next(ids) if marked else -1
        context = next(ids) if tune.prompt_profile == "clips" else -1
        count = next(ids, vocabulary + 7) - vocabulary
        return cls(vocabulary, video, character, context, (before, after), (character_before, character_after), count)
