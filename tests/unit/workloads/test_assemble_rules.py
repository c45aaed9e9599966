"""The rules of assembly by themselves: the prompt, the split of podcasts, and near-duplicates."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabula_workloads.recipe_parts import messages
from fabula_workloads.recipe_parts.splits import validation_groups
from fabula_workloads.recipes.podcast.extraction.near_duplicates import NearDuplicates, shingles
from fabula_workloads.recipes.podcast.prompt import inference_prompt, training_prompt, word_range


class TestPrompt:
    @pytest.mark.parametrize(
        ("words", "expected"),
        [
            (0, "0-100"), (99, "0-100"), (100, "100-200"), (749, "700-800"), (799, "700-800"), (800, "800-900"),
            (892, "800-900"), (1688, "1600-1700"),
        ],
    )  # fmt: skip
    def test_the_range_that_holds_the_target(self, words: int, expected: str) -> None:
        assert word_range(words) == expected
        assert training_prompt(words).endswith(f"The word count should be around {expected} words.")

    def test_inference_asks_in_the_published_words(self) -> None:
        prompt = inference_prompt()
        assert len(prompt) == 316
        assert prompt.endswith("The word count should be around 800 words.")
        assert prompt.replace("800 words", "700-800 words") == training_prompt(749)

    def test_one_conversation_for_training_and_inference(self) -> None:
        asked, told = messages(2, "prompt"), messages(2, "prompt", "answer")
        assert told[:1] == asked
        assert [part["type"] for part in asked[0]["content"]] == ["image", "image", "text"]
        assert told[1] == {"role": "assistant", "content": [{"type": "text", "text": "answer"}]}


class TestSplit:
    @given(st.sets(st.text(min_size=1, max_size=8), max_size=40), st.floats(0, 0.99), st.integers(0, 5))
    def test_training_is_never_empty_and_validation_only_when_it_must(
        self, podcasts: set[str], share: float, seed: int
    ) -> None:
        chosen = validation_groups(podcasts, share, seed)
        assert chosen <= podcasts
        assert chosen != podcasts or not podcasts
        assert bool(chosen) is (share > 0 and len(podcasts) >= 2)

    @given(st.lists(st.text(min_size=1, max_size=8), max_size=40))
    def test_order_and_repetition_do_not_matter(self, podcasts: list[str]) -> None:
        assert validation_groups(podcasts, 0.3, 1) == validation_groups(reversed(podcasts * 2), 0.3, 1)

    def test_about_the_share_and_another_seed_is_another_choice(self) -> None:
        podcasts = [f"podcast-{number}" for number in range(2000)]
        first, second = (validation_groups(podcasts, 0.1, seed) for seed in (0, 1))
        assert 150 < len(first) < 250
        assert first != second

    def test_a_new_show_moves_no_other(self) -> None:
        podcasts = [f"podcast-{number}" for number in range(200)]
        assert validation_groups(podcasts, 0.2, 0) == validation_groups([*podcasts, "new"], 0.2, 0) - {"new"}


class TestNearDuplicates:
    def test_a_shifted_window_is_the_same_and_another_text_is_not(self) -> None:
        text = [f"word{number}" for number in range(300)]
        seen = NearDuplicates()
        assert not seen.seen("Speaker 1: " + " ".join(text))
        assert seen.seen("Speaker 2: " + " ".join(text[20:]))
        assert not seen.seen(" ".join(text[150:] + [f"other{number}" for number in range(150)]))
        assert not seen.seen(" ".join(reversed(text)))

    @given(
        st.lists(st.lists(st.sampled_from("abcdefgh"), min_size=6, max_size=24).map(" ".join), max_size=8),
        st.sampled_from((0.3, 0.5, 0.7, 0.75, 1.0)),
    )
    def test_the_index_finds_what_comparing_all_pairs_finds(self, texts: list[str], threshold: float) -> None:
        seen, kept = NearDuplicates(threshold), list[set[int]]()
        for text in texts:
            grams = shingles(text)
            expected = any(len(grams & other) / len(grams | other) >= threshold for other in kept)
            assert seen.seen(text) is expected
            if not expected:
                kept.append(grams)

    def test_memory_is_a_fraction_of_an_index_of_all_grams(self) -> None:
        texts = [" ".join(f"word{number}-{word}" for word in range(500)) for number in range(200)]
        seen = NearDuplicates()
        tracemalloc.start()
        try:
            assert not any(seen.seen(text) for text in texts)
            bytes_a_word = tracemalloc.get_traced_memory()[0] / sum(len(text.split()) for text in texts)
        finally:
            tracemalloc.stop()
        assert bytes_a_word < 80, "an index of all of them takes 200"

    @given(st.lists(st.text("ab ", max_size=30), max_size=10))
    def test_a_text_twice_is_always_seen(self, texts: list[str]) -> None:
        seen = NearDuplicates()
        for text in texts:
            seen.seen(text)
        assert all(seen.seen(text) for text in texts if text.split())
