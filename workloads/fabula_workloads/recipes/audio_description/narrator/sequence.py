"""A sample as the narrator reads it: words as token ids, and places for the vectors of clip and characters.

Words are tokenised piece by piece, and no piece brings a token of its own at its start, as published: a tokenizer may
cut a word otherwise where other words stand before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fabula_api.recipes.audio_description.tune import AudioDescriptionTune
from fabula_workloads.recipes.audio_description.annotations.names import first_name
from fabula_workloads.recipes.audio_description.annotations.rows import Character
from fabula_workloads.recipes.audio_description.narrator.tokens import NewTokens
from fabula_workloads.runtime.failures import ConfigInvalid

NO_NAMES = frozenset(
    {"He", "She", "The", "They", "Them", "It", "Its", "As", "And", "But", "Or", "How", "This", "That", "In"}
)
"""Words that published tables of short names have among them."""
_REMEMBERED = 65_536
"""Pieces of text whose tokens are known."""


@dataclass(frozen=True, slots=True)
class Profile:
    """The words around the vectors, as published for one kind of data."""

    opening: str
    between: str
    last: str
    short: bool
    """Characters go by their short names."""


PROFILES = {
    "mad": Profile("Possible characters:", ";", ".", short=False),
    "clips": Profile("Possible characters :", "; ", ". ", short=True),
}


class Writer:
    """Writes prompts and answers with one tokenizer."""

    def __init__(self, tokenizer: Any, tune: AudioDescriptionTune, tokens: NewTokens, per_character: int) -> None:
        """`per_character` places are left for a character's vectors."""
        self._tokenizer, self._tune, self._tokens = tokenizer, tune, tokens
        self._per_character = per_character
        self._profile = PROFILES[tune.prompt_profile]
        self._faces = tune.character_prompt in ("role-actor-face", "role-face")
        if tokenizer.eos_token_id is None:
            raise ConfigInvalid("model: its tokenizer has no end token, which ends a description; use another model")
        self._eos = int(tokenizer.eos_token_id)
        self._bos = int(self._eos if tokenizer.bos_token_id is None else tokenizer.bos_token_id)
        # A film's characters are told of again and again, and what stands between them is always the same.
        self._known: dict[str, tuple[int, ...]] = {}

    def told(self, characters: Sequence[Character]) -> list[Character]:
        """Those of them that the prompt can tell of, in order."""
        return [who for who in characters if self._role(who) and (who.exemplar is not None or not self._faces)]

    def prompt(self, characters: Sequence[Character], clips: int) -> list[int]:
        """Token ids up to where the description begins; `clips` are shown, of which each has its own vectors."""
        ids: list[int] = []
        told = self.told(characters)
        if told:
            ids += self._words(self._profile.opening)
        for place, who in enumerate(told, 1):
            ids += self._words(self._said(who))
            if self._faces:
                ids += self._places(self._tokens.character, self._per_character, self._tokens.character_marks)
            ids += self._words(self._profile.last if place == len(told) else self._profile.between)
        ids += self._words("Describe ")
        ids += self._places(self._tokens.video, clips * self._tune.mapping.latents, self._tokens.video_marks)
        ids += self._words(":")
        if self._tokens.context >= 0:
            ids.append(self._tokens.context)
        if self._tune.special_tokens == "markers":
            ids.append(self._bos)
        return ids

    def alone(self) -> list[int]:
        """What stands before a text that is learned without a clip."""
        return [self._bos]

    def answer(self, text: str) -> list[int]:
        """Token ids of a description and its end."""
        return [*self._words(text), self._eos]

    def _words(self, text: str) -> tuple[int, ...]:
        if (ids := self._known.get(text)) is None:
            ids = tuple(self._tokenizer(text, add_special_tokens=False)["input_ids"])
            if len(self._known) < _REMEMBERED:
                self._known[text] = ids
        return ids

    def _places(self, token: int, count: int, marks: tuple[int, int]) -> list[int]:
        before, after = ([mark] if mark >= 0 else [] for mark in marks)
        return [*before, *[token] * count, *after]

    def _role(self, who: Character) -> str:
        name = (who.short_name if self._profile.short else who.role) or who.role or who.short_name or who.name or ""
        if self._profile.short and name in NO_NAMES:
            return ""
        return first_name(name) if self._tune.first_names else name

    def _said(self, who: Character) -> str:
        role = self._role(who)
        with_actor = self._tune.character_prompt in ("role-actor-face", "role-actor") and who.name
        return f"{role} played by {who.name}" if with_actor else role
