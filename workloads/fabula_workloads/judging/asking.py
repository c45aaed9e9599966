"""Asking a judge: a question in both orders, in the provider's own format, each call paid for once and kept."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from fabula_api.artifact import digest_of
from fabula_api.judges import Judge
from fabula_api.pricing import Price
from fabula_api.rubrics import Rubric
from fabula_workloads.bedrock.calls import Answer, Call, Caller, usage_of
from fabula_workloads.bedrock.client import BedrockClient
from fabula_workloads.bedrock.errors import Rejected
from fabula_workloads.bedrock.openai_client import OpenAIClient
from fabula_workloads.bedrock.usage import Usage, UsageRecord
from fabula_workloads.judging.prompt import JUDGE_PROMPT_VERSION, Prompt, prompt
from fabula_workloads.judging.questions import Question
from fabula_workloads.judging.reply import read_reply
from fabula_workloads.pictures.opening import open_picture
from fabula_workloads.runtime.outcomes import Kept, Outcome

READINGS = 3
"""Times that a question is put before its replies count as unreadable."""
UNREADABLE = "Unreadable"
_PICTURE_SIDE = 1_024
_TOKENS_OF_A_PICTURE, _CHARACTERS_PER_TOKEN = 1_600, 3.0
_AROUND = 100


class KeptBallot(Kept):
    """One reply of a judge, in one order of the answers."""

    shown: tuple[str, ...]
    """Arms, in the order in which their answers were shown."""
    attempt: int
    marks: dict[str, float] | None
    """By criterion; None where no reply could be read."""
    reason: str = ""
    """The judge's own words."""
    failure: str | None = None
    """Why there are no marks."""


class VerdictOutcome(Outcome):
    """What became of one question to a judge."""

    ballots: tuple[KeptBallot, ...] = ()
    usage: UsageRecord = UsageRecord(calls=0)


class Provider(Protocol):
    """A provider's format of a request and of its reply."""

    @property
    def called(self) -> str:
        """Who is asked, as a person knows it."""

    def send(self, asked: Prompt, pictures: Sequence[bytes], call: str) -> tuple[dict[str, Any], str, int, int]:
        """(what is kept of the reply, request id, tokens sent, tokens received)."""

    def text(self, kept: Mapping[str, Any]) -> str:
        """What the reply says, of what was kept."""


class Bedrock:
    """Converse of Amazon Bedrock."""

    called = "Bedrock"

    def __init__(self, judge: Judge, client: BedrockClient) -> None:
        self._judge, self._client = judge, client

    def send(self, asked: Prompt, pictures: Sequence[bytes], call: str) -> tuple[dict[str, Any], str, int, int]:
        """See `Provider`."""
        shown = [{"image": {"format": "jpeg", "source": {"bytes": picture}}} for picture in pictures]
        limits: dict[str, Any] = {"maxTokens": self._judge.max_tokens}
        if self._judge.temperature is not None:
            limits["temperature"] = self._judge.temperature
        request = {
            "system": [{"text": asked.system}],
            "messages": [{"role": "user", "content": [{"text": asked.before}, *shown, {"text": asked.after}]}],
            "inferenceConfig": limits,
        }
        reply, identity = self._client.converse(self._judge.model, request, call)
        content = ((reply.get("output") or {}).get("message") or {}).get("content") or []
        texts = [block["text"] for block in content if isinstance(block, dict) and "text" in block]
        usage = reply.get("usage", {})
        kept = {"text": "\n".join(texts), "stopReason": reply.get("stopReason") or ""}
        return kept, identity, int(usage.get("inputTokens", 0)), int(usage.get("outputTokens", 0))

    def text(self, kept: Mapping[str, Any]) -> str:
        """See `Provider`."""
        return str(kept["text"])


