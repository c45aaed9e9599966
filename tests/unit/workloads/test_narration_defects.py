"""The fifteen defects of the published system, each with the test that holds its mending."""

from __future__ import annotations

import ast
import io
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from pydantic import ValidationError
from tests.support.narration_files import clips, write_clips, write_film
from tests.support.stage_context import stage_context

from fabula_api.recipes.audio_description.build import Bank as BankSpec
from fabula_api.recipes.audio_description.tune import AudioDescriptionTune
from fabula_api.specs import parse_spec
from fabula_workloads.models.torchvision_shim import prepare_torchvision
from fabula_workloads.recipes.audio_description import ingest
from fabula_workloads.recipes.audio_description.annotations.rows import Clip
from fabula_workloads.recipes.audio_description.features.bank import Bank

TESTS = Path(__file__).resolve().parents[2]
_TRAINING, _NARRATOR = "integration/test_training_run.py", "unit/workloads/test_narrator.py"
_DATASET, _HERE = "unit/workloads/test_narration_dataset.py", "unit/workloads/test_narration_defects.py"
DEFECTS = {
    1: ("without validation data a run dies after its first epoch", _HERE,
        "test_a_run_without_validation_data_measures_none_and_needs_none"),
    2: ("one rank validates while all others wait", "integration/test_narrator_learns.py",
        "test_the_paired_interval_of_cider_and_of_names_is_above_zero"),
    3: ("only the best checkpoint is kept", "unit/workloads/test_training_checkpoints.py",
        "test_only_the_newest_are_kept"),
    4: ("resuming finds no checkpoint", _TRAINING,
        "test_a_killed_rank_ends_the_group_and_the_next_attempt_goes_on"),
    5: ("options that are ignored, and paths in the code", _HERE,
        "test_a_field_that_is_none_is_refused_and_every_path_is_one"),
    6: ("the context token is embedded as another", _NARRATOR,
        "test_clips_of_tv_use_short_names_leave_out_words_and_close_with_a_token_that_is_learned"),
    7: ("rows without a clip before are lost in silence", _DATASET,
        "test_every_row_of_tv_ad_is_kept_though_two_have_no_clip_before"),
    8: ("masks of a batch shift where a row is skipped", _NARRATOR,
        "test_a_batch_of_any_size_gives_the_answers_of_a_batch_of_one"),
    9: ("titles are looked up by sentence", "unit/workloads/test_narration_rows.py",
        "test_titles_by_sentence_are_refused_since_equal_sentences_would_be_one"),
    10: ("a whole film is read for each clip", _HERE, "test_of_a_film_only_the_clip_is_read"),
    11: ("an empty clip before crashes an evaluation", _NARRATOR,
         "test_a_clip_that_has_none_before_it_is_described_from_its_own_frames_alone"),
    12: ("a loss that cannot be trained with is offered", _HERE, "test_no_loss_is_offered_that_is_not_tried"),
    13: ("the hinge is of batch means", _NARRATOR, "test_a_sample_weighs_the_same_whatever_it_is_padded_with"),
    14: ("judges that cannot be read count as no points; brackets are words; spellings differ",
         "unit/workloads/test_narration_sentences.py", "test_the_mended_profile_leaves_brackets_out"),
    15: ("nothing runs in one process or on a CPU", _HERE, "test_one_process_on_a_cpu_is_a_run_like_any_other"),
}  # fmt: skip
"""Number in the list of defects: what it is, and file and name of a test that fails where it is there."""


def test_every_defect_has_a_test_that_is_there() -> None:
    assert sorted(DEFECTS) == list(range(1, 16))
    for number, (_, file, name) in DEFECTS.items():
        tree = ast.parse((TESTS / file).read_text())
        assert name in {one.name for one in tree.body if isinstance(one, ast.FunctionDef)}, (number, file, name)


class Counted(io.BytesIO):
    """A file that counts what is read of it."""

    taken = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.taken += len(data)
        return data

    def readinto(self, buffer: Any, /) -> int:
        count = super().readinto(buffer)
        self.taken += count
        return count


def test_of_a_film_only_the_clip_is_read(tmp_path: Path) -> None:
    frames, width = 20_000, 64
    with h5py.File(tmp_path / "bank.h5", "w") as file:
        file["1005_Signs"] = np.zeros((frames, width), np.float32)
    data = Counted((tmp_path / "bank.h5").read_bytes())
    with h5py.File(data, "r") as file:
        found = Bank(file, BankSpec(uri="bank.h5")).read(Clip(start=100, end=102, entry="1005_Signs"))
    assert not isinstance(found, str) and found.shape == (11, width)
    assert data.taken < 0.05 * frames * width * 4


def test_another_bank_is_another_input_though_the_annotations_are_the_same(tmp_path: Path) -> None:
    """Stages after `ingest` are named by what it made; a bank that was replaced must be read anew."""
    source = write_clips(tmp_path, clips())
    spec = {"recipe": "audio-description", "audioDescription": {"sources": [source]}}
    digests = set()
    for value in (1.0, 2.0):
        with h5py.File(tmp_path / "tvad.h5", "a") as bank:
            bank[next(iter(bank))][...] = value
        made = ingest.run(stage_context(tmp_path, "DatasetBuild", "ingest", spec, "ingest")).artifact
        assert made is not None
        digests.add(made.digest)
    assert len(digests) == 2


