"""One video, watched from its file: what `fabula tell --video` does."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch

from fabula_api.recipes.visual_instruction.watch import Threshold
from fabula_workloads.recipe_parts.evaluation import VideoAsked
from fabula_workloads.recipes.visual_instruction.annotations.rows import Turn
from fabula_workloads.recipes.visual_instruction.evaluated import ClipSample
from fabula_workloads.recipes.visual_instruction.packing import pack
from fabula_workloads.recipes.visual_instruction.watcher import files
from fabula_workloads.recipes.visual_instruction.watching.engine import load_watcher, view_of
from fabula_workloads.recipes.visual_instruction.watching.row import Spoken
from fabula_workloads.recipes.visual_instruction.watching.session import Session
from fabula_workloads.runtime.failures import InputInvalid
from fabula_workloads.video.frames import moments
from fabula_workloads.video.opening import UnfitVideo, facts

EVERY_REPLY = 1_000_000


def watch_video(asked: VideoAsked, say: Callable[[float, str], None]) -> None:
    """Watch the whole video, and say each reply with its second once it is made."""
    config = files.read_config(asked.tuned, "--adapter")
    with tempfile.TemporaryDirectory(prefix="fabula-watch-") as folder:
        shard = Path(folder) / "shard.tar"
        try:
            known = facts(asked.video)
            wanted = moments(0.0, max(known.seconds, 1 / config.fps), config.fps)
            sound = math.ceil(known.seconds) if config.hears and known.has_audio else 0.0
            have = pack(lambda: None, asked.video, wanted, config.side, sound, shard)
        except UnfitVideo as unfit:
            raise InputInvalid(f"--video {asked.video.name}: {unfit.what}", unfit.reason) from None
        turns = () if asked.question is None else (Turn(speaker="user", text=asked.question, at=0.0),)
        sample = ClipSample(
            id="video", video=asked.video.name, start=0.0, end=known.seconds, shard=shard.name,
            frames=tuple(at for at in wanted if at in have), sound=sound > 0, turns=turns,
            unasked=asked.question is None,
        )  # fmt: skip
        loaded = load_watcher(asked.model, asked.tuned, asked.pixels, asked.device)
        words = loaded.writer.words

        def told(spoken: Spoken) -> None:
            say(spoken.at, words.text(spoken.tokens))

        with torch.inference_mode():
            session = Session(loaded.watcher, Threshold(), EVERY_REPLY, told)
            if session.watch([view_of(loaded, sample, shard, asked.most_tokens)])[0] is None:
                raise InputInvalid("the model's figures became no numbers; load it in another precision")
