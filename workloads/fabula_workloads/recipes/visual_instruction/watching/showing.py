"""What a piece of the stream shows: each picture and second of sound through its encoder once, when its first place
comes and never before."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from fabula_workloads.recipes.visual_instruction.watcher.hearing import TOKENS
from fabula_workloads.recipes.visual_instruction.watcher.model import Shown, Watcher
from fabula_workloads.recipes.visual_instruction.watcher.stream import PICTURE, SOUND
from fabula_workloads.recipes.visual_instruction.watching.row import Row


def shown(watcher: Watcher, rows: Sequence[Row], user: Sequence[Sequence[int]]) -> Shown:
    """Vectors of a piece, whose ids `user` has row by row."""
    high, wide = watcher.family.grid
    pictures = [_due(ids.count(PICTURE), row.seen, high * wide) for row, ids in zip(rows, user, strict=True)]
    sounds = [_due(ids.count(SOUND), row.heard, TOKENS) for row, ids in zip(rows, user, strict=True)]
    if sum(pictures) or sum(sounds):
        _encode(watcher, rows, pictures, sounds)
    seen, heard = [], []
    for row, ids in zip(rows, user, strict=True):
        seen.append([layer[: ids.count(PICTURE)] for layer in row.seen])
        row.seen = [layer[ids.count(PICTURE) :] for layer in row.seen]
        heard += [second[: ids.count(SOUND)] for second in row.heard]
        row.heard = [second[ids.count(SOUND) :] for second in row.heard]
    layers = max(map(len, seen))
    weight = watcher.marks.weight
    whole = [torch.cat([row[layer] for row in seen if len(row) > layer]) for layer in range(layers)]
    if not whole or not len(whole[0]):
        whole = [weight.new_zeros(0, weight.shape[1])]
    sound = torch.cat(heard) if heard and sum(map(len, heard)) else None
    return Shown(whole[0], tuple(whole[1:]), sound)


def _encode(watcher: Watcher, rows: Sequence[Row], pictures: Sequence[int], sounds: Sequence[int]) -> None:
    weight = watcher.marks.weight
    pixels, waves = [], []
    for row, count, seconds in zip(rows, pictures, sounds, strict=True):
        pixels.append(row.view.pixels[row.pictures_taken : row.pictures_taken + count])
        row.pictures_taken += count
        if row.view.sound is not None:
            waves.append(row.view.sound[row.sounds_taken : row.sounds_taken + seconds])
            row.sounds_taken += seconds
    if sum(pictures):
        seen = watcher.family.pictures(watcher.base, torch.cat(pixels).to(weight))
        start = 0
        for row, count in zip(rows, pictures, strict=True):
            new = [layer[start : start + count].flatten(0, 1) for layer in (seen.values, *seen.deep)]
            row.seen = [torch.cat(both) for both in zip(row.seen, new, strict=True)] if row.seen else new
            start += count
    if sum(sounds) and watcher.hearing is not None:
        values = watcher.hearing(torch.cat(waves).to(weight))
        start = 0
        for row, count in zip(rows, sounds, strict=True):
            row.heard = [torch.cat([*row.heard, values[start : start + count].flatten(0, 1)])]
            start += count


def _due(places: int, held: Sequence[torch.Tensor], each: int) -> int:
    """Pictures or seconds that have to be looked at for so many places."""
    return -(-max(0, places - (len(held[0]) if held else 0)) // each)
