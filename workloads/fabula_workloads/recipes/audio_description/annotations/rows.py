"""One description as every later stage knows it, whatever file it came from."""

from __future__ import annotations

from pydantic import ConfigDict

from fabula_api.base import Record


class Character(Record):
    """Somebody who may be on the screen."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    """Of the person who plays the role, `nm` and digits."""
    name: str | None = None
    """The person's."""
    role: str | None = None
    short_name: str | None = None
    """Of the role, as descriptions call it."""
    exemplar: str | None = None
    """Key of the character's features among the exemplars; None where there are none."""


class Clip(Record):
    """A stretch of a film and where its features are found."""

    model_config = ConfigDict(frozen=True)

    start: float
    end: float
    """In the source's own unit: seconds, or frames of a clip."""
    entry: str
    """Name of the bank's entry that holds it: the film's, or its own."""

    @property
    def key(self) -> str:
        """Its name among the features of its film."""
        return f"{self.entry}@{self.start:g}-{self.end:g}"


class Before(Record):
    """The description before, and its clip."""

    model_config = ConfigDict(frozen=True)

    text: str
    clip: Clip


class Row(Record):
    """One description."""

    model_config = ConfigDict(frozen=True)

    id: str
    source: str
    place: str
    """Where it stands in its file, for people: `key friends_s01e01_seg02_clip_04, row 17`."""
    film: str
    """What splits go by: a film, an episode, or where neither is known a clip of one."""
    title: str | None = None
    """Of the film at IMDb, `tt` and digits."""
    text: str
    clip: Clip
    before: Before | None = None
    characters: tuple[Character, ...] = ()
    """Who the narrator is told may be seen."""
    named: tuple[str, ...] = ()
    """Who the description names, by the names that it uses."""
