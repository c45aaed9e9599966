"""The narrator: what it is told and where, what is learned, and answers that do not depend on their neighbours."""

from __future__ import annotations

import dataclasses
import math
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from tests.support.narration_world import PEOPLE, build_language_model, write_narration  # noqa: E402

from fabula_api.arms import Generation  # noqa: E402
from fabula_api.recipes.audio_description.tell import AudioDescriptionTell  # noqa: E402
from fabula_api.recipes.audio_description.tune import AudioDescriptionTune  # noqa: E402
from fabula_workloads.inference.request import Answer, Failure, Request  # noqa: E402
from fabula_workloads.models.family import FIGURES  # noqa: E402
from fabula_workloads.recipe_parts import SampleTooLong  # noqa: E402
from fabula_workloads.recipes.audio_description.annotations.names import first_name  # noqa: E402
from fabula_workloads.recipes.audio_description.annotations.rows import Character  # noqa: E402
from fabula_workloads.recipes.audio_description.features.shards import _opened  # noqa: E402
from fabula_workloads.recipes.audio_description.held_out import NarrationEvaluationSample  # noqa: E402
from fabula_workloads.recipes.audio_description.narrator import files  # noqa: E402
from fabula_workloads.recipes.audio_description.narrator.building import (  # noqa: E402
    load_language,
    narrator_of,
    writer_of,
)
from fabula_workloads.recipes.audio_description.narrator.encode import Collator, Expected, NarrationEncoder  # noqa: E402
from fabula_workloads.recipes.audio_description.narrator.engine import NarratorEngine  # noqa: E402
from fabula_workloads.recipes.audio_description.narrator.frames import NONE, drawn, spaced  # noqa: E402
from fabula_workloads.recipes.audio_description.narrator.loss import paper_v1, per_sample  # noqa: E402
from fabula_workloads.recipes.audio_description.sample import NarrationSample  # noqa: E402
from fabula_workloads.runtime.failures import InputInvalid  # noqa: E402
from fabula_workloads.training.samples.dataset import read_samples  # noqa: E402

SMALL = {"latents": 3, "characterLatents": 2, "depth": 1}
PERCEIVER = {"mapping": {"kind": "perceiver", **SMALL}}
QFORMER = {"mapping": {"kind": "qformer", **SMALL}, "promptProfile": "clips"}
SHAPES: dict[str, tuple[int, ...]] = {"perceiver": (16,), "qformer": (4, 16)}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("narrator")
    build_language_model(root / "model")
    write_narration(root / "perceiver", 8, 4)
    write_narration(root / "qformer", 8, 4, parts=4)
    return root


class Built:
    """A narrator with all that feeds it."""

    def __init__(self, world: Path, tune: dict[str, Any]) -> None:
        self.tune = AudioDescriptionTune.model_validate(tune)
        kind = self.tune.mapping.kind
        self.folder, self.shape = world / kind, SHAPES[kind]
        torch.manual_seed(0)
        language = load_language(world / "model", "fp32")
        self.vocabulary = language.config.vocab_size
        self.model = narrator_of(language, self.tune, self.vocabulary, self.shape)
        self.model.eval()  # a Q-Former drops some of what it sees while it learns
        self.writer, self.tokenizer = writer_of(world / "model", self.tune, self.vocabulary, self.shape)
        self.encoder = NarrationEncoder(
            self.folder, self.writer, self.tune, Expected(self.shape, "we say", "mend it"), 0
        )
        self.samples = read_samples(self.folder, "train", kind=NarrationSample)

    def batch(self, samples: list[NarrationSample], epoch: int | None = 0) -> dict[str, Any]:
        made = Collator(0, self.shape)([[self.encoder.encode(sample, epoch)] for sample in samples])
        made.pop(FIGURES)
        return made

    def losses(self, samples: list[NarrationSample], loss: Any = per_sample) -> Any:
        batch = self.batch(samples)
        labels = batch.pop("labels")
        return loss(self.model(**batch), labels)


@pytest.fixture(params=[PERCEIVER, QFORMER], ids=["perceiver", "qformer"])
def built(world: Path, request: pytest.FixtureRequest) -> Built:
    return Built(world, request.param)


@pytest.mark.parametrize("kind", ["perceiver", "qformer"])
def test_the_weights_that_the_estimate_counts_are_those_that_there_are(kind: str) -> None:
    from fabula_workloads.models.torchvision_shim import prepare_torchvision
    from fabula_workloads.recipes.audio_description.narrator.mapping import mappings

    prepare_torchvision()
    wire = {"mapping": {"kind": kind, "latents": 5, "depth": 3, "heads": 2}}
    spec = AudioDescriptionTune.model_validate(wire).mapping
    clips, faces = mappings(spec, (8,), 16, 70)
    there = sum(value.numel() for part in (clips, faces) for value in part.parameters())
    assert spec.weights(16, 70, width=8) == there


