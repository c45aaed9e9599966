"""What features of films cost: a clip out of a bank on disk or on S3, and the share of a step that waits for its batch.

A pass of training is slept through for the time that a GPU would take, while the loader's processes prepare the next
batches as they do in a run; a GPU at work leaves the CPUs as free.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import tempfile
import time
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from safetensors.numpy import save_file
from tests.support.s3 import BUCKET, run_s3_server

from fabula_api.recipes.audio_description.build import Bank as BankSpec
from fabula_api.recipes.audio_description.tune import AudioDescriptionTune
from fabula_quickstart.tiny import llama
from fabula_workloads.models.torchvision_shim import prepare_torchvision
from fabula_workloads.recipes.audio_description.annotations.rows import Character, Clip
from fabula_workloads.recipes.audio_description.features.bank import open_bank
from fabula_workloads.recipes.audio_description.sample import NarrationSample, Previous
from fabula_workloads.runtime import s3_store

WIDTH, PARTS, FPS = 768, 32, 5
FILM_SECONDS, FILMS, CLIPS = 1800, 3, 60
"""Half-hours of film at five frames a second, and as many clips of four seconds of each."""
SAMPLES, BATCH, PEOPLE = 512, 3, 6
PASSES = (1.0, 0.25, 0.1)
"""Seconds of a pass of three samples. A 7B model takes about one on an A100 in TF32."""
TOLD = "Ada opens the door and looks at the lamp."


def clips_of(layout: str) -> list[Clip]:
    """In random order, as shards of several films would ask for them."""
    dice = random.Random(0)
    clips = []
    for film in range(FILMS):
        for number in range(CLIPS):
            start = dice.randrange(FILM_SECONDS - 8)
            entry = f"film-{film}" if layout == "frames" else f"clip_{film}_{number}_{start}_{start + 4}"
            clips.append(Clip(start=start, end=start + 4, entry=entry))
    dice.shuffle(clips)
    return clips


def write_bank(path: Path, layout: str) -> None:
    """MAD's layout, a film an entry in fp32; or CMD-AD's and TV-AD's, a clip of 8 frames an entry in fp16."""
    numbers = np.random.default_rng(0)
    with h5py.File(path, "w") as bank:
        if layout == "frames":
            for film in range(FILMS):
                bank[f"film-{film}"] = numbers.normal(size=(FPS * FILM_SECONDS, WIDTH)).astype(np.float32)
            return
        for clip in clips_of(layout):
            bank[clip.entry] = numbers.normal(size=(8, PARTS, WIDTH)).astype(np.float16)


def reading(folder: Path) -> None:
    """Print a row for each layout and place."""
    print("| bank | where | clip, KiB | read for it, KiB | ms a clip | whole entry, MiB |\n|---|---|---|---|---|---|")
    fetched = [0]
    ask = s3_store.S3Store.read_range

    def counted(self: Any, name: str, start: int, size: int) -> bytes:
        data = ask(self, name, start, size)
        fetched[0] += len(data)
        return data

    s3_store.S3Store.read_range = counted  # type: ignore[method-assign]
    with run_s3_server(folder / "s3") as server:
        os.environ |= server.environment()
        for layout in ("frames", "clips"):
            file = folder / f"{layout}.h5"
            write_bank(file, layout)
            server.client().upload_file(str(file), BUCKET, file.name)
            spec = BankSpec(uri=file.name, layout=layout, fps=FPS)  # type: ignore[arg-type]
            for where, uri in (("disk", f"file://{file}"), ("S3", f"s3://{BUCKET}/{file.name}")):
                print(_row(layout, where, uri, spec, fetched), flush=True)


def _row(layout: str, where: str, uri: str, spec: BankSpec, fetched: list[int]) -> str:
    clips, size, times = clips_of(layout), 0, []
    fetched[0] = 0
    with open_bank(uri, spec) as bank:
        for clip in clips:
            since = time.perf_counter()
            features = bank.read(clip)
            times.append(time.perf_counter() - since)
            assert not isinstance(features, str), features
            size += features.nbytes
    read = f"{fetched[0] / len(clips) / 1024:,.0f}" if where == "S3" else "no more"
    entry = FPS * FILM_SECONDS * WIDTH * 4 if layout == "frames" else size / len(clips)
    return (
        f"| {layout} | {where} | {size / len(clips) / 1024:,.0f} | {read} | {1000 * statistics.median(times):.1f} "
        f"| {entry / 1024**2:.1f} |"
    )


