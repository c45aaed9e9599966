"""The report: foreign text cannot run, the page asks no server, and the tables have the published columns."""

from __future__ import annotations

import csv
import io
import json
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tests.support.examples import examples

from fabula_api.eval_run import EvalRunSpec
from fabula_api.metrics import PROFILES
from fabula_api.status import Lineage
from fabula_workloads.metrics.answer_form import PLAIN
from fabula_workloads.metrics.answers import ClipFigures
from fabula_workloads.metrics.clip_score import Grounding
from fabula_workloads.metrics.evaluation import Evaluation, evaluate
from fabula_workloads.metrics.records import GivenAnswer
from fabula_workloads.recipe_parts.evaluation import evaluation_of
from fabula_workloads.recipes.podcast.answers.form import DIALOGUE
from fabula_workloads.recipes.podcast.evaluation import EVALUATION
from fabula_workloads.report.charts import nice_ticks
from fabula_workloads.report.document import document
from fabula_workloads.report.markup import join, tag
from fabula_workloads.report.page import page
from fabula_workloads.report.parts import Told
from fabula_workloads.report.tables import results_csv, results_parquet, samples_csv, summary_csv
from fabula_workloads.report.thumbnails import MAX_BYTES, thumbnail
from fabula_workloads.report.verdict import in_sentence
from fabula_workloads.samples.sample_set import EvaluationSample

EVIL = "</p></div><script>alert(1)</script><img src=http://evil.example/x onerror=alert(2)>"
PIXEL = "data:image/jpeg;base64,AAAA"


