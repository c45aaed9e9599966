"""Transcripts as people's tools write them: turns where the records say, said once; files told by name; any script."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path
from typing import Any

import pytest

from fabula_api.metrics import METRICS
from fabula_workloads.metrics.clip_windows import windows
from fabula_workloads.metrics.profiles import measure
from fabula_workloads.recipes.podcast.answers.form import DIALOGUE
from fabula_workloads.recipes.podcast.answers.rules import violation
from fabula_workloads.recipes.podcast.answers.turns import tolerant_turns
from fabula_workloads.recipes.podcast.dialogue import Turn
from fabula_workloads.recipes.podcast.extraction.alignment import Transcript, parse_dialogue
from fabula_workloads.recipes.podcast.extraction.chunks import chunks
from fabula_workloads.recipes.podcast.extraction.excerpt_prompt import converse_request
from fabula_workloads.recipes.podcast.extraction.excerpts import Episode, rejection
from fabula_workloads.recipes.podcast.extraction.near_duplicates import shingles
from fabula_workloads.recipes.podcast.extraction.request_size import estimated_tokens, likely_tokens_of
from fabula_workloads.recipes.podcast.extraction.rules import RulesExtractor
from fabula_workloads.recipes.podcast.extraction.scenes import MAX_PROMPT_WORDS, drawing_prompt, scenes
from fabula_workloads.recipes.podcast.ingest import run
from fabula_workloads.runtime.open_store import open_store
from fabula_workloads.text.sentences import passages, sentences
from fabula_workloads.text.words import first_words, num_words, words_of
from tests.support.sporc_files import turn, write_lines
from tests.support.stage_context import stage_context
from tests.support.worker_process import run_worker_process, worker_config

URL = "https://audio.example/show/1.mp3"
SPOKEN = [f"This is sentence number {number} of the talk about boats." for number in range(40)]


def records(**fields: Any) -> list[dict[str, Any]]:
    """Forty turns of two speakers; each field is a function of the turn's number."""
    return [
        turn(URL, [f"SPEAKER_0{number % 2}"], text, **{name: make(number) for name, make in fields.items()})
        for number, text in enumerate(SPOKEN)
    ]