def write_dataset(folder: Path, parts: int) -> list[NarrationSample]:
    """Files as `assemble` leaves them, with so many features a frame, and samples of them."""
    numbers = np.random.default_rng(0)
    (folder / "features").mkdir(parents=True)
    shape = (WIDTH,) if parts == 1 else (parts, WIDTH)
    samples = []
    for film in range(8):
        name = f"features/film-{film}.safetensors"
        each = SAMPLES // 8
        save_file(
            {f"c{n}": numbers.normal(size=(20 if parts == 1 else 8, *shape)).astype(np.float16) for n in range(each)},
            folder / name,
        )
        for number in range(each):
            people = tuple(Character(id=f"p{n}", name="Jo Reed", role="Ada", short_name="Ada", exemplar=f"p{n}")
                           for n in range(PEOPLE))  # fmt: skip
            before = Previous(text=TOLD, clip=f"c{number - 1}") if number else None
            samples.append(
                NarrationSample(
                    id=f"{film}-{number}", source="s", film=str(film), start=number, end=number + 4, text=TOLD,
                    features=name, clip=f"c{number}", previous=before, characters=people,
                )
            )  # fmt: skip
    save_file({f"p{n}": numbers.normal(size=(1, *shape)[-len(shape) - (parts == 1) :]).astype(np.float32)
               for n in range(PEOPLE)}, folder / "exemplars.safetensors")  # fmt: skip
    return samples


def waiting(folder: Path, seconds: float) -> None:
    """Print a row for each mapping and time of a pass, a column for each number of loader processes."""
    prepare_torchvision()
    import torch
    from torch.utils.data import DataLoader

    from fabula_workloads.models.family import FIGURES
    from fabula_workloads.recipes.audio_description.narrator.building import writer_of
    from fabula_workloads.recipes.audio_description.narrator.encode import Collator, Expected, NarrationEncoder
    from fabula_workloads.training.rank.trainer import EncodedSamples
    from fabula_workloads.training.samples.measures import Timed

    llama.build(folder / "model", [TOLD, "Possible characters: Ada played by Jo Reed; Describe :"])
    workers = (0, 1, 2, 4)
    print("\n| features of a frame | ms of CPU a sample | seconds of a pass | " + " | ".join(map(str, workers)) + " |")
    print("|---|---|---|" + "---|" * len(workers))
    for kind, parts in (("perceiver", 1), ("qformer", PARTS)):
        tune = AudioDescriptionTune.model_validate({"mapping": {"kind": kind, "latents": 30}})
        samples = write_dataset(folder / kind, parts)
        shape = (WIDTH,) if parts == 1 else (parts, WIDTH)
        writer, _ = writer_of(folder / "model", tune, 512, shape)
        encoder = NarrationEncoder(folder / kind, writer, tune, Expected(shape, "we say", "mend it"), 0)
        torch.set_num_threads(1)  # as in the loader's processes; threads that wait for each other would count
        encoder.encode(samples[0], 0)
        since = time.process_time()
        for sample in samples:
            encoder.encode(sample, 0)
        each = (time.process_time() - since) / len(samples)

        data, join = EncodedSamples(samples, encoder, draws=True), Collator(0, shape)
        for of_a_pass in PASSES:
            shares = []
            for processes in workers:
                loader = DataLoader(
                    data, batch_size=BATCH, collate_fn=join, num_workers=processes, persistent_workers=processes > 0,
                    drop_last=True,
                )  # fmt: skip
                timed = Timed(chain.from_iterable(repeat(loader)))
                next(timed)  # the processes are there
                timed.measures.waited, began = 0.0, time.monotonic()
                while time.monotonic() - began < seconds:
                    next(timed).pop(FIGURES)
                    time.sleep(of_a_pass)
                shares.append(timed.measures.waited / (time.monotonic() - began))
            cells = " | ".join(f"{100 * share:.1f} %" for share in shares)
            print(f"| {' x '.join(map(str, shape))} | {1000 * each:.1f} | {of_a_pass} | {cells} |", flush=True)


def main() -> None:
    """Both tables."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=3.0, help="of each figure of the second table")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as name:
        reading(Path(name))
        waiting(Path(name), given.seconds)


if __name__ == "__main__":
    main()
