"""The watcher: what its two streams hold, when it learns to speak, and that watching equals a pass over the whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
from transformers import AutoTokenizer  # noqa: E402

pytestmark = pytest.mark.torch

from tests.support.internvl_model import build_internvl  # noqa: E402
from tests.support.watching_world import build_watching_model, write_watching  # noqa: E402

from fabula_api.fine_tune_run import Lora  # noqa: E402
from fabula_api.recipes.visual_instruction.tune import VisualInstructionTune  # noqa: E402
from fabula_api.recipes.visual_instruction.watch import Threshold  # noqa: E402
from fabula_api.shared_spec import PixelWindow  # noqa: E402
from fabula_workloads.models.family import FIGURES  # noqa: E402
from fabula_workloads.models.loading import load_for_training  # noqa: E402
from fabula_workloads.recipes.visual_instruction.annotations.rows import Turn  # noqa: E402
from fabula_workloads.recipes.visual_instruction.sample import VideoSample  # noqa: E402
from fabula_workloads.recipes.visual_instruction.training.loss import watcher_loss  # noqa: E402
from fabula_workloads.recipes.visual_instruction.training.saving import save  # noqa: E402
from fabula_workloads.recipes.visual_instruction.watcher import building, files  # noqa: E402
from fabula_workloads.recipes.visual_instruction.watcher.building import watcher_of, words_of  # noqa: E402
from fabula_workloads.recipes.visual_instruction.watcher.encode import (  # noqa: E402
    Collator,
    StreamWriter,
    WatcherEncoder,
)
from fabula_workloads.recipes.visual_instruction.watcher.families import watcher_family  # noqa: E402
from fabula_workloads.recipes.visual_instruction.watcher.fusion import Fusion, focal  # noqa: E402
from fabula_workloads.recipes.visual_instruction.watcher.hearing import Ears  # noqa: E402
from fabula_workloads.recipes.visual_instruction.watcher.stream import PICTURE, SOUND, laid_out  # noqa: E402
from fabula_workloads.recipes.visual_instruction.watcher.tokens import REMARK, Words  # noqa: E402
from fabula_workloads.recipes.visual_instruction.watching.engine import load_watcher  # noqa: E402
from fabula_workloads.recipes.visual_instruction.watching.row import View  # noqa: E402
from fabula_workloads.recipes.visual_instruction.watching.session import Session  # noqa: E402
from fabula_workloads.runtime.failures import InputInvalid  # noqa: E402
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

    def __init__(self, world: Path, model: str = "model", dataset: str = "dataset", **tune: Any) -> None:
        tune = {"stage": "streaming"} | tune
        self.tune = VisualInstructionTune.model_validate(tune)
        torch.manual_seed(0)
        base = load_for_training(world / model, precision="fp32")
        self.family = watcher_family(base.config.model_type)(world / model, PIXELS, 64, self.tune.pooling)
        self.words, _ = words_of(world / model)
        sound = self.family.sound_encoder
        self.watcher = watcher_of(base, self.family, self.tune, self.words, hears=sound is not None).eval()
        self.writer = StreamWriter(self.words, self.family)
        self.encoder = WatcherEncoder(world / dataset, self.writer, Ears(sound) if sound else None)
        self.samples: list[VideoSample] = read_samples(world / dataset, "train", kind=VideoSample)

    def batch(self, samples: list[VideoSample]) -> dict[str, Any]:
        made = Collator(self.words.ids.quiet)([[self.encoder.encode(sample)] for sample in samples])
        made.pop(FIGURES)
        return made

    def view(self, sample: VideoSample, **changes: Any) -> View:
        encoded = self.encoder.encode(sample)
        blocks = self.writer.blocks(sample, encoded["sound"] is not None, unasked=True)
        user, segments = laid_out(blocks, self.words.ids)
        given = {
            "user": tuple(user), "segments": tuple(segments), "positions": self.family.positions(user),
            "pixels": encoded["pixels"], "sound": encoded["sound"], "most_tokens": 6,
        }  # fmt: skip
        return View(**(given | changes))


def equal_to_a_pass_over_the_whole(made: Built) -> None:
    views = [made.view(made.samples[0]), made.view(made.samples[1], begins=4.0)]
    with torch.no_grad():
        session = Session(made.watcher, Threshold(above=0.3), replies=2)
        trace: list[Any] = []
        said = session.watch(views, trace=trace)
        assert all(row and row[0].tokens for row in said)  # it speaks, so that words of its own are in the stream
        streamed = torch.cat(trace, dim=1)
        for row, view in enumerate(views):
            length = streamed.shape[1]
            user = (list(view.user) + [made.words.ids.quiet] * length)[:length]
            shown = made.watcher.shown(view.pixels, view.sound)
            agent, positions = torch.tensor([session.fed[row]]), made.family.positions(user)[:, None]
            whole = made.watcher.states(agent, torch.tensor([user]), positions, shown)
            end = min(length, len(view.user))
            torch.testing.assert_close(streamed[row, :end], whole[0, :end], atol=2e-4, rtol=2e-4)


@pytest.mark.parametrize(("fusion", "pooling"), [("adaptive", 1), ("linear", 2), ("add", 1)])
def test_watching_equals_a_pass_over_the_whole_at_every_position(world: Path, fusion: str, pooling: int) -> None:
    equal_to_a_pass_over_the_whole(Built(world, fusion=fusion, pooling=pooling))


@pytest.mark.parametrize("hears", [False, True])
def test_the_second_family_sees_and_hears(world: Path, tmp_path: Path, hears: bool) -> None:
    build_internvl(tmp_path / "internvl", hears=hears)
    write_watching(tmp_path / "heard", 3, 0, sound=True)
    made = Built(tmp_path, "internvl", "heard", pooling=2 - hears)
    encoded = made.encoder.encode(made.samples[0])
    high, wide = made.family.grid
    assert (high, wide) == ((2, 2) if hears else (1, 1))  # 4 x 4 patches, shuffled to 2 x 2
    assert encoded["user"].tolist().count(PICTURE) == 10 * high * wide
    assert encoded["user"].tolist().count(SOUND) == (10 * 12 if hears else 0)
    equal_to_a_pass_over_the_whole(made)
    batch = made.batch(made.samples[:2])
    labels = batch.pop("labels")
    watcher_loss(made.watcher(**batch), labels).backward()
    if hears:
        assert made.watcher.hearing.adapter.weight.grad.abs().sum() > 0
        assert all(one.grad is None for one in made.watcher.hearing.encoder.parameters())
        assert not any("encoder" in name for name in made.watcher.own_weights())
    assert made.watcher.own_weights()["projector.model.multi_modal_projector.linear_2.weight"].grad.abs().sum() > 0


def test_a_pass_learns_words_and_moments(world: Path) -> None:
    made = Built(world)
    batch = made.batch(made.samples[:3])
    labels = batch.pop("labels")
    loss = watcher_loss(made.watcher(**batch), labels)
    loss.backward()
    for name in ("fusion.weigh.0.weight", "marks.weight", "head.layers.0.weight"):
        gradient = dict(made.watcher.named_parameters())[name].grad
        assert gradient is not None and gradient.abs().sum() > 0, name


class Constant(torch.nn.Module):  # type: ignore[misc]
    """A head with one score for all frames."""

    def __init__(self, score: float) -> None:
        super().__init__()
        self.logit = float(torch.logit(torch.tensor(score)))

    def forward(self, states: Any) -> Any:
        return torch.full(states.shape[:-1], self.logit)


def spoken(
    made: Built, view: View, score: float, threshold: Threshold, replies: int = 1
) -> tuple[list[Any], list[int]]:
    made.watcher.head = Constant(score)
    session = Session(made.watcher, threshold, replies)
    with torch.no_grad():
        (said,) = session.watch([view])
    assert said is not None
    return said, session.fed[0]


def test_a_threshold_is_a_sum_or_a_mean_and_silence_is_no_reply(world: Path) -> None:
    made = Built(world)
    view = made.view(made.samples[0])
    said, _ = spoken(made, view, 0.2, Threshold(over="sum", frames=3, above=0.35))
    assert [one.at for one in said] == [1.0]  # 0.2 and 0.2 of the first two frames
    assert said[0].decision_seconds > 0 and said[0].first_token_seconds > 0
    assert spoken(made, view, 0.2, Threshold(over="mean", frames=3, above=0.35))[0] == []
    assert spoken(made, view, 0.1, Threshold(over="sum", frames=3, above=0.35))[0] == []


def test_scores_are_forgotten_once_it_speaks_and_one_event_is_spoken_to_once(world: Path) -> None:
    made = Built(world)
    view = made.view(made.samples[0], most_tokens=1)
    said, _ = spoken(made, view, 0.2, Threshold(above=0.35), replies=9)
    assert [one.at for one in said] == [1.0, 3.0, 5.0, 7.0, 9.0]
    assert [one.at for one in spoken(made, view, 0.9, Threshold(above=0.35), replies=9)[0]] == [0.0]


def test_what_is_given_is_really_being_said_while_it_is_interrupted(world: Path) -> None:
    made = Built(world)
    turn = Turn(speaker="model", text="Careful, something is wrong there. " * 3, at=2.0)
    reply = made.writer.reply(turn)
    place = next(one.place for one in made.view(made.samples[0]).segments if one.at == 2.0) + 1
    view = made.view(made.samples[0], script=((place, reply),), begins=4.0)
    said, fed = spoken(made, view, 0.9, Threshold(above=0.35))
    assert [one.at for one in said] == [4.0]
    fired = next(one.place for one in view.segments if one.at == 4.0)
    assert fired - place < len(reply.ids)  # it was in the middle of it
    assert fed[place : fired + 1] == list(reply.ids[: fired + 1 - place])
    assert fed[fired + 1] == made.words.ids.remark
    whole, unbroken = spoken(made, view, 0.01, Threshold(above=0.35))
    assert whole == [] and unbroken[place : place + len(reply.ids)] == list(reply.ids)


def test_a_reply_is_not_cut_where_the_video_ends(world: Path) -> None:
    made = Built(world)
    view = made.view(made.samples[0], begins=9.0, most_tokens=40)
    said, fed = spoken(made, view, 0.9, Threshold(above=0.35))
    assert said[0].at == 9.0
    assert len(said[0].tokens) == 40 or said[0].ended
    assert len(fed) > len(view.user)


def test_batches_say_what_each_would_alone(world: Path) -> None:
    made = Built(world)
    views = [made.view(sample, most_tokens=3 + 2 * number) for number, sample in enumerate(made.samples[:3])]
    with torch.no_grad():
        threshold = Threshold(above=0.3)
        together = Session(made.watcher, threshold, 3).watch(views)
        alone = [Session(made.watcher, threshold, 3).watch([view])[0] for view in views]
    assert [[(one.at, one.tokens) for one in row or []] for row in together] == [
        [(one.at, one.tokens) for one in row or []] for row in alone
    ]


def test_operands_have_one_order_and_linear_begins_as_the_user(world: Path) -> None:
    agent, user = torch.randn(2, 3, 8), torch.randn(2, 3, 8)
    torch.manual_seed(0)
    linear, adaptive, add = (Fusion(kind, 8) for kind in ("linear", "adaptive", "add"))
    torch.testing.assert_close(linear(agent, user), user)
    torch.testing.assert_close(add(agent, user), (agent + user) / 2)
    weight = torch.sigmoid(adaptive.weigh(torch.cat([agent, user], dim=-1)))
    torch.testing.assert_close(adaptive(agent, user), weight * agent + (1 - weight) * user)
    assert not torch.allclose(adaptive(agent, user), adaptive(user, agent))


def test_focal_loss_is_the_published_one() -> None:
    logits, wanted = torch.tensor([2.0, -1.0]), torch.tensor([True, False])
    found = focal(logits, wanted, 0.25, 2.0)
    p = torch.sigmoid(logits)
    expected = torch.stack([-0.25 * (1 - p[0]) ** 2 * torch.log(p[0]), -0.75 * p[1] ** 2 * torch.log(1 - p[1])])
    torch.testing.assert_close(found, expected)


def test_the_head_is_kept_from_stage_to_stage_and_a_stage_without_one_brings_none(world: Path, tmp_path: Path) -> None:
    first = Built(world, stage="streaming")
    config = files.WatcherConfig(
        tune=first.tune, family="qwen3_vl", vocabulary=1, side=64, hears=False, decides=True, stages=("streaming",)
    )
    files.write(tmp_path, config, first.watcher.own_weights())
    torch.manual_seed(1)
    second = Built(world, stage="instruct", begin={"uri": "x"})
    torch.nn.init.normal_(second.watcher.head.layers[0].weight)
    files.load_weights(second.watcher, tmp_path, "begin")
    torch.testing.assert_close(second.watcher.head.layers[0].weight, first.watcher.head.layers[0].weight)
    aligned = Built(world, stage="align")
    files.load_weights(aligned.watcher, tmp_path, "begin")  # what it has no place for is left out
    other = Built(world, fusion="linear")
    with pytest.raises(InputInvalid, match=r"fusion\.weigh\.0\.bias has shape"):
        files.load_weights(other.watcher, tmp_path, "begin")


LORA = Lora(rank=4, alpha=8, dropout=0, target_modules=["q_proj", "v_proj", "down_proj"])


def trained_stage(world: Path, folder: Path, earlier: str, begin: Path | None) -> tuple[Built, Any]:
    """A stage with an update that says something, saved into `folder`; and its logits."""
    made = Built(world, stage="instruct", begin={"uri": "x"}, earlierUpdate=earlier)
    base, before = made.watcher.language, files.updates_of(begin) if begin else []
    if before:
        base = {"merged": building.merged, "stacked": building.stacked}[earlier](base, before)
    made.watcher.language = building.add_update(base, LORA, made.family, "tiny")
    if begin:
        files.load_weights(made.watcher, begin, "begin")
    torch.manual_seed(len(before) + 7)
    for name, value in made.watcher.named_parameters():
        if value.requires_grad and ".lora_B" in name:
            torch.nn.init.normal_(value, std=0.2)
    stages = ("finetune", "streaming", "instruct")[: len(before) + 1]
    config = files.WatcherConfig(
        tune=made.tune, family="qwen3_vl", vocabulary=words_of(world / "model")[1], side=64, hears=False, decides=True,
        stages=stages,
    )  # fmt: skip
    folder.mkdir()
    save(made.watcher, config, before, folder, writes=True, gathered=lambda: None)
    return made, logits_of(made, made.watcher)


def logits_of(made: Built, watcher: Any) -> Any:
    batch = made.batch(made.samples[:1])
    with torch.no_grad():
        states = watcher.states(batch["agent"], batch["user"], batch["positions"], watcher.shown(batch["pixels"]))
        return watcher.logits(states)


def test_updates_of_earlier_stages_are_at_work_merged_and_stacked_alike(world: Path, tmp_path: Path) -> None:
    """Three stages: what was trained, what is watched with afterwards, and both ways of keeping what was before."""
    _, alone = trained_stage(world, tmp_path / "one", "merged", None)
    found = {}
    for earlier in ("merged", "stacked"):
        _, second = trained_stage(world, tmp_path / f"two-{earlier}", earlier, tmp_path / "one")
        made, third = trained_stage(world, tmp_path / f"three-{earlier}", earlier, tmp_path / f"two-{earlier}")
        found[earlier] = third
        assert (alone - second).abs().max() > 0.01 and (second - third).abs().max() > 0.01  # each says something
        kept = files.updates_of(tmp_path / f"three-{earlier}")
        assert [one.name for one in kept] == ["00", "01", f"three-{earlier}"]
        weights = [(one / "adapter_model.safetensors").read_bytes() for one in kept[:2]]
        assert weights == [(tmp_path / one / "adapter_model.safetensors").read_bytes()
                           for one in ("one", f"two-{earlier}")]  # fmt: skip
        loaded = load_watcher(world / "model", tmp_path / f"three-{earlier}", PIXELS, "cpu").watcher
        assert not hasattr(loaded.language, "peft_config")
        torch.testing.assert_close(logits_of(made, loaded), third, atol=2e-4, rtol=2e-4)
    torch.testing.assert_close(found["merged"], found["stacked"], atol=2e-4, rtol=2e-4)


def test_marks_are_tokens_that_the_tokenizer_numbers_and_no_text_can_forge(world: Path, tmp_path: Path) -> None:
    words, known = words_of(world / "model")
    assert sorted(words.ids.marks) == list(range(known, known + 4))
    assert not set(words.ids.marks) & set(words.ids_of(f"Say {REMARK} now"))
    bigger = build_watching_model(tmp_path / "model")
    tokenizer = AutoTokenizer.from_pretrained(bigger)
    tokenizer.add_tokens(["another", "word"])
    assert sorted(Words(tokenizer).ids.marks) == [one + 2 for one in sorted(words.ids.marks)]
