"""R@k/N and CRITIC: windows, what remains behind the last one, and who a sentence is about."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabula_api.specs import parse_spec
from fabula_workloads.metrics.answer_form import PLAIN
from fabula_workloads.metrics.evaluation import evaluate
from fabula_workloads.metrics.materials import Materials
from fabula_workloads.metrics.records import GivenAnswer
from fabula_workloads.recipes.audio_description.annotations.rows import Character
from fabula_workloads.recipes.audio_description.held_out import NarrationEvaluationSample
from fabula_workloads.recipes.audio_description.scoring import context
from fabula_workloads.recipes.audio_description.scoring.by_film import films_csv, films_table, means
from fabula_workloads.recipes.audio_description.scoring.critic import Line, agreement, identities
from fabula_workloads.recipes.audio_description.scoring.neighbours import by_answer, over_films, recall, windows
from fabula_workloads.report.parts import Told


def test_the_published_windows_leave_the_rest_out_and_all_scores_it() -> None:
    assert [(one.start, one.stop) for one in windows(11, 4, "published")] == [(0, 4), (2, 6), (4, 8), (6, 10)]
    assert [(one.start, one.stop) for one in windows(11, 4, "all")][-1] == (7, 11)
    assert windows(3, 4, "published") == []
    assert windows(3, 4, "all") == [range(3)]
    assert windows(0, 4, "all") == []


@given(st.integers(1, 60), st.integers(2, 20))
def test_with_all_windows_every_clip_is_scored(clips: int, size: int) -> None:
    assert {clip for window in windows(clips, size, "all") for clip in window} == set(range(clips))


def test_recall_is_the_mean_over_windows_then_over_films() -> None:
    def alike(answer: int, reference: int) -> float:
        return 1.0 if reference == {0: 0, 1: 0, 2: 2, 3: 3, 4: 5, 5: 5}[answer] else 0.5 - 0.01 * reference

    # Windows 0-3 and 2-5 of six clips: 0, 2, 3 hit of the first; 2, 3, 5 of the second.
    assert recall(6, alike, 1, 4, "published") == 0.75
    assert by_answer(6, alike, 1, 4, "published") == [1.0, 0.0, 1.0, 1.0, 0.0, 1.0]
    assert recall(6, alike, 4, 4, "published") == 1.0
    assert over_films([0.75, None, 0.25]) == 0.5


def test_answers_that_are_like_everything_gain_nothing_by_it() -> None:
    """Equal likeness: the earlier reference comes first, so one answer of each window hits."""
    assert recall(8, lambda answer, reference: 0.0, 1, 4, "published") == 0.25


class Named:
    """Chains: each name's own mentions, and `he` with the name that `of` gives him."""

    def __init__(self, **of: str) -> None:
        self._of = of

    def chains(self, text: str) -> Sequence[Sequence[tuple[int, int]]]:
        found = []
        for name in dict.fromkeys(self._of.values()):
            words = [name, *(word for word, meant in self._of.items() if meant == name)]
            found.append([(at, at + len(w)) for w in words for at in range(len(text)) if text.startswith(w, at)])
        return found


def test_a_pronoun_is_the_character_whose_chain_it_is_in() -> None:
    said = ["Joey enters.", "he sits.", "A dog barks."]
    assert identities(said, ["Joey", "Ross"], Named(he="Joey")) == [{"Joey"}, {"Joey"}, frozenset()]


def test_a_chain_with_two_names_is_nobody() -> None:
    class Both:
        def chains(self, text: str) -> Sequence[Sequence[tuple[int, int]]]:
            return [[(0, 4), (9, 13), (text.index("They"), text.index("They") + 4)]]

    assert identities(["They sit."], ["Joey", "Ross"], Both()) == [frozenset()]


def test_figures_are_over_rows_whose_reference_is_about_somebody() -> None:
    lines = [Line("a", "Joey sits.", "Joey and Ross sit."), Line("b", "A dog.", "Joey."), Line("c", "Ross.", "A dog.")]
    found = agreement(lines, ["Joey", "Ross"], Named(whoever="Joey", nobody="Ross"))
    assert found == {"a": 0.5, "b": None, "c": 0.0}


JOEY = Character(id="nm1", role="Joey", short_name="Joey")


