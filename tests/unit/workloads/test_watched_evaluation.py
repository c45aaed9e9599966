"""Evaluations of what was watched: samples of the benchmarks' own files, figures, judges' rubrics, tables and pages."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.support.drawn_video import draw_video

from fabula_api.eval_run import EvalRunSpec
from fabula_api.recipes.visual_instruction.measures import FEEDBACK
from fabula_api.rubrics import STORY
from fabula_api.specs import parse_spec
from fabula_workloads.inference.opening import open_engine
from fabula_workloads.inference.request import Answer, Request
from fabula_workloads.metrics.answer_form import PLAIN
from fabula_workloads.metrics.materials import Materials
from fabula_workloads.metrics.records import GivenAnswer
from fabula_workloads.recipes.visual_instruction.annotations.rows import Turn
from fabula_workloads.recipes.visual_instruction.answer import SaidAt, WatchedAnswer
from fabula_workloads.recipes.visual_instruction.evaluated import ClipSample
from fabula_workloads.recipes.visual_instruction.evaluation import EVALUATION
from fabula_workloads.recipes.visual_instruction.scoring import measures
from fabula_workloads.runtime.failures import ConfigInvalid
from fabula_workloads.samples.found import Search
from fabula_workloads.scoring.score import Wishes, files_of, score

GREEN, GREY = (40, 200, 60), (120, 120, 120)


class Context:
    """As much of a stage's as finders use."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def resolve(self, uri: str) -> str:
        return f"file://{self.root}/{uri}"

    def check_stop(self) -> None:
        """Nobody stops this."""


def spec(**fields: Any) -> EvalRunSpec:
    given = {
        "recipe": "visual-instruction", "visualInstruction": {"frames": {"side": 32}},
        "arms": [{"name": "base", "model": {"name": "m"}}, {"name": "watcher", "model": {"name": "m"}}],
    }  # fmt: skip
    found = parse_spec("EvalRun", given | fields)
    assert isinstance(found, EvalRunSpec)
    return found


def found(tmp_path: Path, layout: str, **samples: Any) -> tuple[list[ClipSample], Counter[str]]:
    asked = spec(samples={"uri": "bench", "format": layout, **samples})
    (tmp_path / "scratch").mkdir(exist_ok=True)
    search = Search(Context(tmp_path), asked, tmp_path / "scratch")  # type: ignore[arg-type]
    taken = EVALUATION.formats[layout](search)
    for one in taken:
        assert {path for path, _ in one.files} == {*one.record.images, one.record.shard}  # type: ignore[attr-defined]
    return [one.record for one in taken], search.tally  # type: ignore[misc]


def write(folder: Path, name: str, content: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(content))


def said(at: float | None, text: str = "Hello there") -> str:
    return WatchedAnswer(replies=() if at is None else (SaidAt(at=at, text=text),)).written()


def test_vispeak_bench_by_its_own_files_whatever_version_their_names_have(tmp_path: Path) -> None:
    bench = tmp_path / "bench"
    draw_video(bench / "videos" / "wave.mp4", [(0.0, GREY), (2.0, GREEN)], seconds=6)
    talk = [
        {"from": "human", "value": "Shall we?", "time": 0.0}, {"from": "gpt", "value": "Let us.", "time": 0.1},
        {"from": "gpt", "value": "Hello there", "time": 3.0, "timespan": [2.0, 4.0]},
    ]  # fmt: skip
    write(bench, "Gesture_Understanding_v3.json", [
        {"video": "videos/wave.mp4", "gesture": "Wave", "proactive": True, "conversations": talk},
        {"video": "videos/gone.mp4", "gesture": "Wave", "proactive": True, "conversations": talk},
    ])  # fmt: skip
    write(bench, "Visual_Reference.json", [
        {"video": "videos/wave.mp4", "proactive": False, "video_start_time": 0.0, "video_end_time": 3.0,
         "questions": "What is it? A. Bicycle B. Conical C. Car The best option is:", "ans": "B",
         "ans_full": "Conical"},
    ])  # fmt: skip
    clips, tally = found(tmp_path, "vispeak-bench")
    assert tally == {"clip/skipped/NoVideo": 1}
    wave, reference = clips
    assert (wave.task, wave.span, wave.begins, wave.unasked) == ("gesture", (2.0, 4.0), 0.1, True)
    assert [turn.text for turn in wave.turns] == ["Shall we?", "Let us."] and wave.reference == "Hello there"
    assert (reference.options, reference.answer, reference.unasked) == (("Bicycle", "Conical", "Car"), "B", False)
    assert measures.choice(reference, "Because it is conical", "v2") and not measures.choice(reference, "", "v2")
    assert measures.choice(reference, "Because", "paper-v1")  # the published rule takes its first capital