class Elements(HTMLParser):
    """Every element of a page, with its attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "circle", "line", "rect", "input"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def evaluation(text: str = EVIL, random_weights: bool = True) -> Evaluation:
    spec = EvalRunSpec.model_validate(
        {
            "samples": {"uri": "s"},
            "arms": [{"name": "base", "model": {"uri": "m"}}, {"name": "tuned", "model": {"uri": "m"}}],
            "metrics": ["words", "format-compliance", "clip-score"],
            "gates": [{"metric": "format-compliance", "arm": "tuned", "versus": "base", "min": 0.5}],
        }
    )
    answers = [
        GivenAnswer("base", "s1", 0, text),
        GivenAnswer("base", "s2", 0, None, reason="NonFiniteLogits"),
        GivenAnswer("tuned", "s1", 0, f"Speaker 1: hello {text}\n\nSpeaker 2: yes", finish="length"),
        GivenAnswer("tuned", "s2", 0, "Speaker 1: a b\n\nSpeaker 2: c"),
    ]
    clip = ClipFigures("tiny", random_weights, {answers[3].key: Grounding(21.5, 20.0, 0.2)}, {answers[3].key: 20.39})
    return evaluate(spec, answers, [clip], DIALOGUE)


def render(found: Evaluation, name: str = "trial") -> str:
    lineage = [Lineage(name="select", uri="file:///a", digest="sha256:" + "1" * 64)]
    samples = {sample: EvaluationSample(id=sample) for sample in ("s1", "s2")}
    told = Told(found, samples, {"s1": [PIXEL] * 5, "s2": [PIXEL]})
    return page(told, name=name, lineage=lineage, settings={"pixels": "1 to 2"}, parts=EVALUATION.report)


def test_foreign_text_stays_text() -> None:
    html = render(evaluation(), name=EVIL)
    elements = Elements(html)
    assert elements.open == []
    assert "script" not in {tag for tag, _ in elements.found}
    assert not [name for _, attributes in elements.found for name in attributes if name.startswith("on")]
    assert html.count("&lt;script&gt;alert(1)") >= 3


@settings(max_examples=examples(20), deadline=None)
@given(st.text(alphabet=st.sampled_from("<>&\"'/=! ab:\n*Speakr12"), max_size=60))
def test_no_text_makes_an_element(text: str) -> None:
    harmless = [name for name, _ in Elements(render(evaluation("words"))).found]
    assert {name for name, _ in Elements(render(evaluation(text))).found} <= {*harmless, "pre", "p", "b"}


def test_the_page_asks_no_server() -> None:
    html = render(evaluation("plain"))
    for _, attributes in Elements(html).found:
        assert (attributes.get("src") or "data:").startswith("data:")
        assert not attributes.get("href")
    assert "url(" not in html
    assert "@import" not in html
    policies = [attributes.get("content") or "" for name, attributes in Elements(html).found if name == "meta"]
    assert any(policy.startswith("default-src 'none'; img-src data:;") for policy in policies)


def test_what_a_reader_must_not_miss_is_said() -> None:
    html = render(evaluation("gibberish"))
    for words in (
        "unparseable", "random weights", "not generated: NonFiniteLogits", "keeps the format", "cut at the token limit",
        "gate passed", "sha256:" + "1" * 64,
    ):  # fmt: skip
        assert words in html, words
    assert "random weights" not in render(evaluation("gibberish", random_weights=False))


def test_where_there_is_no_format_none_is_kept() -> None:
    spec = EvalRunSpec.model_validate(
        {"samples": {"uri": "s"}, "arms": [{"name": "tuned", "model": {"uri": "m"}}], "metrics": ["words"]}
    )
    html = render(evaluate(spec, [GivenAnswer("tuned", "s1", 0, "He opens the door.")], [], PLAIN))
    assert "format" not in html[html.index("<body") :].lower()
    assert 'title="1 answered"' in html


def test_the_tables_have_the_published_columns() -> None:
    found = evaluation("gibberish")
    rows = list(csv.DictReader(io.StringIO(samples_csv(found, "v2", ["s1", "s2"]))))
    assert list(rows[0]) == [
        "sample", "words_base", "words_tuned", "format_compliance_base", "format_compliance_tuned", "clipscore_base",
        "clipscore_tuned",
    ]  # fmt: skip
    assert (rows[0]["words_base"], rows[1]["words_tuned"], rows[1]["clipscore_tuned"]) == ("", "3.0", "21.5")
    summary = list(csv.reader(io.StringIO(summary_csv(found, "paper-v1"))))
    assert summary[0] == ["Metric", "base", "tuned", "Difference"]
    assert summary[2] == ["clip-score", "", "20.39", ""], "what was published comes first"


def test_the_document_is_json_without_answers_or_time() -> None:
    found = evaluation("very secret words")
    once, twice = (json.dumps(document(found, [], {}), allow_nan=False) for _ in range(2))
    assert once == twice
    assert "secret" not in once
    assert json.loads(once)["clip"] == {"model": "tiny", "randomWeights": True}


def test_a_thumbnail_is_small_whatever_the_picture(tmp_path: Path) -> None:
    Image.effect_noise((1400, 900), 200).convert("RGB").save(tmp_path / "noise.png")
    uri = thumbnail(tmp_path / "noise.png")
    assert uri.startswith("data:image/jpeg;base64,")
    assert len(uri) * 3 / 4 <= MAX_BYTES + 64


def test_markup_escapes_text_and_attributes() -> None:
    assert tag("p", "<b>", tag("i", "&"), title='"x"') == '<p title="&#34;x&#34;">&lt;b&gt;<i>&amp;</i></p>'
    assert join("a", None, "<") == "a&lt;"


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 0), (-3.2, 14.9), (0, 1e-9), (0, 123456)])
def test_ticks_span_the_figures(low: float, high: float) -> None:
    ticks = nice_ticks(low, high)
    assert ticks[0] <= low
    assert ticks[-1] >= high
    assert 2 <= len(ticks) <= 7


def test_the_page_begins_with_its_verdict() -> None:
    html = render(evaluation("gibberish"))
    assert html.index('class="verdict"') < html.index("At a glance")
    assert "The gate passed; tuned against base shows no difference beyond chance in" in html


def test_what_decides_can_be_shown_alone_without_a_script() -> None:
    html = render(evaluation("gibberish"))
    elements = Elements(html).found
    assert "script" not in {name for name, _ in elements}
    cards = [attributes["class"] or "" for name, attributes in elements if name == "article"]
    shown = {attributes["id"] for name, attributes in elements if name == "input"}
    asked = {word.removeprefix("in-") for card in cards for word in card.split() if word.startswith("in-")}
    assert shown == {"show-all"} | {f"show-{name}" for name in asked}
    for name in asked:
        assert f"main:has(#show-{name}:checked) .sample:not(.in-{name})" in html


def test_each_answer_is_a_row_for_programs() -> None:
    from pyarrow import parquet

    found = evaluation("gibberish")
    rows = list(csv.DictReader(io.StringIO(results_csv(found))))
    assert [(row["arm"], row["sample"], row["outcome"]) for row in rows[:2]] == [
        ("base", "s1", "ok"),
        ("base", "s2", "failed"),
    ]
    typed = parquet.read_table(io.BytesIO(results_parquet(found))).to_pylist()
    assert list(typed[0]) == list(rows[0])
    assert (typed[1]["reason"], typed[1]["words"], typed[3]["words"]) == ("NonFiniteLogits", None, 3.0)


ARMS = [f"qwen3-vl-8b-instruct-lora-rank-{rank}" for rank in (8, 16, 32, 64, 128)]


def many() -> str:
    """A report of arms whose names are long and alike, with a metric that has no figure."""
    names = ["base", *ARMS]
    spec = EvalRunSpec.model_validate({
        "samples": {"uri": "s"}, "arms": [{"name": name, "model": {"uri": "m"}} for name in names],
        "metrics": ["words", "lexical-diversity"],
    })  # fmt: skip
    answers = [GivenAnswer(name, "s1", 0, "Speaker 1: a b\n\nSpeaker 2: c") for name in names]
    answers.append(GivenAnswer("base", "s2", 0, None, reason="NonFiniteLogits"))
    told = Told(evaluate(spec, answers, (), DIALOGUE), {name: EvaluationSample(id=name) for name in ("s1", "s2")}, {})
    return page(told, name="many", lineage=[], settings={}, parts=EVALUATION.report)


def test_long_names_of_arms_are_shown_whole_and_arms_without_a_difference_together() -> None:
    html = many()
    charts = html.partition('class="charts"')[2].partition("</figure></div>")[0]
    for name in ARMS:
        assert 'class="arm above" x="0"' in charts and f">{name}</text>" in charts
        assert f'<span class="label">{name}</span>' in charts
    assert "…" not in charts
    assert (
        "5 arms against base cannot be compared" in html
        or "5 arms against base show no difference beyond chance in" in html
    )
    assert "1 answer of base could not be generated and is in no figure" in html


def test_a_metric_without_any_figure_has_no_empty_chart() -> None:
    html = many()
    assert 'aria-label="Lexical diversity"' not in html
    assert "Without a figure, for reasons that stand in the table: Lexical diversity." in html


@pytest.mark.parametrize(
    ("recipe", "own", "foreign"),
    [
        ("podcast", "answers without turns have no figure", "Round brackets"),
        ("audio-description", "Round brackets are no words", "turns"),
        ("visual-instruction", "letter is no word", "turns"),
    ],
)
def test_what_a_profile_means_is_said_in_the_words_of_the_recipe(recipe: str, own: str, foreign: str) -> None:
    parts = evaluation_of(recipe).report
    told = {profile: f"{PROFILES[profile].about} {parts.about_profiles[profile]}" for profile in PROFILES}
    assert own in told["v2"] and all(foreign not in words for words in told.values())
    spec = EvalRunSpec.model_validate({"samples": {"uri": "s"}, "arms": [{"name": "base", "model": {"uri": "m"}}],
                                       "metrics": ["words"], "profiles": list(PROFILES)})  # fmt: skip
    found = Told(
        evaluate(spec, [GivenAnswer("base", "s1", 0, "a")], (), DIALOGUE), {"s1": EvaluationSample(id="s1")}, {}
    )
    html = page(found, name="own", lineage=[], settings={}, parts=parts).replace("&#39;", "'")
    assert all(words in html for words in told.values())


@pytest.mark.parametrize(
    ("title", "words"),
    [("Distinct-2", "distinct-2"), ("CIDEr", "CIDEr"), ("ROUGE-L", "ROUGE-L"), ("Name recall", "name recall")],
)
def test_names_of_metrics_stay_names_within_a_sentence(title: str, words: str) -> None:
    assert in_sentence(title) == words
