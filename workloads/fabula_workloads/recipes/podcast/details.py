"""What the manifests of a podcast build's artifacts tell: how episodes were read, and how samples were chosen."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fabula_api.base import Count, StatusModel, Text
from fabula_api.details import DatasetDetails, Details


class TurnChoices(StatusModel):
    """Choices that change turn length and switch rate, by which a model is judged."""

    merge_turns: bool | None = None
    min_turn_characters: Count | None = None
    back_channels: Text | None = None


class EpisodesDetails(Details, TurnChoices):
    """Of the `episodes` that ingest makes."""

    recipe: Text | None = None
    layout: Literal["sporc-turns", "sporc-episodes"] | None = None
    records: Count | None = None
    min_turns: Count | None = None
    min_characters: Count | None = None
    limit: Count | None = None

    @property
    def turns(self) -> TurnChoices:
        """The choices that are handed on to the dataset."""
        return TurnChoices.model_validate(self.model_dump(include=set(TurnChoices.model_fields)))


class ExtractionDetails(StatusModel):
    """Who chose the excerpts, and by which words."""

    provider: Text
    model: Text | None = None
    prompt_version: Text | None = None
    prompt_digest: Text | None = None
    min_verbatim_ratio: float | None = None


class PodcastDatasetDetails(DatasetDetails):
    """Of the `dataset` that assemble makes."""

    turns: TurnChoices
    extraction: ExtractionDetails
    samples_by_image_count: dict[Text, Count] = Field(default_factory=dict)
    near_duplicate_jaccard: float
    required_images: Count