def evaluated(films: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> Told:
    """An evaluation of R@1/4 and CRITIC of films with so many clips each, by stand-ins for both models."""
    samples = {
        f"{film}-{n:02}": NarrationEvaluationSample(
            id=f"{film}-{n:02}", source="s", film=film, start=n, end=n + 1, features="f",
            reference="Joey sits." if n % 3 else f"A dog {n}.", characters=(JOEY,),
        )
        for film, clips in films.items()
        for n in range(clips)
    }  # fmt: skip
    wire = {
        "recipe": "audio-description", "samples": {"uri": "d"}, "arms": [{"name": "one", "model": {"uri": "m"}}],
        "profiles": ["v2", "paper-v1"], "metrics": ["audio-description/neighbours", "audio-description/critic"],
        "audioDescription": {"neighbours": {"k": 1, "clips": 4}},
    }  # fmt: skip
    spec = parse_spec("EvalRun", wire)

    class Places:
        """The place of each sentence in its film, in place of its vectors."""

        def __init__(self, folder: Path, layer: int) -> None:
            pass

        def vectors(self, sentences: Sequence[str], progress: object = None) -> list[int]:
            return list(range(len(sentences)))

    monkeypatch.setattr(context, "BertScorer", Places)
    monkeypatch.setattr(context, "f1", lambda said, meant: float(meant == said - said % 2))
    answers = [GivenAnswer("one", name, 0, "Joey sits." if n % 2 else "A dog.") for n, name in enumerate(samples)]
    given = Materials(
        spec, ["v2", "paper-v1"], answers, {}, samples, PLAIN, lambda source, field: (Path(), field), lambda: None  # type: ignore[arg-type]
    )  # fmt: skip
    computed = [context.neighbours(given), context.critic_by(given, Named(whoever="Joey"))]
    return Told(evaluate(spec, answers, computed), dict(samples), {}, spec=spec)  # type: ignore[arg-type]


def test_figures_of_films_are_shown_as_published_beside_those_of_clips(monkeypatch: pytest.MonkeyPatch) -> None:
    """R@k/N: the mean over films of the mean over windows. CRITIC: over clips, and over titles."""
    told = evaluated({"a": 11, "b": 3}, monkeypatch)
    found = {(one.profile, one.metric.title): one for one in means(told)}

    def alike(answer: int, reference: int) -> float:
        return float(reference == answer - answer % 2)

    published, every = found["paper-v1", "R@k/N"], found["v2", "R@k/N"]
    a = recall(11, alike, 1, 4, "published")
    assert [one.mean for one in published.films] == [pytest.approx(a), None] and published.over_films == a == 0.5
    assert published.films[0].clips == 10 and every.films[0].clips == 11, "the last clip is behind the last window"
    figures = [recall(11, alike, 1, 4, "all"), recall(3, alike, 1, 4, "all")]
    assert every.over_films == pytest.approx(over_films(figures)) and every.over_clips != every.over_films
    critic = found["v2", "CRITIC"]
    shares = [one.mean for one in critic.films]
    assert [one.clips for one in critic.films] == [7, 2]
    assert critic.over_films == pytest.approx(over_films(shares)) and critic.over_clips != critic.over_films
    assert critic.over_clips == pytest.approx((7 * (shares[0] or 0) + 2 * (shares[1] or 0)) / 9)
    rows = films_csv(told).decode().splitlines()
    assert "paper-v1,audio-description/neighbours,one,(films),10,0.5" in rows
    assert "paper-v1,audio-description/neighbours,one,b,0," in rows
    assert "<td>one</td>" in films_table(told)


def test_equal_sentences_of_two_titles_stay_apart() -> None:
    """A table by sentence would give both the title of one of them."""
    for cast in (["Joey"], ["Monica"]):
        (found,) = identities([f"{cast[0]} smiles."], cast, Named(whoever=cast[0]))
        assert found == set(cast)


@pytest.mark.torch
def test_likeness_is_that_of_each_word_with_its_nearest(tmp_path: Path) -> None:
    import torch

    from fabula_workloads.models.torchvision_shim import prepare_torchvision

    prepare_torchvision()
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast, RobertaConfig, RobertaModel

    from fabula_workloads.recipes.audio_description.scoring.bert_score import BertScorer, f1

    words = ["<s>", "<pad>", "</s>", "<unk>", "joey", "smiles", "a", "dog", "barks"]
    tokenizer = Tokenizer(models.WordLevel({word: n for n, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>"
    ).save_pretrained(tmp_path)
    torch.manual_seed(0)
    config = RobertaConfig(
        vocab_size=9, hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=32
    )
    model = RobertaModel(config).eval()
    model.save_pretrained(tmp_path)

    scorer = BertScorer(tmp_path, layer=2)
    alone = scorer.vectors(["joey smiles"]) + scorer.vectors(["a dog barks"])
    together = scorer.vectors(["joey smiles", "a dog barks", ""])
    assert f1(together[0], together[0]) == pytest.approx(1.0, abs=1e-6)
    assert f1(together[0], together[1]) == pytest.approx(f1(alone[0], alone[1]), abs=1e-5), "padding counts nothing"
    assert f1(together[0], together[2]) == 0.0

    with torch.inference_mode():
        one = model(torch.tensor([[0, 4, 5, 2]]), output_hidden_states=True).hidden_states[2][0]
        other = model(torch.tensor([[0, 6, 7, 8, 2]]), output_hidden_states=True).hidden_states[2][0]
    cosines = torch.nn.functional.cosine_similarity(one[:, None], other[None], dim=-1)
    precision, recalled = cosines[1:-1].max(1).values.mean(), cosines[:, 1:-1].max(0).values.mean()
    expected = float(2 * precision * recalled / (precision + recalled))
    assert f1(alone[0], alone[1]) == pytest.approx(expected, abs=1e-5)
    with pytest.raises(ValueError, match="layer 4 is asked for, but the model has 3"):
        BertScorer(tmp_path, layer=4)
