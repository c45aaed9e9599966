"""An `Extractor` that asks a language model on Bedrock, and believes nothing that it says about its own work.

Each episode is read chunk by chunk; each chunk is asked about until it has no more, with one further try for a reply
that cannot be read. Every excerpt is checked against the transcript.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

from fabula_api.artifact import digest_of
from fabula_api.pricing import Price
from fabula_api.recipes.podcast.build import PodcastBuildSpec
from fabula_workloads.bedrock.budget import BudgetReached
from fabula_workloads.bedrock.calls import Answer, Call, Caller, usage_of
from fabula_workloads.bedrock.client import BedrockClient
from fabula_workloads.bedrock.errors import Rejected
from fabula_workloads.bedrock.usage import Usage
from fabula_workloads.recipes.podcast.dialogue import Turn, written
from fabula_workloads.recipes.podcast.extraction.alignment import Transcript
from fabula_workloads.recipes.podcast.extraction.checks import ExcerptChecks
from fabula_workloads.recipes.podcast.extraction.chunks import chunks
from fabula_workloads.recipes.podcast.extraction.excerpt_prompt import (
    EXCERPT_PROMPT_VERSION,
    ONCE_MORE,
    converse_request,
    excerpt_prompt_digest,
    user_text,
)
from fabula_workloads.recipes.podcast.extraction.excerpt_reply import Reply, kept_reply, read_reply
from fabula_workloads.recipes.podcast.extraction.excerpts import Asked, Episode, Excerpt, Extraction
from fabula_workloads.recipes.podcast.extraction.request_size import estimated_tokens, most_in_a_reply
from fabula_workloads.text.words import first_words

_MOST_ROUNDS = 8
_OPENING_WORDS = 12
_FAILED = {"truncated": "TruncatedReply", "malformed": "MalformedReply"}


def episode_of_call(call_id: str) -> str:
    """Id of the episode that a call was made for."""
    return call_id.partition("-")[0]


@dataclass
class _Work:
    """What one episode has yielded so far."""

    checks: ExcerptChecks
    excerpts: list[Excerpt] = field(default_factory=list)
    rejected: Counter[str] = field(default_factory=Counter)
    replies: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    negative: list[str] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    asked: set[str] = field(default_factory=set)
    """Ids of the calls that `usage` has."""
    grams: int = 0
    grams_found: int = 0


class BedrockExtractor:
    """Safe for many threads: each episode is worked on by one of them."""

    def __init__(
        self,
        spec: PodcastBuildSpec,
        client: BedrockClient,
        caller: Caller,
        price: Price,
        again: Set[str] = frozenset(),
    ) -> None:
        """`again`: episodes that failed before; what could not be read of their replies is asked for anew."""
        self._asked = spec.podcast.extraction
        self._num_scenes = spec.podcast.images.per_sample
        self._client = client
        self._caller = caller
        self._price = price
        self._again, self._round = again, spec.retry_failed
        self._paid: defaultdict[str, list[str]] = defaultdict(list)
        """Calls of earlier starts by episode."""
        for call in caller.known:
            self._paid[episode_of_call(call)].append(call)

    def extract(self, episode: Episode) -> Extraction:
        """All excerpts of the episode. Raises BudgetReached when not even one was found before the budget ended."""
        if len({turn.speaker for turn in episode.turns}) < 2:
            return Extraction(reason="SingleSpeaker")
        words = self._asked.words
        checks = ExcerptChecks(
            Transcript(episode.turns), (words.min, words.max), self._num_scenes, self._asked.min_verbatim_ratio
        )
        work = _Work(checks)
        try:
            self._read_all(episode, work)
        except BudgetReached:
            if not work.excerpts:
                raise
            return self._extraction(episode, work, partial=True)
        return self._extraction(episode, work)

    def _read_all(self, episode: Episode, work: _Work) -> None:
        parts = chunks(episode.turns)
        for number, part in enumerate(parts):
            # Spread over the chunks, so that a long show is not represented by its beginning alone.
            share = math.ceil((self._asked.max_excerpts - len(work.excerpts)) / (len(parts) - number))
            if share > 0:
                self._read(f"{episode.id}-{number}", part, share, work)

    def _read(self, place: str, turns: Sequence[Turn], share: int, work: _Work) -> None:
        """Ask about one chunk until it has no more, or has given its share."""
        openings: list[str] = []
        had, note, most = len(work.excerpts), "", most_in_a_reply(self._asked, self._num_scenes)
        labels = {turn.speaker for turn in turns}
        for number in range(_MOST_ROUNDS):
            left = share - (len(work.excerpts) - had)
            text = user_text(
                written(turns), words=(self._asked.words.min, self._asked.words.max), most=min(most, left),
                num_scenes=self._num_scenes, known=openings, note=note,
            )  # fmt: skip
            try:
                reply = self._ask(f"{place}-{number}", text, work)
            except Rejected as rejected:
                work.failures.append(rejected.reason)
                work.usage.lose(rejected.lost, rejected.lost_usd)
                return
            work.replies[reply.kind] += 1
            if _unreadable(reply):
                if note:
                    work.failures.append(_FAILED[reply.kind])
                    return
                note, most = ONCE_MORE[reply.kind], max(1, most // 2)
                continue
            if reply.kind in ("refused", "negative"):
                work.negative.append("Refused" if reply.kind == "refused" else reply.reason)
                return
            fresh = self._keep(reply, labels, left, openings, work)
            if not reply.more or not fresh or len(work.excerpts) - had >= share:
                return

    def _keep(self, reply: Reply, labels: set[str], left: int, openings: list[str], work: _Work) -> bool:
        """Check what was found and keep what is good, at most `left`; whether anything in it was new."""
        fresh = False
        for quoted in reply.excerpts:
            opening = " ".join(first_words(quoted.text, _OPENING_WORDS).split())
            fresh = fresh or opening not in openings
            openings.append(opening)
            checked = work.checks.check(quoted.text, quoted.scenes, labels)
            if checked.excerpt is None:
                work.rejected[checked.reason] += 1
            elif left == 0:
                work.rejected["OverLimit"] += 1
            else:
                left -= 1
                work.excerpts.append(checked.excerpt)
                work.grams += checked.alignment.grams
                work.grams_found += checked.alignment.matched
        return fresh

    def _ask(self, place: str, text: str, work: _Work) -> Reply:
        model, max_tokens = self._asked.model, self._asked.max_tokens
        request = converse_request(text, num_scenes=self._num_scenes, max_tokens=max_tokens)
        digest = digest_of([model, request])
        call_id = self._call_id(f"{place}-{digest.removeprefix('sha256:')[:12]}")
        tokens_in = estimated_tokens(request)
        call = Call(
            id=call_id,
            model=model,
            request=digest,
            tokens=tokens_in + max_tokens,
            usd=self._price.tokens_usd(tokens_in, max_tokens),
        )
        record = self._caller.make(call, lambda: self._send(model, request, call_id))
        work.usage.add(usage_of(record))
        work.asked.add(call_id)
        return read_reply(record.reply)

    def _call_id(self, first: str) -> str:
        """The id to ask under: `first`, or of a later round `<first>-r<round>`. What was readable is not paid again."""
        episode = episode_of_call(first)
        paid = [call for call in self._paid[episode] if call == first or call.startswith(f"{first}-r")]
        paid.sort(key=lambda call: int(call.removeprefix(first).removeprefix("-r") or 0), reverse=True)
        for call in paid if len(paid) > 1 or episode in self._again else ():
            if (record := self._caller.ledger.get(call)) is not None and not _unreadable(read_reply(record.reply)):
                return call
        if episode in self._again:
            return f"{first}-r{self._round}"
        return paid[0] if paid else first

    def _send(self, model: str, request: Mapping[str, Any], call_id: str) -> Answer:
        reply, request_id = self._client.converse(model, request, call_id)
        usage = reply.get("usage", {})
        tokens_in, tokens_out = int(usage.get("inputTokens", 0)), int(usage.get("outputTokens", 0))
        return Answer(
            reply=kept_reply(reply),
            request_id=request_id,
            tokens_in=tokens_in,
            tokens_out=tokens_out,
            quota_tokens=tokens_in + self._price.output_quota_weight * tokens_out,
            usd=self._price.tokens_usd(tokens_in, tokens_out),
        )

    def _extraction(self, episode: Episode, work: _Work, partial: bool = False) -> Extraction:
        for call in self._paid[episode.id]:  # what earlier rounds asked, and this one did not need
            if call not in work.asked and (record := self._caller.ledger.get(call)) is not None:
                work.usage.add(usage_of(record))
        asked = Asked(
            self._asked.model, EXCERPT_PROMPT_VERSION, excerpt_prompt_digest(), work.usage.record(), work.replies,
            work.grams, work.grams_found,
        )  # fmt: skip
        reason = None
        if not work.excerpts:
            negative = "NoValidExcerpt" if work.rejected else work.negative[0] if work.negative else "NotVisual"
            reason = work.failures[0] if work.failures else negative
        failed = not work.excerpts and bool(work.failures)
        return Extraction(work.excerpts, work.rejected, reason, failed=failed, partial=partial, asked=asked)


def _unreadable(reply: Reply) -> bool:
    return reply.kind in _FAILED and not reply.excerpts
