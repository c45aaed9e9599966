"""Who of a row's character records the narrator is told of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from fabula_workloads.recipes.audio_description.annotations.layouts import Annotation, CharacterRecord

Choice = Literal["refined", "learned", "candidates", "named"]


class NotInLayout(Exception):
    """The row does not have what was asked for; the message says which field, and what would work."""


def chosen(row: Annotation, layout: str, choice: Choice, threshold: float) -> Sequence[CharacterRecord]:
    """The records by the field that the layout keeps them in. Raises NotInLayout.

    `refined` takes candidates by their scores where there are scores, so that another threshold than the published 0.5
    can be had; a candidate that was not scored (-1) is never taken. `learned` takes all candidates: who of them is told
    of is decided when scores have been learned.
    """
    if choice == "learned":
        choice = "candidates"
    if layout == "mad-train":
        fields = {
            "refined": ("ad_chars_in_chars", row.chosen_in_ad),
            "candidates": ("char", row.characters),
            "named": ("ad_chars", row.in_ad),
        }
    elif choice == "refined" and row.candidates is not None and row.scores is not None:
        if len(row.scores) < len(row.candidates):
            raise NotInLayout(f"prob_data has {len(row.scores)} scores for {len(row.candidates)} records of char_pred")
        return [record for record, score in zip(row.candidates, row.scores, strict=False) if score >= threshold]
    else:
        fields = {
            "refined": ("prob", row.chosen),
            "candidates": ("char_pred", row.candidates),
            "named": ("char", row.characters),
        }
    field, picked = fields[choice]
    if picked is None:
        there = ", ".join(name for name, (_, records) in fields.items() if records is not None)
        raise NotInLayout(
            f"it has no {field}, which characters: {choice} asks for; "
            + (f"it has what characters: {there} takes" if there else "it has no characters at all")
        )
    return picked


def named(row: Annotation, layout: str) -> tuple[str, ...]:
    """The names that the description uses, as far as the layout tells."""
    if row.names is not None:
        return tuple(row.names)
    records = row.in_ad if layout == "mad-train" else row.characters
    return tuple(record.short_name or record.role or "" for record in records or () if record.short_name or record.role)
