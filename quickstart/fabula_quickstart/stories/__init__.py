"""The quickstart's picture stories, one module each: five scenes and the sentences that go with them."""

from __future__ import annotations

from fabula_quickstart.drawing import Story
from fabula_quickstart.stories import (
    bicycles,
    glasshouse,
    harbour,
    kitchen,
    lighthouse,
    market,
    observatory,
    railway,
)

STORIES: tuple[Story, ...] = (
    harbour.STORY,
    kitchen.STORY,
    bicycles.STORY,
    railway.STORY,
    glasshouse.STORY,
    market.STORY,
    lighthouse.STORY,
    observatory.STORY,
)
"""In the order of their ids."""

__all__ = ["STORIES"]
