"""Stable Diffusion 3.5 on Bedrock. A filtered scene is an outcome with its reason, after at most one rewrite.

A picture is stored before the record of its call, and that before the scene's outcome: whatever dies in between, what
is paid for is found again.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fabula_api.artifact import digest_of
from fabula_api.pricing import Price
from fabula_workloads.bedrock.calls import Answer, Call, Caller, usage_of
from fabula_workloads.bedrock.client import BedrockClient
from fabula_workloads.bedrock.errors import Rejected
from fabula_workloads.bedrock.usage import Usage
from fabula_workloads.painting.png import without_metadata
from fabula_workloads.painting.scene import PaidFacts, Picture, Refusal, Scene, picture_path
from fabula_workloads.painting.soften import soften
from fabula_workloads.painting.style import prompt_digest
from fabula_workloads.runtime.store import Store

NEGATIVE = "cartoon, illustration, painting, drawing, 3d render, text, caption, watermark, logo, frame, collage"
_SEEDS = 2**32 - 1
"""The provider takes seeds from 0 to 2^32 - 2."""
_REASONS = {
    "Filter reason: prompt": "PromptFiltered",
    "Filter reason: output image": "PictureFiltered",
    "Filter reason: input image": "InputFiltered",
    "Inference error": "InferenceError",
}


def scene_of_call(call_id: str) -> str:
    """Key of the scene that a call was made for."""
    return "-".join(call_id.split("-")[:3])


@dataclass(frozen=True, slots=True)
class _Try:
    """One request for a scene."""

    number: int
    prompt: str
    seed: int


class BedrockPainter:
    """A `Painter`. Safe for many threads, each with scenes of its own."""

    def __init__(
        self,
        model: str,
        aspect_ratio: str,
        client: BedrockClient,
        caller: Caller,
        store: Store,
        price: Price,
        stored: frozenset[str] = frozenset(),
    ) -> None:
        """`stored`: paths of the pictures that earlier starts left in `store`."""
        self.model = model
        self._aspect_ratio = aspect_ratio
        self._client = client
        self._caller = caller
        self._store = store
        self._price = price
        self._stored = stored
        self._paid: defaultdict[str, list[str]] = defaultdict(list)
        """Calls of earlier starts by scene."""
        for call in caller.known:
            self._paid[scene_of_call(call)].append(call)

    def draw(self, scenes: Sequence[Scene]) -> list[Picture | Refusal]:
        """Draw the scenes one by one. Raises BudgetReached before a picture that could pass the budget."""
        return [self._draw(scene) for scene in scenes]

    def _draw(self, scene: Scene) -> Picture | Refusal:
        usage = self._paid_before(scene)
        first = _Try(0, scene.prompt, scene.seed % _SEEDS)
        try:
            drawn = self._ask(scene, first, usage)
            if isinstance(drawn, Picture) or drawn.reason == "InputFiltered":
                return drawn
            milder = soften(scene.prompt)
            if drawn.reason == "PromptFiltered" and milder == scene.prompt:
                return drawn
            return self._ask(scene, _Try(1, milder, (first.seed + 1) % _SEEDS), usage)
        except Rejected as rejected:
            usage.lose(rejected.lost, rejected.lost_usd)
            return Refusal(rejected.reason, PaidFacts(usage=usage.record()))

    def _ask(self, scene: Scene, attempt: _Try, usage: Usage) -> Picture | Refusal:
        body = {
            "prompt": attempt.prompt, "negative_prompt": NEGATIVE, "mode": "text-to-image",
            "aspect_ratio": self._aspect_ratio, "output_format": "png", "seed": attempt.seed,
        }  # fmt: skip
        digest = digest_of([self.model, body])
        call_id = f"{scene.key}-{attempt.number}-{digest.removeprefix('sha256:')[:12]}"
        path = picture_path(scene)
        call = Call(call_id, self.model, digest, tokens=0, usd=self._price.per_image, round=scene.retry)
        unrecorded = path in self._stored and call_id not in self._caller.known
        # A picture without a record was stored in the moment before the worker died: its call is on the bill.
        if unrecorded:
            record = self._caller.adopt(call, self._stored_answer(path))
        else:
            record = self._caller.make(call, lambda: self._send(call_id, body, path))
        usage.add(usage_of(record))
        reply = record.reply
        told = PaidFacts(
            seed=attempt.seed,
            prompt_digest=prompt_digest(attempt.prompt),
            rewritten=attempt.number > 0,
            finish=reply["finish"],
            request_id=record.request_id,
            usage=usage.record(),
        )
        if reply["finish"] is not None or reply["sha256"] is None:
            return Refusal(_REASONS.get(str(reply["finish"]), "NoPicture"), told)
        png = self._store.read(path)
        if hashlib.sha256(png).hexdigest() != reply["sha256"]:
            return Refusal("PictureLost", told)
        return Picture(png, stored=True, paid=told)

    def _paid_before(self, scene: Scene) -> Usage:
        """What rounds before this one cost."""
        usage = Usage()
        for call in self._paid[scene.key] if scene.retry else ():
            if (record := self._caller.ledger.get(call)) is not None and record.round < scene.retry:
                usage.add(usage_of(record))
        return usage

    def _send(self, call_id: str, body: dict[str, Any], path: str) -> Answer:
        reply, request_id = self._client.invoke(self.model, body, call_id)
        reasons, images = reply.get("finish_reasons") or [None], reply.get("images") or []
        try:
            png = base64.b64decode(images[0], validate=True) if images else None
        except (binascii.Error, TypeError):
            png = b""
        if png is None:
            return Answer({"finish": reasons[0] or "no picture", "sha256": None}, request_id)
        whole = without_metadata(png)
        kept = {"finish": reasons[0], "sha256": hashlib.sha256(whole).hexdigest()}
        return Answer(kept, request_id, usd=self._price.per_image, attach=lambda: self._store.write(path, whole))

    def _stored_answer(self, path: str) -> Answer:
        kept = {"finish": None, "sha256": hashlib.sha256(self._store.read(path)).hexdigest()}
        return Answer(kept, "unknown", usd=self._price.per_image)
