"""The loop of an engine that answers a batch at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fabula_workloads.inference.request import Answer, Answers, Failure, Interrupted, Request, Work

AnswerBatch = Callable[[Sequence[Request], Interrupted], Sequence[Answer | Failure]]
"""Answers in the order of their requests; where it was interrupted, whatever there is."""


def in_batches(work: Work, rows: int, answer: AnswerBatch, interrupted: Interrupted) -> Answers:
    """See `Engine.answers`: take `rows` requests at a time until there are none.

    A batch that is interrupted is dropped as a whole, for its answers may be cut.
    """
    while not interrupted() and (batch := work(rows)):
        answers = answer(batch, interrupted)
        if interrupted():
            return
        yield from zip(batch, answers, strict=True)
