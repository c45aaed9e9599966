"""What an evaluation of narration shows and gives away: names, pace, subtitles, the published files line by line."""

from __future__ import annotations

import csv
import io
import json

import pytest

from fabula_api.recipes import default_metrics, metrics_of, recipes
from fabula_api.specs import parse_spec
from fabula_workloads.metrics.answer_form import PLAIN
from fabula_workloads.metrics.brought import function_of
from fabula_workloads.metrics.evaluation import evaluate
from fabula_workloads.metrics.materials import Materials
from fabula_workloads.metrics.records import GivenAnswer
from fabula_workloads.recipes.audio_description.annotations.names import named_in
from fabula_workloads.recipes.audio_description.annotations.rows import Character
from fabula_workloads.recipes.audio_description.held_out import NarrationEvaluationSample
from fabula_workloads.recipes.audio_description.sample import Previous
from fabula_workloads.recipes.audio_description.scoring.report import REPORT
from fabula_workloads.recipes.audio_description.scoring.subtitles import Cue, srt, web_vtt
from fabula_workloads.recipes.audio_description.scoring.timelines import timelines, worst_and_best
from fabula_workloads.report.page import page
from fabula_workloads.report.parts import Told

JOEY = Character(id="nm1", name="Matt", role="Joey Tribbiani", short_name="Joey")
ROSS = Character(id="nm2", name="David", role="Dr. Ross Geller", short_name="Ross")
SPEC = {
    "recipe": "audio-description", "samples": {"uri": "narration"}, "audioDescription": {"unitSeconds": 0.5},
    "arms": [{"name": name, "model": {"uri": "m"}} for name in ("base", "tuned")], "profiles": ["v2", "paper-v1"],
}  # fmt: skip


def clip(number: int, film: str, reference: str, named: tuple[str, ...] = (), title: str | None = None):  # type: ignore[no-untyped-def]
    return NarrationEvaluationSample(
        id=f"c{number}", source="tvad", film=film, title=title, start=8.0 * number, end=8.0 * number + 8,
        features=f"features/c{number}.safetensors", reference=reference, characters=(JOEY, ROSS), named=named,
        previous=Previous(text="Before.") if number else None,
    )  # fmt: skip


SAMPLES = {
    one.id: one
    for one in (
        clip(0, "film-a", "Joey smiles.", ("Joey",), "tt1"),
        clip(1, "film-a", "She smiles.", (), "tt1"),
        clip(2, "film-b", "She smiles.", (), "tt2"),
        clip(3, "film-b", "Ross looks at Joey.", ("Ross", "Joey"), "tt2"),
    )
}
SAID = {
    "base": ["A man smiles.", None, "A woman.", "Rosses look."],
    "tuned": ["Joey's smile (wide).", "She smiles.", "Ross smiles at " + "her " * 20, "Ross looks at Joey."],
}


@pytest.fixture(scope="module")
def told() -> Told:
    spec = parse_spec("EvalRun", SPEC)
    answers = [
        GivenAnswer(arm, sample, 0, text, reason="" if text else "NoFeatures")
        for arm, texts in SAID.items()
        for sample, text in zip(SAMPLES, texts, strict=True)
    ]
    known = metrics_of("audio-description")
    computed = []
    for name in spec.metrics:  # type: ignore[union-attr]
        metric = known[name]
        if metric.over == "evaluation":
            given = Materials(
                spec, list(metric.definitions), answers, {}, SAMPLES, PLAIN, lambda *_: (_, ""), lambda: None  # type: ignore[arg-type, return-value]
            )  # fmt: skip
            computed.append(function_of(metric, "v2")(given))
    return Told(evaluate(spec, answers, computed), SAMPLES, {}, spec=spec)  # type: ignore[arg-type]


def mean(told: Told, arm: str, metric: str, profile: str = "v2") -> tuple[float | None, int]:
    found = next(one for one in told.evaluation.arms if one.name == arm).means[profile, f"audio-description/{metric}"]
    return found.mean, found.count


def test_sentences_names_and_pace_are_measured_of_what_was_said(told: Told) -> None:
    assert mean(told, "base", "rouge-l")[1] == 3, "what could not be described has no figure, and is counted apart"
    assert next(one for one in told.evaluation.arms if one.name == "base").failed == 1
    better, worse = mean(told, "tuned", "cider")[0], mean(told, "base", "cider")[0]
    assert better is not None and worse is not None and better > worse
    assert mean(told, "tuned", "cider", "paper-v1")[0] != better, "a bracket is a word in the published figures"
    assert mean(told, "tuned", "name-precision") == (pytest.approx((1 + 0 + 1) / 3), 3)
    assert mean(told, "tuned", "name-recall") == (1.0, 2)
    assert mean(told, "base", "name-precision") == (None, 0)
    assert mean(told, "base", "name-recall") == (0.0, 2)
    assert mean(told, "base", "words-per-minute") == (pytest.approx(60 * (3 + 2 + 2) / 3 / 4), 3)