def test_the_sequence_of_mad_is_the_published_one(world: Path) -> None:
    made = Built(world, PERCEIVER)
    video, face = made.vocabulary, made.vocabulary + 1
    words = made.tokenizer
    told = made.samples[1].characters
    (first, actor), (second, other) = PEOPLE.values()

    def ids(text: str) -> list[int]:
        return list(words(text, add_special_tokens=False)["input_ids"])

    expected = [
        *ids("Possible characters:"), *ids(f"{first} played by {actor}"), face, face, *ids(";"),
        *ids(f"{second} played by {other}"), face, face, *ids("."), *ids("Describe "), video, video, video, *ids(":"),
    ]  # fmt: skip
    assert made.writer.prompt(told, 1) == expected
    assert made.writer.prompt((), 1) == [*ids("Describe "), video, video, video, *ids(":")]
    assert made.writer.answer("Ada waves.")[-1] == words.eos_token_id


def test_clips_of_tv_use_short_names_leave_out_words_and_close_with_a_token_that_is_learned(world: Path) -> None:
    made = Built(world, QFORMER)
    people = [
        Character(id="nm1", name="A", role="Dr. Ross Geller", short_name="Ross", exemplar="face-nm01"),
        Character(id="nm2", name="B", role="Herself", short_name="She", exemplar="face-nm02"),
        Character(id="nm3", name="C", role="Joey", short_name="Joey", exemplar=None),
    ]
    assert [one.id for one in made.writer.told(people)] == ["nm1"]
    prompt = made.writer.prompt(people, 1)
    context = made.vocabulary + 2
    assert prompt[-1] == context and prompt.count(made.vocabulary + 1) == 4
    made.losses(made.samples[:4]).backward()
    gradient = made.model.heads.weight.grad
    # The reference looks its context token up as id 0: here it has an embedding of its own, which is trained.
    assert gradient is not None and gradient[context - made.vocabulary].abs().sum() > 0


@pytest.mark.parametrize(
    ("role", "first"), [("Joey Tribbiani", "Joey"), ("Dr. Ross Geller", "Ross"), ("Monica", "Monica"), ("", "")]
)
def test_first_names(role: str, first: str) -> None:
    assert first_name(role) == first


@given(st.integers(1, 200), st.integers(1, 16), st.integers(0, 5))
def test_frames_are_within_the_clip_in_order_and_as_many_as_asked(frames: int, wanted: int, key: int) -> None:
    for places in (drawn(frames, wanted, str(key)), spaced(frames, wanted, repeat=True),
                   spaced(frames, wanted, repeat=False)):  # fmt: skip
        assert len(places) == wanted
        there = [place for place in places if place != NONE]
        assert there == sorted(there) and all(0 <= place < frames for place in there)
        assert (NONE in places) <= (frames < wanted)
    assert drawn(frames, wanted, str(key)) == drawn(frames, wanted, str(key))


def test_evaluation_takes_first_and_last_frame_and_training_one_of_each_segment() -> None:
    assert spaced(20, 8, repeat=True) == [0, 2, 5, 8, 10, 13, 16, 19]
    assert spaced(3, 8, repeat=True) == [0, 0, 0, 0, 1, 1, 1, 2]
    assert spaced(3, 5, repeat=False) == [0, 1, 2, NONE, NONE]
    seen = {place for key in range(50) for place in drawn(16, 8, str(key))}
    assert seen == set(range(16))


def test_a_frame_that_is_drawn_follows_from_seed_sample_and_epoch_alone(built: Built) -> None:
    sample = max(built.samples, key=lambda one: len(one.clip))
    same = [built.encoder.encode(sample, 3)["frames"] for _ in range(2)]
    assert torch.equal(*same)
    epochs = {tuple(built.encoder.encode(one, epoch)["frames"].flatten().tolist())
              for epoch in range(4) for one in built.samples[:3]}  # fmt: skip
    assert len(epochs) > 3


def test_a_sample_weighs_the_same_whatever_it_is_padded_with(built: Built) -> None:
    alone = torch.stack([built.losses([sample]) for sample in built.samples[:5]])
    assert torch.allclose(built.losses(built.samples[:5]), alone.mean(), atol=1e-5)
    # The published loss is of means over the pass, where a long description weighs more.
    published = torch.stack([built.losses([sample], paper_v1) for sample in built.samples[:5]])
    assert torch.allclose(published, alone, atol=1e-5)
    assert not torch.allclose(built.losses(built.samples[:5], paper_v1), alone.mean(), atol=1e-5)