def test_streaming_bench_keeps_five_options_and_waits_for_what_is_asked_ahead(tmp_path: Path) -> None:
    bench = tmp_path / "bench"
    draw_video(bench / "videos" / "game.mp4", [(0.0, GREY), (4.0, GREEN)], seconds=10)
    common = {"video_path": "./videos/game.mp4"}
    write(bench, "questions_real.json", [{**common, "questions": [
        {"task_type": "Object Perception", "question": "What colour?", "time_stamp": "00:00:06", "answer": "E",
         "options": ["A. Red", "B. Blue", "C. Grey", "D. Pink", "E. Green"]},
        {"task_type": "Unheard Of", "question": "?", "time_stamp": "00:00:06", "answer": "A", "options": []},
    ]}])  # fmt: skip
    write(bench, "questions_sqa.json", [{**common, "questions": [
        {"task_type": "Sequential Question Answering", "question": "First?", "time_stamp": "00:00:02", "answer": "A",
         "options": ["A. One", "B. Two"]},
        {"task_type": "Sequential Question Answering", "question": "Then?", "time_stamp": "00:00:05", "answer": "B",
         "options": ["A. One", "B. Two"]},
    ]}])  # fmt: skip
    write(bench, "questions_proactive.json", [{**common, "questions": [
        {"task_type": "Proactive Output", "question": "When it is green, say GO.", "time_stamp": "00:00:01",
         "ground_truth_time_stamp": "00:00:04", "ground_truth_output": "GO"},
    ]}])  # fmt: skip
    clips, tally = found(tmp_path, "streaming-bench")
    assert tally == {"clip/skipped/Unreadable": 1}
    by = {clip.question.partition(".")[0] + clip.question[-2:]: clip for clip in clips}
    assert len(by["questions_real06"].options) == 5 and "E. Green" in by["questions_real06"].turns[0].text
    assert "First? A" in by["questions_sqa05"].turns[0].text and "First?" in by["questions_sqa02"].turns[0].text
    ahead = by["questions_proactive01"]
    assert (ahead.unasked, ahead.span, ahead.begins, ahead.end) == (True, (4.0, 4.0), 1.0, 8.0)
    assert measures.is_right(ahead, said(5.0, "GO"), "v2") and not measures.is_right(ahead, said(None), "v2")
    assert measures.is_right(by["questions_real06"], said(6.0, "(E) Green"), "v2")


def test_ovo_bench_asks_a_forward_question_at_each_of_its_moments(tmp_path: Path) -> None:
    bench = tmp_path / "bench"
    draw_video(bench / "jump.mp4", [(0.0, GREY), (4.0, GREEN)], seconds=10)
    write(bench, "ovo_bench.json", [
        {"id": 1, "task": "EPM", "video": "jump.mp4", "question": "Before?", "options": ["grey", "red"], "gt": 0,
         "realtime": 5.0},
        {"id": 2, "task": "REC", "video": "jump.mp4", "activity": "jump",
         "test_info": [{"realtime": 3.0, "count": 1}, {"realtime": 7.0, "count": 2}]},
        {"id": 3, "task": "CRR", "video": "jump.mp4", "question": "Green yet?",
         "test_info": [{"realtime": 2.0, "type": 0}, {"realtime": 6.0, "type": 1}]},
        {"id": 4, "task": "CRR", "video": "jump.mp4", "question": "?", "test_info": [{"realtime": 2.0}]},
    ])  # fmt: skip
    clips, tally = found(tmp_path, "ovo-bench")
    assert tally == {"clip/skipped/Unreadable": 1}
    assert [(clip.subtask, clip.end, clip.answer) for clip in clips] == [
        ("EPM", 5.0, "A"), ("REC", 3.0, "1"), ("REC", 7.0, "2"), ("CRR", 2.0, "No"), ("CRR", 6.0, "Yes"),
    ]  # fmt: skip
    assert measures.is_right(clips[2], said(7.0, "They jumped two times"), "v2")


def test_a_long_video_is_cut_at_a_lower_rate_and_its_moments_say_so(tmp_path: Path) -> None:
    bench = tmp_path / "bench"
    draw_video(bench / "long.mp4", [(float(n), GREY) for n in range(0, 90, 5)], seconds=90)
    write(bench, "ovo_bench.json", [
        {"id": 1, "task": "EPM", "video": "long.mp4", "question": "?", "options": ["a", "b"], "gt": 0, "realtime": 90.0}
    ])  # fmt: skip
    (clip,), _ = found(tmp_path, "ovo-bench")
    assert len(clip.frames) == 64 and clip.frames[1] == pytest.approx(90 / 64)