def test_a_name_is_a_word_of_its_own() -> None:
    assert named_in("Rosses and Joey's coat, joey", {"Ross", "Joey"}) == {"Joey"}


def test_published_files_have_a_line_for_every_sample(told: Told) -> None:
    """Also where two films say the same, and where nothing was said."""
    files = REPORT.files(told)
    said = json.loads(files["published/base/tvad_ad_output_results.json"])
    meant = json.loads(files["published/base/tvad_ad_output_gts.json"])
    assert said == {"film-a": ["A man smiles.", ""], "film-b": ["A woman.", "Rosses look."]}
    assert {film: len(lines) for film, lines in meant.items()} == {film: len(lines) for film, lines in said.items()}
    rows = list(csv.DictReader(io.StringIO(files["published/tuned/tvad_critic.csv"].decode())))
    assert [row["imdbid"] for row in rows] == ["tt1", "tt1", "tt2", "tt2"]
    assert {row["char_list"] for row in rows} == {"['Joey', 'Ross']"}


def test_subtitles_are_in_seconds_and_leave_out_what_was_not_said(told: Told) -> None:
    files = REPORT.files(told)
    vtt = files["narration/base/film-a.vtt"].decode()
    assert vtt == "WEBVTT\n\n00:00:00.000 --> 00:00:04.000\nA man smiles.\n"
    assert files["narration/tuned/film-b.srt"].decode().startswith("1\n00:00:08,000 --> 00:00:12,000\nRoss smiles at")


def test_a_sentence_cannot_end_its_cue() -> None:
    cues = [Cue(3661.5, 3663, "<b>x</b> & y\n\n00:01 --> 00:02"), Cue(1, 2, "first")]
    assert web_vtt(cues) == (
        "WEBVTT\n\n00:00:01.000 --> 00:00:02.000\nfirst\n\n"
        "01:01:01.500 --> 01:01:03.000\n&lt;b&gt;x&lt;/b&gt; &amp; y 00:01 -&gt; 00:02\n"
    )
    assert "2\n01:01:01,500 --> 01:01:03,000\n<b>x</b> & y 00:01 -> 00:02\n" in srt(cues)


def test_the_page_shows_what_came_before_the_reference_and_what_does_not_fit(told: Told) -> None:
    html = page(told, name="trial", lineage=[], settings={}, parts=REPORT)
    for words in ("Before.", "Joey smiles.", "May be seen", "Named without the reference", "345 words a minute"):
        assert words in html


def test_films_are_shown_along_their_time_with_names_found_and_missed(told: Told) -> None:
    html = timelines(told)
    assert html.count("<svg") == 2 and html.count("<rect") == 2 * 4
    assert html.count('fill-opacity="0.00"') == 1, "what could not be described is an outline"
    assert '<span class="badge good">Joey named</span>' in html and '<span class="badge bad">Ross missed</span>' in html
    assert '<span class="badge warn">Ross added</span>' in html
    assert "00:00:04" in html, "half a second is a unit here"


def test_the_best_and_the_worst_clips_are_shown_by_arm_with_what_was_before(told: Told) -> None:
    html = worst_and_best(told)
    best = html[html.index("tuned: best") : html.index("tuned: worst")]
    assert best.count("<article") == 2 and "Ross looks at Joey." in best and "Before." in best
    assert "Joey&#39;s smile (wide)." in html[html.index("tuned: worst") :]


def test_the_recipe_s_metrics_and_rubric_are_known() -> None:
    found = recipes()["audio-description"]
    assert [one.name for one in found.rubrics] == ["llm-ad-eval", "critic"]
    assert {"audio-description/cider", "audio-description/rouge-l"} <= set(metrics_of("audio-description"))
    assert "clip-score" not in metrics_of("audio-description")


def test_what_tells_long_texts_apart_is_not_asked_of_one_sentence_unless_a_run_asks_for_it() -> None:
    """Repetition within an answer, and distinct pairs of words, would fail their self-tests there."""
    own = ("cider", "rouge-l", "name-precision", "name-recall", "words-per-minute")
    assert set(default_metrics("audio-description")) == {"words", *(f"audio-description/{name}" for name in own)}
    assert "distinct-2" in metrics_of("audio-description")