@pytest.mark.parametrize("field", ["charTherehold", "wd", "movieFeatureEvalPath"])
def test_a_field_that_is_none_is_refused_and_every_path_is_one(tmp_path: Path, field: str) -> None:
    source = write_film(tmp_path)
    wire = {"recipe": "audio-description", "audioDescription": {"sources": [source | {field: "x"}]}}
    with pytest.raises(ValidationError, match=field):
        parse_spec("DatasetBuild", wire)
    (tmp_path / "elsewhere").mkdir()
    for name in ("mad.json", "mad.h5", "MAD_examplers.pth.tar"):
        (tmp_path / name).rename(tmp_path / "elsewhere" / name)
    moved = source | {key: f"elsewhere/{source[key]}" for key in ("annotations", "exemplars")}
    moved["bank"] = {"uri": "elsewhere/mad.h5"}
    spec = {"recipe": "audio-description", "audioDescription": {"sources": [moved]}}
    assert ingest.run(stage_context(tmp_path, "DatasetBuild", "ingest", spec, "ingest")).counts["row/ok"] == 4


def test_no_loss_is_offered_that_is_not_tried() -> None:
    from fabula_workloads.recipes.audio_description.narrator.loss import LOSSES

    schema = AudioDescriptionTune.model_json_schema()["properties"]["loss"]["enum"]
    assert schema == list(LOSSES) == ["per-sample", "paper-v1"]
    with pytest.raises(ValidationError):
        AudioDescriptionTune.model_validate({"loss": "visual"})


@pytest.mark.torch
@pytest.mark.parametrize("validate", [True, False])
def test_a_run_without_validation_data_measures_none_and_needs_none(tmp_path: Path, validate: bool) -> None:
    """At the step after which a checkpoint is saved, and a validation loss taken where there is a split for it."""
    from types import SimpleNamespace

    prepare_torchvision()
    import torch
    from transformers import TrainerControl, TrainerState

    from fabula_workloads.training.messages.events import EventWriter
    from fabula_workloads.training.messages.job import TrainingJob
    from fabula_workloads.training.rank.step_boundary import StepBoundary
    from fabula_workloads.training.samples.measures import Measures
    from fabula_workloads.training.schedule.order import Coverage
    from fabula_workloads.training.schedule.packing import singly
    from fabula_workloads.training.schedule.steps import plan_steps

    wire = {
        "recipe": "audio-description", "audioDescription": {}, "dataset": {"uri": "d"}, "model": {"name": "m"},
        "topology": {"gpusPerNode": 1, "device": "cpu"}, "training": {"maxSteps": 2}, "checkpoints": {"everySteps": 1},
    }  # fmt: skip
    spec: Any = parse_spec("FineTuneRun", wire)
    job = TrainingJob(spec=spec, dataset=tmp_path, model=tmp_path, base_name="m", deepspeed={}, work=tmp_path)
    plan = plan_steps(spec, 4)
    boundary = StepBoundary(
        job, plan, EventWriter(job.events_file), validate=validate, coverage=Coverage(plan, singly(4), seed=42),
        left_out=0, peak=1e12,
    )  # fmt: skip
    boundary.attach(SimpleNamespace(measures=Measures()))  # type: ignore[arg-type]
    arguments: Any = SimpleNamespace(device=torch.device("cpu"), process_index=0)
    control = boundary.on_step_end(arguments, TrainerState(global_step=1), TrainerControl())
    assert control.should_save and control.should_evaluate is validate


@pytest.mark.torch
def test_one_process_on_a_cpu_is_a_run_like_any_other(tmp_path: Path) -> None:
    """No torchrun, no NCCL, no process group: a pass, its loss and its gradients."""
    import torch
    from tests.support.narration_world import build_language_model, write_narration

    from fabula_workloads.models.family import FIGURES
    from fabula_workloads.recipes.audio_description.narrator.building import load_language, narrator_of, writer_of
    from fabula_workloads.recipes.audio_description.narrator.encode import Collator, Expected, NarrationEncoder
    from fabula_workloads.recipes.audio_description.narrator.loss import per_sample
    from fabula_workloads.recipes.audio_description.sample import NarrationSample
    from fabula_workloads.training.samples.dataset import read_samples

    assert not torch.distributed.is_initialized()
    write_narration(tmp_path / "dataset", 4, 0)
    build_language_model(tmp_path / "model")
    tune = AudioDescriptionTune.model_validate({"mapping": {"latents": 2, "characterLatents": 2, "depth": 1}})
    language = load_language(tmp_path / "model", "fp32")
    vocabulary = language.config.vocab_size
    narrator = narrator_of(language, tune, vocabulary, (16,))
    writer, _ = writer_of(tmp_path / "model", tune, vocabulary, (16,))
    encoder = NarrationEncoder(tmp_path / "dataset", writer, tune, Expected((16,), "we say", "mend it"), 0)
    samples = read_samples(tmp_path / "dataset", "train", kind=NarrationSample)
    batch = Collator(0, (16,))([[encoder.encode(one, 0)] for one in samples])
    batch.pop(FIGURES)
    loss = per_sample(narrator(**{key: value for key, value in batch.items() if key != "labels"}), batch["labels"])
    loss.backward()
    assert torch.isfinite(loss) and narrator.heads.weight.grad is not None
