"""What goes wrong at the stand-in, drawn from a seed and the request itself, so that a failure can be replayed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

ERRORS: dict[str, tuple[int, str, str]] = {
    "throttle": (429, "ThrottlingException", "Too many requests, please wait before trying again."),
    "server_error": (500, "InternalServerException", "The system encountered an unexpected error."),
    "unavailable": (503, "ServiceUnavailableException", "Bedrock is unable to process your request."),
    "model_timeout": (408, "ModelTimeoutException", "The request took too long to process."),
    "denied": (403, "AccessDeniedException", "You don't have access to the model with the specified model ID."),
    "invalid": (400, "ValidationException", "Malformed input request, please reformat your input and try again."),
    "unknown_model": (400, "ValidationException", "The provided model identifier is invalid."),
}
TRANSPORT = ("throttle", "server_error", "unavailable", "model_timeout", "cut")
"""Faults of the way to the model: another try may go through."""
REPLY = ("truncated", "fenced", "prose", "malformed", "refusal")
"""Faults in what a language model writes: they belong to the request's content, not to the try."""


@dataclass(frozen=True)
class Faults:
    """Shares from 0 to 1 of requests that meet each fault."""

    seed: int = 0
    throttle: float = 0
    server_error: float = 0
    unavailable: float = 0
    model_timeout: float = 0
    cut: float = 0
    """The work is done and billed, and the connection ends before the answer."""
    truncated: float = 0
    """`max_tokens` is reached in the middle of the JSON."""
    fenced: float = 0
    """The JSON comes as text in a code fence, without the tool."""
    prose: float = 0
    """As `fenced`, with sentences before and after."""
    malformed: float = 0
    """Text that is almost JSON."""
    refusal: float = 0
    filtered_prompt: float = 0
    filtered_image: float = 0
    inference_error: float = 0
    flat_image: float = 0
    burst_every_seconds: float = 0
    """A burst of 429 begins so often (0: never) ..."""
    burst_seconds: float = 0
    """... and lasts so long."""
    outage: tuple[float, float] | None = None
    """From and until which second of the clock every request gets 503."""
    slow_seconds: float = 0
    """Longest time for an answer; each takes a share of it."""
    denied: bool = False
    invalid: bool = False
    at_most_in_a_row: int = 3
    """So often may one request meet faults of the transport before it gets through."""

    def share(self, *what: object) -> float:
        """A number from 0 to 1 that depends on the seed and `what` only."""
        text = "/".join(str(part) for part in (self.seed, *what)).encode()
        return int.from_bytes(hashlib.sha256(text).digest()[:8], "big") / 2**64

    def transport(self, body: str, attempt: int, now: float) -> str | None:
        """The fault that the `attempt`-th try (from 0) of a body meets on its way; None when it arrives."""
        if self.denied:
            return "denied"
        if self.invalid:
            return "invalid"
        if self.outage and self.outage[0] <= now < self.outage[1]:
            return "unavailable"
        if self.burst_every_seconds and now % self.burst_every_seconds < self.burst_seconds:
            return "throttle"
        return None if attempt >= self.at_most_in_a_row else self._drawn(TRANSPORT, "transport", body, attempt)

    def reply(self, body: str) -> str | None:
        """The fault in what the model writes for a body."""
        return self._drawn(REPLY, "reply", body)

    def picture(self, body: str) -> str | None:
        """The fault in what is drawn for a body."""
        return self._drawn(("filtered_prompt", "filtered_image", "inference_error", "flat_image"), "picture", body)

    def seconds(self, body: str) -> float:
        """How long the answer to a body takes."""
        return self.slow_seconds * self.share("slow", body)

    def _drawn(self, names: tuple[str, ...], *what: object) -> str | None:
        share = self.share(*what)
        for name in names:
            share -= getattr(self, name)
            if share < 0:
                return name
        return None
