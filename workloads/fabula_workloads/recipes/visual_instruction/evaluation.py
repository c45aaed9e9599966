"""What this recipe brings to evaluations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fabula_api.arms import Generation
from fabula_api.eval_run import EvalRunSpec
from fabula_api.metrics import ProfileName
from fabula_workloads.metrics.answer_form import AnswerForm
from fabula_workloads.metrics.reading import Reading
from fabula_workloads.recipe_parts.evaluation import EvaluationParts, VideoAsked
from fabula_workloads.recipes.visual_instruction.answer import read_answer
from fabula_workloads.recipes.visual_instruction.evaluated import ClipSample
from fabula_workloads.recipes.visual_instruction.finding.ovo import ovo_bench
from fabula_workloads.recipes.visual_instruction.finding.streaming import streaming_bench
from fabula_workloads.recipes.visual_instruction.finding.vispeak import vispeak_bench
from fabula_workloads.recipes.visual_instruction.held_out import held_out
from fabula_workloads.recipes.visual_instruction.scoring.report import REPORT
from fabula_workloads.recipes.visual_instruction.scoring.scored_files import scored_files


@dataclass(frozen=True)
class Watched(Reading):
    """A reply as metrics of text read it."""

    silent: bool = False

    @property
    def passages(self) -> list[str]:
        """Silence is an answer, with nothing said in it."""
        return [""] if self.silent else [self.text] if self.text.strip() else []


def _read(answer: str, profile: ProfileName) -> Reading:
    """A record of replies; a text that is none is words without a second, as the self-tests of metrics give them."""
    watched = read_answer(answer)
    words = answer if watched is None else watched.words
    silent = watched is not None and not watched.replies
    return Watched(answer, words, None if silent or words.strip() else "Empty", silent)


def _words(answer: str) -> str:
    watched = read_answer(answer)
    return watched.words.strip() if watched is not None else ""


def _as_file(sample: str, text: str, seconds: float) -> str:
    watched = read_answer(text)
    replies = watched.replies if watched is not None else ()
    return "".join(f"{reply.at:.3f} {reply.text}\n" for reply in replies) or "(silence)\n"


def open_engine(opening: Any) -> Any:
    """The watcher, loaded; a model without one is polled."""
    from fabula_workloads.recipes.visual_instruction.watching.engine import open_watcher

    return open_watcher(opening)


def over_chat(spec: EvalRunSpec, opened: Callable[[Generation], Any], concurrency: int) -> Any:
    """A served model, polled as one in the pod is."""
    from fabula_workloads.recipes.visual_instruction.watching.polling import poll_served

    return poll_served(spec, opened, concurrency)


def watch(asked: VideoAsked, say: Callable[[float, str], None]) -> None:
    """A video, watched by a trained watcher."""
    from fabula_workloads.recipes.visual_instruction.watching.one_video import watch_video

    watch_video(asked, say)


EVALUATION = EvaluationParts(
    formats={
        "dataset": held_out,
        "vispeak-bench": vispeak_bench,
        "streaming-bench": streaming_bench,
        "ovo-bench": ovo_bench,
    },
    sample=ClipSample,
    item="clip",
    open_engine=open_engine,
    over_chat=over_chat,
    watch=watch,
    answers=AnswerForm(
        read=_read,
        flaws={"Empty": "a reply without words"},
        blind=_words,
        unreadable="replies without words",
        as_file=_as_file,
    ),
    scored_files=scored_files,
    report=REPORT,
)