def shuffled(turns: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return random.Random(5).sample(turns, len(turns))


def ingest(root: Path, uri: str) -> tuple[list[str], dict[str, float]]:
    """(texts in order, counts)."""
    spec = {"source": {"uri": uri, "licenseAccepted": True, "minCharacters": 0, "minTurns": 1, "mergeTurns": False}}
    result = run(stage_context(root, "DatasetBuild", "ingest", spec, "out"))
    assert result.uri is not None
    (episode,) = open_store(result.uri).read("episodes.jsonl").splitlines()
    return [said["text"] for said in json.loads(episode)["turns"]], result.counts


PLACES = {
    "a number": {"turnCount": lambda n: n},
    "a float of pandas": {"turnCount": lambda n: float(n)},
    "a number as text": {"order": lambda n: str(n)},
    "a float as text": {"order": lambda n: f"{n}.0"},
    "snake case": {"turn_count": lambda n: n},
    "seconds": {"startTime": lambda n: n * 3.25},
    "seconds as text": {"startTime": lambda n: f"{n * 3.25}"},
    "a time of day": {"startTime": lambda n: f"0:{n:02}:01.5"},
    "a subtitle's time": {"start_time": lambda n: f"00:{n:02}:01,500"},
    "both": {"turnCount": lambda n: n, "startTime": lambda n: n * 3.25},
}


@pytest.mark.parametrize("fields", PLACES.values(), ids=PLACES.keys())
def test_turns_stand_where_their_records_say(tmp_path: Path, fields: dict[str, Any]) -> None:
    write_lines(tmp_path / "in.jsonl", shuffled(records(**fields)))
    texts, counts = ingest(tmp_path, "in.jsonl")
    assert texts == SPOKEN
    assert counts == {"episode/ok": 1, "episode/placed/AgainstFileOrder": 1}
    write_lines(tmp_path / "right.jsonl", records(**fields))
    assert ingest(tmp_path, "right.jsonl") == (SPOKEN, {"episode/ok": 1})


def test_an_order_that_contradicts_the_times_is_counted(tmp_path: Path) -> None:
    write_lines(tmp_path / "in.jsonl", records(turnCount=lambda n: n, startTime=lambda n: 500 - n * 5))
    texts, counts = ingest(tmp_path, "in.jsonl")
    assert (texts, counts) == (SPOKEN, {"episode/ok": 1, "episode/placed/AgainstTimes": 1})
    some = records(startTime=lambda n: None if n == 7 else 500 - n * 5)
    write_lines(tmp_path / "some.jsonl", some)
    assert ingest(tmp_path, "some.jsonl") == (SPOKEN, {"episode/ok": 1, "episode/placed/AgainstTimes": 1})


@pytest.mark.parametrize(
    "fields", [{}, {"turnCount": lambda n: n}, {"startTime": lambda n: n * 4}], ids=["no place", "a count", "a time"]
)
def test_nothing_is_said_twice(tmp_path: Path, fields: dict[str, Any]) -> None:
    once = records(**fields)
    double = {"episode/ok": 1, "turn/dropped/Double": 40}
    write_lines(tmp_path / "appended.jsonl", once + once)
    assert ingest(tmp_path, "appended.jsonl") == (SPOKEN, double)
    write_lines(tmp_path / "folder/a.jsonl", once)
    (tmp_path / "folder/b.jsonl.gz").write_bytes(gzip.compress((tmp_path / "folder/a.jsonl").read_bytes()))
    assert ingest(tmp_path, "folder") == (SPOKEN, double)
    write_lines(tmp_path / "each.jsonl", [one for one in once for _ in range(2)])
    assert ingest(tmp_path, "each.jsonl") == (SPOKEN, double)
    write_lines(tmp_path / "thrice.jsonl", once * 3)
    assert ingest(tmp_path, "thrice.jsonl") == (SPOKEN, double | {"turn/dropped/Double": 80})


def test_what_people_say_again_stays(tmp_path: Path) -> None:
    again = [turn(URL, ["A"], "Yes."), turn(URL, ["B"], "Yes."), turn(URL, ["A"], "Yes."), turn(URL, ["B"], "Yes.")]
    write_lines(tmp_path / "in.jsonl", again)
    assert ingest(tmp_path, "in.jsonl")[0] == ["Yes."] * 4


@pytest.mark.parametrize("name", ["in.jsonl", "in.jsonl.gz"])
def test_a_byte_order_mark_costs_no_turn(tmp_path: Path, name: str) -> None:
    write_lines(tmp_path / "plain.jsonl", records())
    data = b"\xef\xbb\xbf" + (tmp_path / "plain.jsonl").read_bytes()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    assert ingest(tmp_path, name) == (SPOKEN, {"episode/ok": 1})


FILES = {
    "an array": (json.dumps(records()).encode(), "the file is a JSON array; write one object a line"),
    "an array over lines": (json.dumps(records(), indent=1).encode(), "the file is a JSON array"),
    "an object over lines": (json.dumps(records()[0], indent=1).encode(), "a JSON object over several lines"),
    "UTF-16": (json.dumps(records()[0]).encode("utf-16"), "the file is UTF-16; save it as UTF-8"),
    "an array behind a mark": (b"\xef\xbb\xbf" + json.dumps(records()).encode(), "the file is a JSON array"),
}


@pytest.mark.parametrize(("data", "words"), FILES.values(), ids=FILES.keys())
def test_a_file_that_holds_no_lines_is_told_by_name(tmp_path: Path, data: bytes, words: str) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root/in.jsonl").write_bytes(data)
    spec = {"source": {"uri": "in.jsonl", "licenseAccepted": True}}
    ended = run_worker_process(tmp_path, worker_config(tmp_path / "root", "ingest", spec))
    assert (ended.code, ended.result["failure"]["reason"]) == (65, "InputInvalid"), ended.output
    assert (
        f"in.jsonl, line 1: {words}" in ended.result["failure"]["message"]
        or words in ended.result["failure"]["message"]
    )
    assert "in.jsonl, line 1" in ended.result["failure"]["message"] and "Traceback" not in ended.output


CHINESE = "我们今天去了海边的老港口，看见一艘红色的渔船。海鸥在灯塔上面叫！你还记得那家面包店吗？"
SCRIPTS = {
    "Chinese": (CHINESE, 39, 3),
    "Japanese": ("港で赤い船を見た。カモメが鳴いていた！", 17, 2),
    "Thai": ("เราไปที่ท่าเรือเก่าวันนี้", 7, 1),
    "Hindi": ("हम आज बंदरगाह गए। वहाँ लाल नाव थी।", 8, 2),
    "Arabic": ("ذهبنا اليوم إلى الميناء۔ هل تتذكر؟ نعم.", 7, 3),
    "mixed": ("我们用 GPU 训练。It works well.", 9, 2),
    "English": ("We went to the old harbour, Mr. Smith said 3.5 times. Really?", 12, 3),
}


@pytest.mark.parametrize(("text", "count", "number"), SCRIPTS.values(), ids=SCRIPTS.keys())
def test_words_and_sentences_of_a_script(text: str, count: int, number: int) -> None:
    assert num_words(text) == count
    assert len(sentences(text)) == number
    assert "".join(words_of(text)) == "".join(text.split())
    if text.isascii():
        assert words_of(text) == text.split()


@pytest.mark.parametrize("colon", [":", "："])
def test_a_chinese_dialogue_is_measured(colon: str) -> None:
    text = f"Speaker 1{colon} {CHINESE}\n\nSpeaker 2{colon}我记得，那里的面包很香。\n\nSpeaker 1{colon}对。"
    turns = tolerant_turns(text)
    assert [said.speaker for said in turns] == ["speaker 1", "speaker 2", "speaker 1"]
    figures = measure(DIALOGUE.read(text, "v2"), "v2", METRICS.values())
    assert figures["words"] == 39 + 10 + 1 and 0.9 < (figures["distinct-2"] or 0) <= 1
    parsed = parse_dialogue(text)
    assert parsed is not None and [said.speaker for said in parsed] == ["Speaker 1", "Speaker 2", "Speaker 1"]
    aligned = Transcript(parsed).align(parsed)
    assert aligned.grams > 40 and aligned.verbatim_ratio == 1.0


@pytest.mark.parametrize("colon", [":", "：", ": ", "： "])
def test_all_that_read_a_label_take_the_same_colons(colon: str) -> None:
    text = f"Speaker 1{colon}{CHINESE}\n\nSpeaker 2{colon}我记得。\n第二行。"
    parsed = parse_dialogue(text)
    assert [said.speaker for said in parsed or []] == ["Speaker 1", "Speaker 2"]
    assert [said.speaker for said in tolerant_turns(text)] == ["speaker 1", "speaker 2"]
    # The half-width colon is asked for with a space behind it; the full-width one has it within.
    assert violation(text) == (None if colon != ":" else "TextBeforeFirstLabel")
    assert shingles(text) == shingles(text.replace(colon, ": "))
    assert violation(text.replace("我记得。\n第二行。", "")) == (
        "EmptyTurn" if colon != ":" else "TextBeforeFirstLabel"
    )


LONG = {
    "Chinese": CHINESE,
    "without marks": CHINESE.replace("。", "，").replace("！", "，").replace("？", ""),
    "Thai": SCRIPTS["Thai"][0],
    "Khmer": "យើងបានទៅកំពង់ផែចាស់នៅថ្ងៃនេះ។",
    "English": "We saw the old red boat at the pier. Gulls cried! ",
    "one word": "a" * 40,
}


@pytest.mark.parametrize("text", LONG.values(), ids=LONG.keys())
def test_a_long_turn_is_cut_and_nothing_of_it_is_lost(text: str) -> None:
    whole = text * 40
    parts = passages(whole, 200)
    assert all(0 < len(part) <= 200 for part in parts) and len(parts) <= 2 * len(whole) / 200 + 1
    assert "".join("".join(parts).split()) == "".join(whole.split())
    if sentences(text) != [text.strip()]:
        assert all(part[-1] in "。！？។.!" for part in parts[:-1])
    turns = [Turn("Speaker 1", whole), Turn("Speaker 2", CHINESE)]
    said = "".join(turn.text for part in chunks(turns, 240, 0) for turn in part)
    assert "".join(said.split()) == "".join((whole + CHINESE).split())


def test_first_words_are_spaced_as_they_are() -> None:
    assert first_words("We saw  a boat.", 3) == "We saw  a"
    assert first_words(CHINESE, 13) == "我们今天去了海边的老港口，看"
    assert first_words("one", 5) == "one" and first_words("", 5) == ""


def test_a_drawing_prompt_of_a_script_without_spaces_is_cut_at_its_marks() -> None:
    long = "，".join(["我们今天去了海边的老港口", "看见一艘红色的渔船"] * 4) + "，"
    prompt = drawing_prompt(long)
    assert num_words(prompt) <= MAX_PROMPT_WORDS and " " not in prompt
    assert prompt[-1] in "口船" and drawing_prompt("我们看见（笑）一艘红色的船；") == "我们看见 一艘红色的船"
    mixed = "我们看见 a red boat and a lamp 在老港口。海鸥在 the green roof 上面叫。"
    assert len(scenes([Turn("Speaker 1", mixed)], 5)) == 2


def test_ordinary_chinese_is_no_repetition() -> None:
    said = ("他小的时候住海边", "下雨的时候船不出港", "天黑的时候灯塔亮了", "风大的时候鸟不叫", "吃饭的时候大家唱歌",
            "收网的时候最忙", "回家的时候路上没有人")  # fmt: skip
    text = "\n\n".join(f"Speaker {1 + number % 2}: {one}。" for number, one in enumerate(said))
    assert rejection(text, 50, 400) is None
    assert rejection(text + "\n\nSpeaker 1: " + "那里的面包很香。" * 8, 50, 400) == "Repetition"


def test_rules_say_that_they_know_english_words_only() -> None:
    turns = (Turn("Speaker 1", CHINESE), Turn("Speaker 2", CHINESE))
    rules = RulesExtractor(min_words=20, max_words=200, max_excerpts=1, scenes_per_excerpt=1)
    assert rules.extract(Episode("e", "p", turns)).reason == "NoKnownWord"


def test_tokens_of_a_script_without_spaces_are_not_taken_for_letters() -> None:
    def size(text: str) -> int:
        return estimated_tokens(converse_request(text, num_scenes=5, max_tokens=100))

    assert size(CHINESE * 100) - size("") >= len(CHINESE) * 100
    assert size("word " * 700) - size("") == 1000
    assert likely_tokens_of(CHINESE) == len(CHINESE) and likely_tokens_of("word") == 1


def test_windows_fill_the_limit_and_lose_nothing() -> None:
    long = CHINESE.replace("。", "，").replace("！", "，").replace("？", "，") * 20
    for text in (long, "a" * 1000, CHINESE * 20, "word " * 500):
        made = windows([text], len, 75)
        assert all(len(window) <= 75 for window in made)
        assert "".join("".join(window.split()) for window in made) == "".join(text.split())
    assert len(windows([long], len, 75)) < 15


@pytest.mark.torch
def test_two_chinese_answers_have_two_vectors(tmp_path: Path) -> None:
    import numpy as np

    from fabula_quickstart.tiny import clip
    from fabula_workloads.metrics.clip_model import ClipModel

    clip.build(tmp_path, ["a b"])
    model = ClipModel(tmp_path)
    same = CHINESE.replace("。", "，").replace("！", "，").replace("？", "，") * 2
    one, two = (
        model.encode_passages(windows([same + end * 10], model.num_tokens, model.window_tokens))
        for end in ("灯塔很高，", "面包很香，")
    )
    assert len(one) > 1 and not np.allclose(one[-1], two[-1], atol=1e-3)
