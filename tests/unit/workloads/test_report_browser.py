"""The report in a real browser: both schemes can be read, pictures are there, it prints, and no request leaves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.support.browser import Page, browser, needs_chromium

from fabula_api.eval_run import EvalRunSpec
from fabula_api.rubrics import STORY
from fabula_api.status import Lineage
from fabula_workloads.judging.ballots import Ballot
from fabula_workloads.judging.figures import Judged, JudgeFigures, agreements, judge_figures
from fabula_workloads.metrics.evaluation import evaluate
from fabula_workloads.metrics.records import GivenAnswer
from fabula_workloads.recipes.podcast.answers.form import DIALOGUE
from fabula_workloads.recipes.podcast.evaluation import EVALUATION
from fabula_workloads.report.markup import tag
from fabula_workloads.report.page import page
from fabula_workloads.report.parts import PLAIN, Told
from fabula_workloads.report.thumbnails import thumbnail
from fabula_workloads.samples.sample_set import EvaluationSample

pytestmark = needs_chromium
SAMPLES = [f"story-{number}" for number in range(10)]
SAID = {
    "base": "Speaker 1: It was a photo of a red boat.\n\nSpeaker 2: Yes, {0} boats, and it rained all day.",
    "tuned": "Speaker 1: We went down to the quay at six, all {0} of us.\n\nSpeaker 2: And the boat?\n\n"
    "Speaker 1: Gone. Grandfather had sold it, and nobody had told us.",
}
EVIL = "<img src=http://evil.example/answer.png><script src=http://evil.example/x.js></script>"


def judge(name: str, turned: set[str]) -> JudgeFigures:
    """A judge that prefers the tuned arm, but on some samples."""
    told = []
    for sample in SAMPLES:
        for shown in (("tuned", "base"), ("base", "tuned")):
            better = "base" if sample in turned else "tuned"
            marks = {one.name: float(shown[0] == better) for one in STORY.criteria} | {
                "overall": float(shown[0] == better)
            }
            told.append(
                Ballot(sample, 0, shown, marks, reason=f"{name} thinks that the {sample} is told with more care.")
            )
    words = {(arm, sample, 0): 20 + len(sample) for arm in SAID for sample in SAMPLES}
    return judge_figures(name, STORY, told, [("tuned", "base")], ["base", "tuned"], words)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    spec = EvalRunSpec.model_validate(
        {
            "samples": {"uri": "vist"},
            "arms": [{"name": name, "model": {"uri": "m"}} for name in SAID],
            "metrics": ["words", "turn-length", "distinct-2", "picture-free", "format-compliance"],
            "gates": [{"metric": "turn-length", "arm": "tuned", "versus": "base", "max": 2, "figure": "interval"}],
        }
    )
    answers = [
        GivenAnswer(arm, sample, 0, text.format("many " * (number % 4)))
        for arm, text in SAID.items()
        for number, sample in enumerate(SAMPLES)
    ]
    answers[0] = GivenAnswer("base", SAMPLES[0], 0, EVIL)
    judges = [judge("opus", {SAMPLES[1]}), judge("gpt", {SAMPLES[1], SAMPLES[2], SAMPLES[5]})]
    pictures: dict[str, list[str]] = {}
    for number, sample in enumerate(SAMPLES):
        pictures[sample] = []
        for place in range(5):
            path = folder / f"{number}-{place}.png"
            Image.effect_mandelbrot((240, 180), (-2 + number / 9, -1.2, 0.5, 1.2), 40 + 20 * place).convert("RGB").save(
                path
            )
            pictures[sample].append(thumbnail(path))
    told = Told(
        evaluate(spec, answers, (), DIALOGUE), {name: EvaluationSample(id=name) for name in SAMPLES}, pictures,
        Judged(judges, agreements(judges, {})), spec,
    )  # fmt: skip
    lineage = [Lineage(name="select", uri="file:///data/select", digest="sha256:" + "1" * 64)]
    html = page(told, name="podcast", lineage=lineage, settings={"pixels": "1 to 2"}, parts=EVALUATION.report)
    (folder / "report.html").write_text(html)
    facts = tag("dl", tag("dt", "Clip"), tag("dd", "the last fact of a clip"))
    plain = replace(PLAIN, asked=lambda sample: facts)
    bare = replace(told, pictures={}, judged=Judged())
    (folder / "facts.html").write_text(page(bare, name="facts", lineage=lineage, settings={}, parts=plain))
    (folder / "open.html").write_text("<img src=http://evil.example/control.png>")
    return folder / "report.html"


CONTRAST = """(() => {
  const bright = (colour) => colour.match(/[0-9.]+/g).slice(0, 3).map(Number)
    .map((part) => part / 255).map((part) => part <= .04045 ? part / 12.92 : ((part + .055) / 1.055) ** 2.4)
    .reduce((sum, part, index) => sum + part * [.2126, .7152, .0722][index], 0);
  const back = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (!/^rgba.*, 0\\)$/.test(colour)) return colour;
    }
  };
  const texts = [...document.querySelectorAll("main *")].filter((element) => element.checkVisibility()
    && [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim()) && !element.closest("svg"));
  return texts.map((element) => {
    const pair = [bright(getComputedStyle(element).color), bright(back(element))].sort((a, b) => b - a);
    const named = element.tagName + "." + element.className + ": " + element.textContent.slice(0, 40);
    return [(pair[0] + .05) / (pair[1] + .05), named];
  });
})()"""
"""Contrast of each piece of text with what it stands on (WCAG 2.2)."""
SHOWN = '[...document.querySelectorAll(".sample")].filter((card) => card.checkVisibility()).length'
LOADED = "[...document.images].filter((image) => image.complete && image.naturalWidth > 0).length"
BACK = "getComputedStyle(document.body).backgroundColor"


async def test_a_browser_shows_it_in_both_schemes_and_on_paper_and_asks_nobody(report: Path, tmp_path: Path) -> None:
    async with browser(tmp_path / "profile") as chromium:
        async with chromium.page() as control:
            await control.open(report.with_name("open.html"))
            assert "http://evil.example/control.png" in control.requests, "a request would be seen"
        async with chromium.page() as tab:
            await facts_stand_apart(tab, report.with_name("facts.html"))
        async with chromium.page() as tab:
            await tab.open(report)
            backs = []
            for scheme in ("light", "dark"):
                await tab.look(scheme)  # type: ignore[arg-type]
                await tab.value('document.querySelectorAll("details").forEach((one) => one.open = true)')
                weak = {
                    told.partition(":")[0]: (round(ratio, 2), told)
                    for ratio, told in await tab.value(CONTRAST)
                    if ratio < 4.5
                }
                assert not weak, (scheme, list(weak.values()))
                backs.append(await tab.value(BACK))
                (tmp_path / f"{scheme}.png").write_bytes(await tab.picture())
            assert backs[0] != backs[1]
            assert await tab.value(LOADED) == len(SAMPLES) * 5
            await filters(tab)
            await tab.look("light", "print")
            assert await tab.value('document.querySelector(".filters").checkVisibility()') is False
            assert (await tab.printed()).startswith(b"%PDF-")
            assert {address.partition(":")[0] for address in tab.requests} <= {"file", "data"}
            assert tab.complaints == []


GAPS = """[...document.querySelectorAll(".sample > dl")].map((facts) =>
  facts.nextElementSibling.getBoundingClientRect().top - facts.lastElementChild.getBoundingClientRect().bottom)"""


async def facts_stand_apart(tab: Page, place: Path) -> None:
    """The last fact of a sample does not touch the rule above the arms, and nothing is wider than a narrow screen."""
    await tab.open(place)
    for width in (1280, 375):
        await tab.picture(width)
        assert min(await tab.value(GAPS)) >= 12
        assert await tab.value("document.documentElement.scrollWidth") <= width


async def filters(tab: Page) -> None:
    """Choosing what decides leaves those samples alone, without a script of the page's own."""
    assert await tab.value(SHOWN) == len(SAMPLES)
    names: Any = await tab.value('[...document.querySelectorAll(".filters input")].map((one) => one.id)')
    assert {"show-all", "show-judges", "show-lost", "show-broken"} <= set(names)
    await tab.value('document.getElementById("show-judges").click()')
    assert await tab.value(SHOWN) == 2, "on which the two judges prefer different arms"
    await tab.value('document.getElementById("show-lost").click()')
    assert await tab.value(SHOWN) == 1
    await tab.value('document.getElementById("show-all").click()')
    assert await tab.value(SHOWN) == len(SAMPLES)