def test_the_hinge_counts_only_where_the_description_before_is_likelier() -> None:
    outputs = {
        "sums": torch.tensor([2.0, 6.0, 3.0, 9.0, 2.0]), "counts": torch.tensor([2, 2, 3, 3, 2]),
        "sample_of": torch.tensor([0, 1, 2, 0, 1]), "positive": torch.tensor([True, True, True, False, False]),
        "contrasted": torch.tensor([True, True, False]),
    }  # fmt: skip
    # Sample 0: 1 and 3, no hinge; sample 1: 3 and 1, hinge 2; sample 2: 1 and nothing before it.
    assert math.isclose(per_sample(outputs, None).item(), (1 + 5 + 1) / 3, rel_tol=1e-6)
    assert math.isclose(per_sample(outputs, None, 6).item(), 7 / 6, rel_tol=1e-6)
    own, other = (2 + 6 + 3) / 7, (9 + 2) / 5
    assert math.isclose(paper_v1(outputs, None).item(), own + max(own - other, 0), rel_tol=1e-6)


def test_every_trained_weight_has_a_gradient_also_where_no_character_is_told_of(built: Built) -> None:
    alone = [sample for sample in built.samples if not sample.characters][:1]
    built.losses(alone).backward()
    missing = [name for name, one in built.model.named_parameters() if one.requires_grad and one.grad is None]
    assert missing == []
    assert all(one.grad is None for one in built.model.language.parameters())


def test_a_new_token_begins_as_the_mean_of_the_vocabulary_and_its_head_is_tied(built: Built) -> None:
    mean = built.model.causal.get_input_embeddings().weight.mean(dim=0)
    assert torch.allclose(built.model.heads.weight, mean.expand_as(built.model.heads.weight))
    hidden = torch.randn(2, len(mean))
    assert torch.allclose(built.model.heads(hidden, embed=False)[:, 0], hidden @ mean, atol=1e-5)


def test_a_clip_that_has_none_before_it_is_described_from_its_own_frames_alone(world: Path) -> None:
    made = Built(world, PERCEIVER)
    sample = next(one for one in made.samples if one.previous is None)
    batch = made.batch([sample])
    assert batch["frames_seen"].sum() == made.tune.frames
    batch.pop("labels")
    before = made.model(**batch)["sums"]
    batch["frames"][:, : made.tune.frames] = 9.0
    assert torch.equal(made.model(**batch)["sums"], before)


def test_a_description_of_more_tokens_than_the_recipe_takes_is_left_out_by_name(world: Path) -> None:
    made = Built(world, {**PERCEIVER, "maxAnswerTokens": 1})
    with pytest.raises(SampleTooLong, match=r"sample s0-000: .*maxAnswerTokens is 1"):
        made.encoder.length(made.samples[0])


def test_the_told_length_is_that_of_the_longer_row(built: Built) -> None:
    for sample in built.samples:
        rows = built.batch([sample])["attention_mask"].sum(dim=1)
        assert built.encoder.length(sample) == int(rows.max())


def request(made: Built, sample: NarrationSample) -> Request:
    record = NarrationEvaluationSample.model_validate(
        {**sample.model_dump(exclude={"clip", "text"}), "reference": sample.text}
    )
    given = record.model_copy()
    object.__setattr__(given, "narration", lambda: sample)
    return Request(sample.id, 0, (), "", given, made.folder)


