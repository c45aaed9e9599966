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
SETUP: dict[str, tuple[int, str, str]] = {
    "no_access": (400, "ValidationException", "Operation not allowed"),
    "max_tokens": (400, "ValidationException", "The maximum tokens you requested exceeds the model limit of 4096. Try "
                   "again with a maximum tokens value that is lower than 4096."),
    "no_tools": (400, "ValidationException", "This model doesn't support tool use."),
    "on_demand": (400, "ValidationException", "Invocation of model ID x with on-demand throughput isn\u2019t "
                  "supported. Retry your request with the ID or ARN of an inference profile that contains this model."),
    "use_case": (404, "ResourceNotFoundException", "Model use case details have not been submitted for this account. "
                 "Fill out the Anthropic use case details form before using the model."),
    "end_of_life": (404, "ResourceNotFoundException", "This model version has reached the end of its life."),
    "no_model": (404, "ResourceNotFoundException", "Could not resolve the foundation model from the identifier."),
    "marketplace": (403, "AccessDeniedException", "Model access is denied due to INVALID_PAYMENT_INSTRUMENT: A valid "
                    "payment instrument must be provided. Your AWS Marketplace subscription cannot be completed."),
    "policy": (403, "AccessDeniedException", "User is not authorized to perform: bedrock:InvokeModel with an explicit "
               "deny in a service control policy"),
    "api_key": (403, "AccessDeniedException", "Authentication failed: Please make sure your API Key is valid."),
    "late": (403, "InvalidSignatureException", "Signature expired: 20261129T100000Z is now earlier than 2026"),
    "wrong_secret": (403, "InvalidSignatureException", "The request signature we calculated does not match."),
    "unknown_key": (403, "UnrecognizedClientException", "The security token included in the request is invalid."),
    "old_session": (403, "ExpiredTokenException", "The security token included in the request is expired"),
    "odd": (400, "ValidationException", "temperature and top_p cannot both be specified for this model."),
}  # fmt: skip
"""What every call gets where an account, a model or a credential is not as it must be, in the provider's own words."""
ERRORS |= SETUP
PAGE = b"<!doctype html><html><title>Sign in</title></html>"
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
    always: str | None = None
    """The fault of SETUP that every call meets."""
    page: bool = False
    """Every call is answered by a proxy's page with status 200."""
    as_string: bool = False
    """The tool's `excerpts` is JSON in a string."""
    empty: bool = False
    """The reply has no content block."""
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
        if self.always:
            return self.always
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