def clip(name: str = "one", **fields: Any) -> ClipSample:
    given = {
        "id": name, "video": f"{name}.mp4", "task": "gesture", "start": 0.0, "end": 10.0, "shard": "s.tar",
        "frames": (0.0, 1.0), "span": (3.0, 5.0), "reference": "Hello, my friend!", "gesture": "Wave",
        "turns": (Turn(speaker="user", text="Shall we?", at=0.0),),
    }  # fmt: skip
    return ClipSample.model_validate(given | fields)


def materials(clips: list[ClipSample], answers: list[GivenAnswer], points: Any = None) -> Materials:
    return Materials(
        spec(samples={"uri": "bench"}), ["v2"], answers, {}, {one.id: one for one in clips}, PLAIN,
        lambda *_: (Path(), ""), lambda: None, None, points or {},
    )  # fmt: skip


def test_figures_of_time_words_and_points_and_silence_is_never_on_time() -> None:
    clips = [clip("late", span=(0.0, 1.0)), clip("timely"), clip("silent", span=(0.0, 10.0))]
    answers = [
        GivenAnswer("a", "late", 0, said(3.5), seconds=2.0), GivenAnswer("a", "timely", 0, said(6.9), seconds=5.0),
        GivenAnswer("a", "silent", 0, said(None)),
    ]  # fmt: skip
    assert measures.feedback(materials(clips, answers)).value("v2", answers[0].key) is None  # nobody was asked
    given = materials(clips, answers, {FEEDBACK.name: {"a": {"late": 5.0, "timely": 4.0}}})

    def figures(metric: Any) -> list[float | None]:
        computed = metric(given)
        return [computed.value("v2", answer.key) for answer in answers]

    assert figures(measures.time) == [0.0, 1.0, 0.0]
    assert figures(measures.feedback) == [0.0, 4.0, 0.0]
    assert figures(measures.delay) == [3.5, pytest.approx(3.9), None]
    assert figures(measures.real_time) == [0.2, 0.5, None]
    assert figures(measures.words) == [0.4, 0.4, 0.0]  # 2 x 1 of 2 + 3 words


def test_an_answer_of_silence_can_be_read_and_is_shown_to_no_judge() -> None:
    form = EVALUATION.answers
    assert form.read(said(None), "v2").passages and form.read(said(None), "v2").flaw is None
    assert form.blind(said(None)) == "" and form.blind(said(2.0)) == "Hello there"
    assert not form.read(said(2.0, " "), "v2").passages
    assert form.read("two plain words", "v2").text == "two plain words"  # as the self-tests of metrics of texts ask
    assert form.as_file("one", said(2.0), 0.0) == "2.000 Hello there\n"


def test_a_judge_has_the_words_of_each_subtask_and_sees_replies_on_time_alone() -> None:
    timely, late = said(4.0), said(9.5)
    asked = clip().asked_by(FEEDBACK, [timely])
    assert asked is not None and "Wave" in asked.task and "Shall we?" in asked.task and asked.reference
    assert [one.name for one in asked.criteria] == ["recognition", "fitness", "overall"]
    assert clip().asked_by(FEEDBACK, [late]) is None
    waking = clip(task="wake-up").asked_by(FEEDBACK, [timely])
    assert waking is not None and not waking.reference and waking.scale == FEEDBACK.scale
    assert clip(task="other").asked_by(FEEDBACK, [timely]) == FEEDBACK
    assert clip().asked_by(STORY, [late, late]) == STORY


def test_predictions_in_the_published_layout_are_scored_without_a_run(tmp_path: Path) -> None:
    talk = [{"from": "gpt", "value": "Hello, my friend!", "time": 4.0, "timespan": [3.0, 5.0]}]
    rows = [{"video": f"v{n}.mp4", "proactive": True, "conversations": talk} for n in range(3)]
    write(tmp_path / "bench", "Visual_Wake-Up.json", rows)
    write(tmp_path / "tuned", "Visual_Wake-Up.json", [
        {"v0.mp4": ["Hello, my friend!", 4.0]}, {"v1.mp4": ["Hello", 6.5]}, {"v2.mp4": ["", None]},
    ])  # fmt: skip
    write(tmp_path / "early", "wake-up.json", [{f"v{n}.mp4": ["Hi", 1.0]} for n in range(3)])
    folders = [tmp_path / name for name in ("bench", "tuned", "early")]
    scored = score(folders, Wishes("visual-instruction"))
    arms = {arm.name: arm for arm in scored.evaluation.arms}
    time = ("v2", "visual-instruction/time")
    assert arms["tuned"].means[time].mean == pytest.approx(2 / 3) and arms["early"].means[time].mean == 0
    page = dict(files_of(scored, "files"))["report.html"]
    assert "speaks after one second" in page and "(silence)" in page and "VW" in page
    write(tmp_path / "early", "wake-up.json", [{"other.mp4": ["Hi", 1.0]}])
    with pytest.raises(ValueError, match="no sample of"):
        score(folders, Wishes("visual-instruction"))