def saved(made: Built, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    own = {name: one for name, one in made.model.named_parameters() if one.requires_grad}
    config = files.NarratorConfig(tune=made.tune, feature_shape=made.shape, vocabulary=made.vocabulary)
    files.write(folder, config, own)
    return folder


def engine(world: Path, tuned: Path | None, **generation: Any) -> NarratorEngine:
    return NarratorEngine(
        world / "model", tuned, cuda=False, tell=AudioDescriptionTell(),
        generation=Generation.model_validate({"maxNewTokens": 12, **generation}),
    )  # fmt: skip


def test_a_batch_of_any_size_gives_the_answers_of_a_batch_of_one(world: Path, built: Built, tmp_path: Path) -> None:
    narrator = engine(world, saved(built, tmp_path / "tuned"))
    asked = [request(built, sample) for sample in built.samples[:6]]
    alone = [narrator.answer([one], lambda: False)[0] for one in asked]
    together = narrator.answer(asked, lambda: False)
    assert all(isinstance(one, Answer) for one in alone)
    assert [one.text for one in together if isinstance(one, Answer)] == [
        one.text for one in alone if isinstance(one, Answer)
    ]
    assert len({one.text for one in alone if isinstance(one, Answer)}) > 1


def test_an_arm_without_an_adapter_is_asked_in_words(world: Path, built: Built) -> None:
    answers = engine(world, None).answer([request(built, built.samples[1])], lambda: False)
    assert isinstance(answers[0], Answer) and answers[0].tokens > 0


def test_no_three_tokens_in_a_row_stand_in_an_answer_twice(
    world: Path, built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    narrator = engine(world, saved(built, tmp_path / "tuned"), maxNewTokens=40)
    seen: list[list[int]] = []
    read = narrator._decode
    monkeypatch.setattr(narrator, "_decode", lambda ids, seconds: seen.append(ids) or read(ids, seconds))
    (answer,) = narrator.answer([request(built, built.samples[2])], lambda: False)
    assert isinstance(answer, Answer)
    (ids,) = seen
    threes = list(zip(ids, ids[1:], ids[2:], strict=False))
    assert len(threes) > 10 and len(set(threes)) == len(threes)


def test_weights_of_another_mapping_are_refused_by_name(world: Path, built: Built, tmp_path: Path) -> None:
    folder = saved(built, tmp_path / "tuned")
    other = Built(world, {**(QFORMER if built.tune.mapping.kind == "qformer" else PERCEIVER)})
    files.load_weights(other.model, folder, "the adapter")
    larger = {**built.tune.model_dump(by_alias=True), "mapping": {"kind": built.tune.mapping.kind, "latents": 5}}
    with pytest.raises(InputInvalid, match="it is of another mapping"):
        files.load_weights(Built(world, larger).model, folder, "the adapter")
    with pytest.raises(InputInvalid, match=r"is no narrator: narrator\.json is not in its folder"):
        files.read_config(world / "model", "the adapter")


def test_the_operations_of_mfu_are_those_that_torch_counts(world: Path, built: Built) -> None:
    """Matrix products alone: torch counts no fused attention on a CPU."""
    from torch.utils.flop_counter import FlopCounterMode

    from fabula_workloads.recipes.audio_description.narrator.flops import needed

    tune = AudioDescriptionTune.model_validate({**built.tune.model_dump(by_alias=True), "contrast": False})
    encoder = NarrationEncoder(built.folder, built.writer, tune, Expected(built.shape, "we say", "mend it"), 0)
    count = needed(built.model.causal.config, built.model)
    batch = Collator(0, built.shape, count)([[encoder.encode(built.samples[1], 0)]])
    figures, labels = batch.pop(FIGURES), batch.pop("labels")
    with FlopCounterMode(display=False) as counter:
        per_sample(built.model(**batch), labels).backward()
    config, (length,) = built.model.causal.config, figures["lengths"]
    fused = 6 * length**2 * config.num_hidden_layers * config.hidden_size
    clips, people, parts = batch["frames"].shape, len(batch["faces"]), built.shape[0] if len(built.shape) > 1 else 1
    seen, mapping = clips[1] * parts, tune.mapping
    if mapping.kind == "perceiver":
        hidden = config.hidden_size
        fused += 12 * hidden * mapping.depth * (mapping.latents + seen) ** 2
        fused += 12 * hidden * mapping.depth * people * (mapping.character_latents + parts) ** 2
    else:
        fused += 12 * built.shape[-1] * mapping.depth * (mapping.latents + seen) * mapping.latents
    assert people == 2 and counter.get_total_flops() == figures["flops"] - fused


def test_clips_of_another_width_than_the_narrator_learned_end_an_evaluation(
    world: Path, built: Built, tmp_path: Path
) -> None:
    """They are of another bank or encoder, and so are all others; clips that cannot be read are counted one by one."""
    from safetensors.torch import load_file, save_file

    narrator = engine(world, saved(built, tmp_path / "tuned"))
    shutil.copytree(built.folder, tmp_path / "other")
    asked = request(built, built.samples[1])
    file = tmp_path / "other" / built.samples[1].features
    kept = load_file(file)
    save_file({name: torch.cat([value, value], dim=-1).contiguous() for name, value in kept.items()}, file)
    elsewhere = dataclasses.replace(asked, folder=tmp_path / "other")
    said = rf"has features \[.*32\] of a frame, but the narrator learned {re.escape(str(list(built.shape)))}; ask it"
    with pytest.raises(InputInvalid, match=said):
        narrator.answer([elsewhere], lambda: False)
    save_file({"other": torch.zeros(1)}, file)
    _opened.cache_clear()
    assert narrator.answer([elsewhere], lambda: False) == [Failure("FeaturesUnfit")]
