"""A tiny world in which training teaches when to speak and what to say: in three of three seeds, above the base and
above speaking one second after the start, by paired intervals."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.torch,
    pytest.mark.skipif(not os.environ.get("FABULA_SOAK"), reason="three trainings: FABULA_SOAK=1 runs them"),
]

from tests.support.watching_world import build_watching_model, write_watching  # noqa: E402

from fabula_api.arms import Generation  # noqa: E402
from fabula_api.fine_tune_run import Lora  # noqa: E402
from fabula_api.recipes.visual_instruction.tune import VisualInstructionTune  # noqa: E402
from fabula_api.recipes.visual_instruction.watch import VisualInstructionWatch  # noqa: E402
from fabula_api.shared_spec import PixelWindow  # noqa: E402
from fabula_workloads.inference.request import Answer, Request  # noqa: E402
from fabula_workloads.inference.transformers_engine import TransformersEngine  # noqa: E402
from fabula_workloads.metrics.statistics.paired import compare  # noqa: E402
from fabula_workloads.models.family import FIGURES  # noqa: E402
from fabula_workloads.models.loading import load_for_training  # noqa: E402
from fabula_workloads.recipes.visual_instruction.benchmarks.controls import one_second_after  # noqa: E402
from fabula_workloads.recipes.visual_instruction.evaluated import ClipSample  # noqa: E402
from fabula_workloads.recipes.visual_instruction.held_out import clip_of  # noqa: E402
from fabula_workloads.recipes.visual_instruction.sample import VideoSample  # noqa: E402
from fabula_workloads.recipes.visual_instruction.scoring.measures import shared_words  # noqa: E402
from fabula_workloads.recipes.visual_instruction.training.loss import watcher_loss  # noqa: E402
from fabula_workloads.recipes.visual_instruction.watcher.building import (  # noqa: E402
    add_update,
    watcher_of,
    words_of,
)
from fabula_workloads.recipes.visual_instruction.watcher.encode import (  # noqa: E402
    Collator,
    StreamWriter,
    WatcherEncoder,
)
from fabula_workloads.recipes.visual_instruction.watcher.families import watcher_family  # noqa: E402
from fabula_workloads.recipes.visual_instruction.watching.engine import Loaded, WatcherEngine  # noqa: E402
from fabula_workloads.recipes.visual_instruction.watching.polling import PolledEngine  # noqa: E402
from fabula_workloads.training.samples.dataset import read_samples  # noqa: E402

PIXELS = PixelWindow(min_pixels=1024, max_pixels=8192)
STEPS, BATCH, RATE = 60, 8, 0.005
LORA = Lora(rank=16, alpha=32, dropout=0, target_modules=["q_proj", "k_proj", "v_proj", "o_proj"])
GENERATION = Generation(temperature=0, max_new_tokens=16, batch_size=6)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("learns")
    build_watching_model(root / "model")
    write_watching(root / "dataset", 72, 24)
    return root


def learned(world: Path, seed: int) -> Loaded:
    """A watcher after so many steps of the product's model and loss."""
    torch.manual_seed(seed)
    base = load_for_training(world / "model", precision="fp32").requires_grad_(False)
    family = watcher_family("qwen3_vl")(world / "model", PIXELS, 64, 1)
    words, _ = words_of(world / "model")
    tune = VisualInstructionTune.model_validate({"stage": "streaming"})
    watcher = watcher_of(add_update(base, LORA, family, "tiny"), family, tune, words, hears=False)
    own = [*watcher.own_weights().values(), *(p for n, p in watcher.named_parameters() if ".lora_" in n)]
    for value in own:
        value.requires_grad_(True)
    writer = StreamWriter(words, family)
    encoder = WatcherEncoder(world / "dataset", writer, None)
    samples = read_samples(world / "dataset", "train", kind=VideoSample)
    encoded = [encoder.encode(sample) for sample in samples]
    collate, optimizer = Collator(words.ids.quiet), torch.optim.AdamW(own, lr=RATE, weight_decay=0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for _ in range(STEPS):
        batch = collate([[encoded[one]] for one in torch.randperm(len(encoded))[:BATCH].tolist()])
        batch.pop(FIGURES)
        loss = watcher_loss(watcher(**{k: v for k, v in batch.items() if k != "labels"}), None)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(own, 1.0)
        optimizer.step()
        schedule.step()
    return Loaded(watcher.eval(), writer, None)


def figures(clips: list[ClipSample], folder: Path, engine: Any) -> dict[str, tuple[float, float]]:
    """Of each clip whether the reply is on time, and its words."""
    left = [Request(clip.id, 0, (), "", clip, folder) for clip in clips]
    found = {}
    for request, answer in engine.answers(
        lambda most: [left.pop() for _ in range(min(most, len(left)))], lambda: False
    ):
        assert isinstance(answer, Answer), answer
        clip = request.given
        assert isinstance(clip, ClipSample)
        reply = clip.reply(answer.text)
        found[clip.id] = float(clip.on_time(reply)), shared_words(reply.text, clip.reference)
    return found


def test_training_teaches_when_and_what_in_three_of_three_seeds(world: Path) -> None:
    held = read_samples(world / "dataset", "validation", kind=VideoSample)
    clips = []
    for number, sample in enumerate(held, 1):
        record = clip_of(number, sample, world / "dataset" / sample.shard).record
        assert isinstance(record, ClipSample)
        clips.append(record.model_copy(update={"shard": sample.shard}))
    chat = TransformersEngine(world / "model", None, device="cpu", pixels=PIXELS, generation=GENERATION)
    base = figures(clips, world / "dataset", PolledEngine(chat.in_tokens(4), chat, 1.0))
    early = {clip.id: float(clip.on_time(one_second_after(clip.begins))) for clip in clips}
    for seed in range(3):
        tuned = figures(
            clips, world / "dataset", WatcherEngine(learned(world, seed), VisualInstructionWatch(), GENERATION)
        )
        time = {name: one for name, (one, _) in tuned.items()}
        said = {name: one for name, (_, one) in tuned.items()}
        for what, ours, theirs in (
            ("time above the base", time, {name: one for name, (one, _) in base.items()}),
            ("words above the base", said, {name: one for name, (_, one) in base.items()}),
            ("time above one second after the start", time, early),
        ):
            low = compare(ours, theirs).estimate.low
            mean = sum(ours.values()) / len(ours)
            print(f"seed {seed}: {what}: mean {mean:.3f}, lower end {low}")
            assert low is not None and low > 0, (seed, what, mean)