class OpenAI:
    """Chat completions, of whoever serves them."""

    def __init__(self, judge: Judge, client: OpenAIClient) -> None:
        self._judge, self._client = judge, client
        self.called = client.host

    def send(self, asked: Prompt, pictures: Sequence[bytes], call: str) -> tuple[dict[str, Any], str, int, int]:
        """See `Provider`."""
        shown = [
            {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{base64.b64encode(picture).decode()}"}}
            for picture in pictures
        ]
        content = [{"type": "text", "text": asked.before}, *shown, {"type": "text", "text": asked.after}]
        request: dict[str, Any] = {
            "model": self._judge.model,
            "messages": [{"role": "system", "content": asked.system}, {"role": "user", "content": content}],
        }
        if self._judge.temperature is not None:
            request["temperature"] = self._judge.temperature
        reply, identity = self._client.complete(request)
        choice, usage = reply["choices"][0], reply.get("usage") or {}
        kept = {"text": choice["message"].get("content") or "", "stopReason": choice.get("finish_reason") or ""}
        return kept, identity, int(usage.get("prompt_tokens", 0)), int(usage.get("completion_tokens", 0))

    def text(self, kept: Mapping[str, Any]) -> str:
        """See `Provider`."""
        return str(kept["text"])


class Asker:
    """Puts questions to one judge. Safe for many threads."""

    def __init__(
        self, judge: Judge, rubric: Rubric, provider: Provider, caller: Caller, price: Price, folder: Path,
        content: Mapping[str, str],
    ) -> None:  # fmt: skip
        """`folder` holds the sample set, and `content` has the hash of each of its pictures by path."""
        self._judge, self._rubric, self._provider = judge, rubric, provider
        self._caller, self._price, self._folder, self._content = caller, price, folder, content
        self._jpeg: Callable[[str], bytes] = lru_cache(maxsize=64)(self._encoded)

    def ask(self, question: Question) -> VerdictOutcome:
        """The question's outcome for the ledger: a ballot for each order and try. Raises BudgetReached before a call
        that could pass the budget."""
        usage, ballots = Usage(), []
        orders = [False, True] if len(question.shown) == 2 else [False]
        for attempt in range(1 if question.probe else self._judge.tries):
            for turned in orders:
                ballots.append(self._ballot(question, attempt, turned, usage))
        outcome = VerdictOutcome(outcome="ok", ballots=tuple(ballots), usage=usage.record())
        unread = next((ballot.failure for ballot in ballots if ballot.failure is not None), None)
        return outcome if unread is None else outcome.replace(outcome="failed", reason=unread)

    def _ballot(self, question: Question, attempt: int, turned: bool, usage: Usage) -> KeptBallot:
        texts, shown = (question.texts[::-1], question.shown[::-1]) if turned else (question.texts, question.shown)
        ballot = KeptBallot(shown=tuple(shown), attempt=attempt, marks=None, reason="")
        rubric = question.rubric or self._rubric
        for reading in range(READINGS):
            asked = prompt(rubric, texts, len(question.pictures), question.reference, again=reading > 0)
            try:
                kept = self._pay(question, f"{int(turned)}{attempt}{reading}", asked, usage)
            except Rejected as rejected:
                usage.lose(rejected.lost, rejected.lost_usd)
                return ballot.replace(failure=rejected.reason)
            if (read := read_reply(self._provider.text(kept), rubric)) is not None:
                return ballot.replace(marks=read.marks, reason=read.reason)
        return ballot.replace(failure=UNREADABLE)

    def _pay(self, question: Question, place: str, asked: Prompt, usage: Usage) -> Mapping[str, Any]:
        pictures = [self._content[path] for path in question.pictures]
        settings = [JUDGE_PROMPT_VERSION, self._judge.max_tokens, self._judge.temperature]
        digest = digest_of([self._judge.model, asked.system, asked.before, pictures, asked.after, settings])
        call_id = f"{question.id}-{place}-{digest.removeprefix('sha256:')[:12]}"
        characters = len(asked.system) + len(asked.before) + len(asked.after)
        tokens_in = math.ceil(characters / _CHARACTERS_PER_TOKEN) + _TOKENS_OF_A_PICTURE * len(pictures) + _AROUND
        most = self._judge.max_tokens
        usd = self._price.tokens_usd(tokens_in, most)
        call = Call(call_id, self._judge.model, digest, tokens_in + most, usd)
        record = self._caller.make(call, lambda: self._send(question, asked, call_id))
        usage.add(usage_of(record))
        return record.reply

    def _send(self, question: Question, asked: Prompt, call: str) -> Answer:
        pictures = [self._jpeg(path) for path in question.pictures]
        kept, identity, tokens_in, tokens_out = self._provider.send(asked, pictures, call)
        return Answer(
            reply=kept,
            request_id=identity,
            tokens_in=tokens_in,
            tokens_out=tokens_out,
            quota_tokens=tokens_in + self._price.output_quota_weight * tokens_out,
            usd=self._price.tokens_usd(tokens_in, tokens_out),
        )

    def _encoded(self, path: str) -> bytes:
        picture = open_picture(self._folder / path)
        picture.thumbnail((_PICTURE_SIDE, _PICTURE_SIDE))
        data = io.BytesIO()
        picture.save(data, "JPEG", quality=90)
        return data.getvalue()
