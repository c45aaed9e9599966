"""The watcher: what its two streams hold, when it learns to speak, and that watching equals a pass over the whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from tests.support.watching_world import build_watching_model, write_watching  # noqa: E402

from fabula_api.recipes.visual_instruction.tune import VisualInstructionTune  # noqa: E402
from fabula_api.recipes.visual_instruction.watch import Threshold  # noqa: E402
from fabula_api.shared_spec import PixelWindow  # noqa: E402
from fabula_workloads.models.family import FIGURES  # noqa: E402
from fabula_workloads.models.loading import load_for_training  # noqa: E402
from fabula_workloads.recipes.visual_instruction.sample import VideoSample  # noqa: E402
from fabula_workloads.recipes.visual_instruction.watcher.building import watcher_of, words_of  # noqa: E402
from fabula_workloads.recipes.visual_instruction.watcher.encode import (  # noqa: E402
    Collator,
    StreamWriter,
    WatcherEncoder,
)
from fabula_workloads.recipes.visual_instruction.watcher.families import watcher_family  # noqa: E402
from fabula_workloads.recipes.visual_instruction.watcher.loss import watcher_loss  # noqa: E402
from fabula_workloads.recipes.visual_instruction.watcher.session import Session, View  # noqa: E402
from fabula_workloads.recipes.visual_instruction.watcher.stream import laid_out  # noqa: E402
from fabula_workloads.training.samples.dataset import read_samples  # noqa: E402

PIXELS = PixelWindow(min_pixels=1024, max_pixels=8192)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("watcher")
    build_watching_model(root / "model")
    write_watching(root / "dataset", 6, 3)
    return root


class Built:
    """A watcher with all that feeds it."""

    def __init__(self, world: Path, pixels: PixelWindow = PIXELS, **tune: Any) -> None:
        tune = {"stage": "streaming"} | tune
        self.tune = VisualInstructionTune.model_validate(tune)
        torch.manual_seed(0)
        base = load_for_training(world / "model", precision="fp32")
        self.family = watcher_family(base.config.model_type)(world / "model", pixels, 64, self.tune.pooling)
        self.words, _ = words_of(world / "model")
        self.watcher = watcher_of(base, self.family, self.tune, self.words, hears=False).eval()
        self.writer = StreamWriter(self.words, self.family)
        self.encoder = WatcherEncoder(world / "dataset", self.writer, None)
        self.samples: list[VideoSample] = read_samples(world / "dataset", "train", kind=VideoSample)

    def batch(self, samples: list[VideoSample]) -> dict[str, Any]:
        made = Collator(self.words.ids.quiet)([[self.encoder.encode(sample)] for sample in samples])
        made.pop(FIGURES)
        return made

    def view(self, sample: VideoSample, **changes: Any) -> View:
        blocks = self.writer.blocks(sample, False, unasked=True)
        user, segments = laid_out(blocks, self.words.ids)
        encoded = self.encoder.encode(sample)
        given = {
            "user": tuple(user), "segments": tuple(segments), "positions": self.family.positions(user),
            "pixels": encoded["pixels"], "most_tokens": 6,
        }  # fmt: skip
        return View(**(given | changes))


@pytest.mark.parametrize("fusion", ["adaptive", "linear", "add"])
@pytest.mark.parametrize("pooling", [1, 2])
def test_watching_equals_a_pass_over_the_whole_at_every_position(world: Path, fusion: str, pooling: int) -> None:
    made = Built(world, fusion=fusion, pooling=pooling)
    views = [made.view(made.samples[0]), made.view(made.samples[1], begins=4.0)]
    with torch.no_grad():
        session = Session(made.watcher, Threshold(above=0.3), replies=2)
        trace: list[Any] = []
        said = session.watch(views, trace=trace)
        assert all(row and row[0].tokens for row in said)  # it speaks, so that words of its own are in the stream
        streamed = torch.cat(trace, dim=1)
        for row, view in enumerate(views):
            length = streamed.shape[1]
            user = list(view.user) + [made.words.ids.quiet] * (length - len(view.user))
            user = user[:length]
            positions = made.family.positions(user)
            shown = made.watcher.shown(view.pixels)
            whole = made.watcher.states(
                torch.tensor([session.fed[row]]), torch.tensor([user]), positions[:, None], shown
            )
            end = min(length, len(view.user))
            torch.testing.assert_close(streamed[row, :end], whole[0, :end], atol=2e-4, rtol=2e-4)


def test_a_pass_learns_words_and_moments(world: Path) -> None:
    made = Built(world)
    batch = made.batch(made.samples[:3])
    labels = batch.pop("labels")
    loss = watcher_loss(made.watcher(**batch), labels)
    loss.backward()
    for name in ("fusion.weigh.0.weight", "marks.weight", "head.layers.0.weight"):
        gradient = dict(made.watcher.named_parameters())[name].grad
        assert gradient is not None and gradient.abs().sum() > 0, name
