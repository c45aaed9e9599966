"""What a judge of feedback is asked, subtask by subtask: the published scales, in our words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fabula_api.recipes.visual_instruction.build import Task
from fabula_api.recipes.visual_instruction.measures import FEEDBACK
from fabula_api.rubrics import OVERALL, Criterion, Rubric

_TASKS: Mapping[Task, str] = {
    "wake-up": "Somebody in a video made a sign to begin a conversation, and the answer is what an assistant said to "
    "it. Points say how clearly the answer greets, or shows that it is ready to talk.",
    "termination": "Somebody in a video made a sign that a conversation is over, and the answer is what an assistant "
    "said to it. Points say how clearly the answer closes the conversation.",
    "interruption": "An assistant was speaking, somebody in the video made a sign to stop, and the answer is what the "
    "assistant said then. Points say how clearly the answer shows that it stops, or gives the word to the person.",
    "humor": "Something funny happened in a video, and the answer is what an assistant said to it. Points say how far "
    "it is about the same funny event as the reference.",
    "anomaly": "Something went wrong in a video, and the answer is what an assistant said to it. Up to 3 points say "
    "how far it tells the same as the reference, and up to 2 more how useful its warning or advice is; the whole is "
    "their sum.",
    "gesture": "Somebody in a video made a gesture in a conversation, and the answer is what an assistant said to it. "
    "Up to 3 points say whether it understood the gesture, and up to 2 more how well the answer fits the conversation; "
    "the whole is their sum.",
}
_IN_DISORDER = " Words in disorder, of which no sentence can be made, have no points."
"""So that a judge can be tried: its self-test shuffles the words of answers."""
_WITH_REFERENCE = frozenset({"humor", "anomaly", "gesture"})
_PARTS: Mapping[str, tuple[Criterion, ...]] = {
    "anomaly": (
        Criterion(name="description", about="0 to 3: it tells what happened, as the reference does."),
        Criterion(name="advice", about="0 to 2: what it warns of or advises is useful."),
        Criterion(name=OVERALL, about="the sum of description and advice."),
    ),
    "gesture": (
        Criterion(name="recognition", about="0 to 3: it understood the gesture."),
        Criterion(name="fitness", about="0 to 2: it fits the conversation."),
        Criterion(name=OVERALL, about="the sum of recognition and fitness."),
    ),
}


def rubric_for(task: Task, gesture: str | None = None, said: Sequence[str] = ()) -> Rubric:
    """The rubric of a subtask; of one without rules of its own, the general one."""
    about = _TASKS.get(task)
    if about is None:
        return FEEDBACK
    if task == "gesture":
        if gesture:
            about += f" The gesture is: {gesture}."
        if said:
            about += " The conversation before: " + " / ".join(said[:2])
    return FEEDBACK.replace(
        task=about + _IN_DISORDER, criteria=list(_PARTS.get(task, ())), reference=task in _WITH_REFERENCE
    )


__all__ = ["FEEDBACK", "rubric_for"]
