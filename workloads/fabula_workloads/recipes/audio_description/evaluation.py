"""What this recipe brings to evaluations."""

from __future__ import annotations

from typing import Any

from fabula_api.recipes.audio_description.measures import CRITIC
from fabula_workloads.judging.questions import OwnQuestions
from fabula_workloads.recipe_parts.evaluation import EvaluationParts
from fabula_workloads.recipes.audio_description.held_out import NarrationEvaluationSample, held_out
from fabula_workloads.recipes.audio_description.scoring import critic_judge
from fabula_workloads.recipes.audio_description.scoring.report import REPORT
from fabula_workloads.recipes.audio_description.scoring.scored_files import scored_files


def open_engine(opening: Any) -> Any:
    """The narrator, loaded."""
    from fabula_workloads.recipes.audio_description.narrator.engine import open_narrator

    return open_narrator(opening)


EVALUATION = EvaluationParts(
    formats={"dataset": held_out},
    sample=NarrationEvaluationSample,
    item="clip",
    open_engine=open_engine,
    scored_files=scored_files,
    own_questions={CRITIC.name: OwnQuestions(critic_judge.ask, critic_judge.read)},
    report=REPORT,
)