class Says:
    """A chat model that says yes when it has seen so many pictures."""

    def __init__(self, due: int) -> None:
        self.due, self.asked = due, list[int]()

    def answer(self, requests: list[Request], interrupted: Any) -> list[Any]:
        (request,) = requests
        self.asked.append(len(request.pictures))
        yes = len(request.pictures) >= self.due
        text = ("Yes." if yes else "No, yesterday.") if "yes or no" in request.prompt else "Hello there"
        return [Answer(text, 1, 0.5, "stop")]

    def tell(self, request: Request, say: Any) -> Any:
        (answer,) = self.answer([request], lambda: False)
        for word in answer.text.split():
            say(word)
        return answer


@pytest.mark.torch
def test_a_model_without_a_head_is_polled_to_the_end_of_the_clip_and_not_of_the_span(tmp_path: Path) -> None:
    from tests.support.watching_world import shard_of

    from fabula_quickstart.watching import clips
    from fabula_workloads.recipes.visual_instruction.watching.polling import PolledEngine

    (tmp_path / "s.tar").write_bytes(shard_of(next(clips())))
    sample = clip(frames=tuple(map(float, range(10))))

    def watched(due: int) -> tuple[WatchedAnswer, Says]:
        model, left = Says(due), [Request("one", 0, (), "", sample, tmp_path)]
        engine = PolledEngine(model, model, 1.0)
        ((_, answer),) = engine.answers(lambda most: [left.pop()] if left else [], lambda: False)
        assert isinstance(answer, Answer)
        return WatchedAnswer.model_validate_json(answer.text), model

    spoke, _ = watched(5)
    assert [(one.at, one.text) for one in spoke.replies] == [(4.0, "Hello there")]
    assert spoke.replies[0].decision_seconds == 0.5 and spoke.replies[0].first_token_seconds is not None
    silent, model = watched(99)
    assert silent.replies == () and len(model.asked) == 10  # every second up to the clip's end, which is 10


def arm_of(**arm: Any) -> Any:
    """An arm's context, as far as its engine is opened from it."""
    asked = spec(samples={"uri": "bench"}, arms=[{"name": "one", **arm}])
    config = SimpleNamespace(arm="one", shards=1)
    return SimpleNamespace(config=config, spec_of=lambda kind: asked, check_stop=lambda: None)


def test_a_served_model_is_polled_as_one_in_the_pod_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is it would answer with words that have no second, and be taken for silent."""
    from tests.support import chat_server
    from tests.support.watching_world import shard_of

    from fabula_quickstart.watching import clips

    def reply(body: dict[str, Any]) -> str:
        content = body["messages"][0]["content"]
        asked = "".join(part.get("text", "") for part in content)
        if "yes or no" not in asked:
            return "Hello there"
        return "Yes." if sum(part["type"] == "image_url" for part in content) >= 5 else "No."

    monkeypatch.setattr(chat_server, "reply_to", reply)
    (tmp_path / "s.tar").write_bytes(shard_of(next(clips())))
    sample = clip(frames=tuple(map(float, range(10))))
    left = [Request(f"clip-{number}", 0, (), "", sample, tmp_path) for number in range(3)]
    with chat_server.chat_server() as server:
        engine = open_engine(arm_of(engine="openai", model={"name": "tiny"}, endpointUrl=server.url, concurrency=2))
        found = list(engine.answers(lambda most: [left.pop()] if left else [], lambda: False))
    for _, answer in found:
        assert isinstance(answer, Answer)
        (said,) = WatchedAnswer.model_validate_json(answer.text).replies
        assert (said.at, said.text) == (4.0, "Hello there") and said.first_token_seconds is not None
    assert len(found) == 3
    with pytest.raises(ConfigInvalid, match="has an engine of its own"):
        open_engine(arm_of(engine="vllm", model={"name": "tiny"}))


def test_metrics_of_texts_pass_their_self_tests_on_answers_that_are_watched() -> None:
    from fabula_api.recipes import metrics_of
    from fabula_workloads.metrics.self_tests import probe_text_metrics

    metrics = list(metrics_of("visual-instruction").values())
    tried = probe_text_metrics(EVALUATION.answers, "v2", metrics)
    assert {one.metric for one in tried} >= {"words", "repeated-sentences", "distinct-2"}
    assert [one.message for one in tried if not one.passed and not one.known_defect] == []
