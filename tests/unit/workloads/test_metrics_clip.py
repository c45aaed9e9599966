"""CLIPScore's arithmetic and its windows, by hand; and the real model's code path on random weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabula_workloads.metrics.clip_score import best_passages, ground, other_samples, paper_v1_score
from fabula_workloads.metrics.clip_windows import sentences, windows


def words(text: str) -> int:
    return len(text.split())


def vectors(*rows: tuple[float, float]) -> np.ndarray:
    return np.asarray(rows, dtype=np.float32)


def test_the_best_passage_counts_for_each_picture() -> None:
    pictures = vectors((1, 0), (0, 1))
    assert best_passages(pictures, vectors((1, 0), (0.6, 0.8))).tolist() == pytest.approx([100, 80])
    assert best_passages(pictures, vectors((-1, 0))).tolist() == pytest.approx([-100, 0])


def test_the_control_shows_each_text_another_samples_pictures() -> None:
    pictures = {"a": vectors((1, 0)), "b": vectors((0, 1))}
    texts = {("arm", "a", 0): vectors((1, 0)), ("arm", "b", 0): vectors((0, 1)), ("arm", "b", 1): vectors()}
    found = ground(texts, pictures)
    assert set(found) == {("arm", "a", 0), ("arm", "b", 0)}
    assert (found["arm", "a", 0].score, found["arm", "a", 0].control, found["arm", "a", 0].coverage) == (100, 0, 1)
    assert ground({("arm", "a", 0): vectors((1, 0))}, {"a": vectors((1, 0))})["arm", "a", 0].control is None


@given(st.sets(st.text(min_size=1), min_size=2, max_size=30), st.integers(0, 99))
def test_no_sample_is_its_own_control(samples: set[str], seed: int) -> None:
    partner = other_samples(sorted(samples), seed)
    assert set(partner) == set(partner.values()) == samples
    assert all(sample != other for sample, other in partner.items())


def test_the_published_score_takes_five_pictures_and_has_a_floor() -> None:
    assert paper_v1_score(vectors((1, 0), (0, 1), (1, 0), (0, 1), (1, 0), (1, 0)), vectors((1, 0))) == pytest.approx(60)
    assert paper_v1_score(vectors((-1, 0)), vectors((1, 0))) == 0


def test_windows_hold_whole_sentences_of_one_turn() -> None:
    turns = ["One two. Three four! Five six?", "Seven. " + "word " * 7]
    assert sentences(turns[0]) == ["One two.", "Three four!", "Five six?"]
    found = windows(turns, words, 5)
    assert found == ["One two. Three four!", "Five six?", "Seven.", "word word word word word", "word word"]


@given(st.lists(st.text(alphabet="ab .!?", max_size=60), max_size=5), st.integers(1, 6))
def test_windows_keep_every_word_and_the_limit(turns: list[str], limit: int) -> None:
    found = windows(turns, words, limit)
    assert " ".join(found).split() == " ".join(turns).split()
    assert all(words(window) <= limit for window in found)


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from fabula_quickstart.tiny import clip

    folder = tmp_path_factory.mktemp("clip")
    clip.build(folder, ["the red boat leaves the harbour", "a copper pan hangs in the kitchen"])
    return folder


LONG = {
    "zebra": "Speaker 1: " + "zebra " * 90,
    "harbour": "Speaker 1: " + "the harbour wakes and every red boat leaves the quay. " * 20,
    "kitchen": "Speaker 1: " + "a copper pan hangs over the stove in my kitchen. " * 20,
}


@pytest.mark.torch
def test_long_texts_differ_unless_the_end_token_is_cut_off_as_published(clip_folder: Path, tmp_path: Path) -> None:
    from tests.support.vist_folder import draw_photo

    from fabula_workloads.metrics.clip_model import ClipModel
    from fabula_workloads.metrics.grounding import measure_grounding
    from fabula_workloads.metrics.records import GivenAnswer

    model = ClipModel(clip_folder)
    assert model.random_weights
    pictures = [tmp_path / f"{index}.jpg" for index in range(3)]
    for index, path in enumerate(pictures):
        draw_photo(path, index)
    answers = [GivenAnswer("arm", "s", seed, text) for seed, text in enumerate(LONG.values())]
    figures = measure_grounding(model, "tiny", ["v2", "paper-v1"], answers, {"s": pictures})
    assert len(set(figures.paper_v1.values())) == 1
    assert len({grounding.score for grounding in figures.v2.values()}) == len(LONG)
    found = {test.profile: (test.passed, test.known_defect) for test in figures.tests}
    assert found == {"v2": (True, False), "paper-v1": (False, True)}


@pytest.mark.torch
def test_a_passage_over_the_limit_keeps_its_end_token(clip_folder: Path) -> None:
    from fabula_workloads.metrics.clip_model import ClipModel

    model = ClipModel(clip_folder)
    assert model.window_tokens == 75
    encoded = model.encode_passages(list(LONG.values()))
    assert np.allclose(np.linalg.norm(encoded, axis=1), 1, atol=1e-5)
    assert len({tuple(row) for row in encoded.round(6).tolist()}) == len(LONG)
    alone = model.encode_passages([LONG["zebra"]])
    assert np.allclose(alone[0], encoded[0], atol=1e-5), "padding must not change a passage"


@pytest.fixture(scope="module", params=["siglip", "siglip2"])
def siglip_folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.support import tiny_siglip

    folder = tmp_path_factory.mktemp(request.param)
    tiny_siglip.build(folder, request.param)
    return folder


@pytest.mark.torch
def test_siglip_2_is_measured_by_the_same_field(siglip_folder: Path, tmp_path: Path) -> None:
    from tests.support.vist_folder import draw_photo

    from fabula_workloads.metrics.clip_model import ClipModel
    from fabula_workloads.metrics.grounding import measure_grounding
    from fabula_workloads.metrics.records import GivenAnswer

    model = ClipModel(siglip_folder)
    assert (model.random_weights, model.window_tokens) == (True, 63)
    pictures = [tmp_path / f"{index}.jpg" for index in range(4)]
    for index, path in enumerate(pictures):
        draw_photo(path, index)
    answers = [GivenAnswer("arm", sample, 0, text) for sample, text in zip("ab", LONG.values(), strict=False)]
    given_pictures = {"a": pictures[:2], "b": pictures[2:]}
    figures = measure_grounding(model, "tiny", ["v2", "paper-v1"], answers, given_pictures)
    assert len({grounding.score for grounding in figures.v2.values()}) == 2
    assert all(grounding.control is not None for grounding in figures.v2.values())
    assert [(test.profile, test.passed) for test in figures.tests] == [("v2", True), ("paper-v1", True)]
    assert figures.label == "random weights"


@pytest.mark.torch
def test_siglips_text_is_padded_to_its_length_in_lower_case_and_never_masked(siglip_folder: Path) -> None:
    import torch

    from fabula_workloads.metrics.clip_model import ClipModel

    model = ClipModel(siglip_folder)
    found = model.encode_passages(["The red Boat", LONG["zebra"]])
    ids = [5 + byte for byte in "the red boat".replace(" ", "\u2581").encode()]
    row = torch.tensor([[*ids, 1] + [0] * (64 - len(ids) - 1)])
    with torch.inference_mode():
        expected = model.model.get_text_features(input_ids=row).pooler_output[0]
    assert np.allclose(found[0], (expected / expected.norm()).numpy(), atol=1e-5)
    assert np.allclose(model.encode_passages(["the RED boat"])[0], found[0], atol=1e-6)
    assert np.allclose(model.encode_passages([LONG["zebra"]])[0], found[1], atol=1e-5), "whatever is beside it"


@pytest.mark.torch
def test_a_clip_for_long_texts_has_longer_windows(tmp_path: Path) -> None:
    from fabula_quickstart.tiny import clip
    from fabula_workloads.metrics.clip_model import ClipModel

    clip.build(tmp_path, ["the red boat leaves the harbour"], positions=248)
    model = ClipModel(tmp_path)
    assert model.window_tokens == 246
    head = "zebra " * 30
    assert 75 < model.num_tokens(head) < 246
    short, other = model.encode_passages([head + "boat", head + "harbour"])
    assert not np.allclose(short, other, atol=1e-4), "what stands behind the 77th token counts"


@pytest.mark.torch
def test_metaclip_2_is_measured_by_the_same_field(tmp_path: Path) -> None:
    import torch
    from tests.support import tiny_metaclip
    from tests.support.vist_folder import draw_photo

    from fabula_workloads.metrics.clip_model import ClipModel
    from fabula_workloads.metrics.grounding import measure_grounding
    from fabula_workloads.metrics.records import GivenAnswer

    said = ["Speaker", "1:", *" ".join(LONG.values()).split()]
    tiny_metaclip.build(tmp_path, said)
    model = ClipModel(tmp_path)
    assert (model.random_weights, model.window_tokens) == (True, 75)
    encoded = model.encode_passages(["the harbour wakes", LONG["kitchen"]])
    ids = [0, *(model.tokenizer.convert_tokens_to_ids(f"▁{word}") for word in ("the", "harbour", "wakes")), 2]
    assert 3 not in ids, "the words are known"
    with torch.inference_mode():
        alone = model.model.get_text_features(input_ids=torch.tensor([ids])).pooler_output[0]
    assert np.allclose(encoded[0], (alone / alone.norm()).numpy(), atol=1e-5), "whatever is beside it"
    pictures = [tmp_path / f"{index}.jpg" for index in range(4)]
    for index, path in enumerate(pictures):
        draw_photo(path, index)
    answers = [GivenAnswer("arm", sample, 0, text) for sample, text in zip("ab", LONG.values(), strict=False)]
    shown = {"a": pictures[:2], "b": pictures[2:]}
    figures = measure_grounding(model, "tiny", ["v2", "paper-v1"], answers, shown)
    assert len({grounding.score for grounding in figures.v2.values()}) == 2
    found = {test.profile: (test.passed, test.known_defect) for test in figures.tests}
    assert found == {"v2": (True, False), "paper-v1": (False, True)}, "its end token is cut off as a CLIP's"


@pytest.mark.torch
def test_a_model_of_another_kind_is_refused_with_those_that_are_known(tmp_path: Path) -> None:
    from fabula_workloads.metrics.clip_model import ClipModel

    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ValueError, match="model_type bert; known are clip, metaclip_2, siglip, siglip2"):
        ClipModel(tmp_path)
