"""Answers from a server that speaks OpenAI's chat completions: vLLM's own, or a provider's.

The library retries what may pass (429, 5xx, lost connections) and honours `Retry-After`. What still fails is that
answer's Failure while others succeed, and an outage of the server when none does.
"""

from __future__ import annotations

import base64
import io
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import openai
from PIL import Image

from fabula_api.arms import Generation
from fabula_api.shared_spec import PixelWindow
from fabula_workloads.inference.opened import opened
from fabula_workloads.inference.request import Answer, Answers, Failure, Interrupted, Request, Work
from fabula_workloads.recipe_parts import Conversation, messages
from fabula_workloads.runtime.failures import ConfigInvalid, CredentialsRefused, TryAgain
from fabula_workloads.runtime.http_settings import is_address, trim_surroundings, wrong_setting
from fabula_workloads.runtime.in_flight import in_flight
from fabula_workloads.runtime.trimmed_setting import trimmed_setting

TRIES = 8
"""Repeats of a request that failed for a reason that may pass, with growing pauses: about a minute in all."""
_TIMEOUT_SECONDS = 900.0
_log = logging.getLogger(__name__)


def _client(url: str, key: str | None, tries: int) -> openai.OpenAI:
    """Raises ConfigInvalid for what no request gets through with."""
    if not is_address(url):
        raise ConfigInvalid("endpointUrl is no address of a server; write it as https://host/v1")
    trim_surroundings()
    for name in ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        trimmed_setting(name)
    try:
        return openai.OpenAI(base_url=url, api_key=key or "none", max_retries=tries, timeout=_TIMEOUT_SECONDS)
    except Exception as error:  # of the library of HTTP, of files, of proxies: all kinds
        if (wrong := wrong_setting(error, url, "endpointUrl")) is None:
            raise
        raise wrong from error


class OpenAiEngine:
    """Asks `model` at `url`. `key` None sends none."""

    def __init__(
        self,
        url: str,
        model: str,
        key: str | None,
        *,
        pixels: PixelWindow,
        generation: Generation,
        concurrency: int = 1,
        conversation: Conversation = messages,
        tries: int = TRIES,
    ) -> None:
        self._url, self._model, self._pixels, self._generation = url, model, pixels, generation
        self._concurrency, self._messages = concurrency, conversation
        self._client = _client(url, key, tries)
        self._headers = {} if key else {"Authorization": openai.Omit()}
        self._successes = 0
        self._lock = threading.Lock()

    def answers(self, work: Work, interrupted: Interrupted) -> Answers:
        """See `Engine`. Raises CredentialsRefused, ConfigInvalid, or TryAgain while the server does not answer."""

        def requests() -> Iterator[Request]:
            while not interrupted() and (taken := work(1)):
                yield from taken

        yield from in_flight(requests(), self.answer, self._concurrency, threading.Event())

    def tell(self, request: Request, say: Callable[[str], None]) -> Answer | Failure:
        """See `Speaker`. Raises as `answers` does."""
        return self.answer(request, say)

    def answer(self, request: Request, say: Callable[[str], None] | None = None) -> Answer | Failure:
        """One answer; `say` is given its text in pieces as they come."""
        pictures = opened(request)
        if isinstance(pictures, Failure):
            return pictures
        began, before = time.monotonic(), self._successes
        try:
            text, tokens, finish = self._ask(request, pictures, say)
        except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
            raise CredentialsRefused(f"{self._url} refuses the key ({error.status_code}); see keyVariable") from error
        except openai.NotFoundError as error:
            raise ConfigInvalid(
                f"{self._url} knows no model {self._model!r}, or is no such server (404); endpointUrl is what comes "
                "before /chat/completions, such as https://host/v1"
            ) from error
        except (openai.RateLimitError, openai.InternalServerError, openai.APIConnectionError) as error:
            return self._unanswered(request, error, before)
        except openai.APIStatusError as error:
            # What it says of the request may quote it, so only the code is told.
            _log.warning("%s is refused by the server (%d)", request.key, error.status_code)
            return Failure("RequestRefused")
        except openai.APIError as error:
            return self._unanswered(request, error, before)
        with self._lock:
            self._successes += 1
        if finish == "content_filter":
            return Failure("Refused")
        return Answer(text.strip(), tokens, time.monotonic() - began, "length" if finish == "length" else "stop")

    def _unanswered(self, request: Request, error: openai.APIError, before: int) -> Failure:
        if wrong := wrong_setting(error, self._url, "endpointUrl"):
            raise wrong from error
        what = f"{type(error).__name__} {getattr(error, 'status_code', '')}".strip()
        if self._successes == before:
            raise TryAgain(f"{self._url} does not answer: {what}, {TRIES + 1} times", "EndpointUnavailable") from error
        _log.warning("%s has no answer after %d tries, while others have: %s", request.key, TRIES + 1, what)
        return Failure("ServerError")

    def _ask(
        self, request: Request, pictures: list[Image.Image], say: Callable[[str], None] | None
    ) -> tuple[str, int, str | None]:
        asked: dict[str, Any] = {
            "model": self._model,
            "messages": self._conversation(request.prompt, pictures),
            "temperature": self._generation.temperature,
            "top_p": 1.0 if self._generation.temperature == 0 else self._generation.top_p,
            "max_completion_tokens": self._generation.max_new_tokens,
            "seed": request.sampling_seed >> 32,
            "extra_headers": self._headers,
        }
        if say is None:
            reply = self._client.chat.completions.create(**asked)
            if not reply.choices:
                return "", 0, "content_filter"
            choice = reply.choices[0]
            tokens = reply.usage.completion_tokens if reply.usage else 0
            return choice.message.content or "", tokens, choice.finish_reason
        pieces: list[str] = []
        finish: str | None = None
        for event in self._client.chat.completions.create(**asked, stream=True):
            for part in event.choices:
                finish = part.finish_reason or finish
                if part.delta.content:
                    pieces.append(part.delta.content)
                    say(part.delta.content)
        return "".join(pieces), len(pieces), finish

    def _conversation(self, prompt: str, pictures: list[Image.Image]) -> list[dict[str, Any]]:
        """The recipe's conversation with the pictures in their places."""
        left = iter(pictures)
        chat = self._messages(len(pictures), prompt)
        for message in chat:
            if isinstance(message["content"], list):
                message["content"] = [
                    self._picture(next(left)) if part["type"] == "image" else part for part in message["content"]
                ]
        return chat

    def _picture(self, picture: Image.Image) -> dict[str, Any]:
        """A picture as a server takes it: no larger than the window, without loss."""
        width, height = picture.size
        if (over := width * height / self._pixels.max_pixels) > 1:
            picture = picture.resize(
                (max(1, round(width / over**0.5)), max(1, round(height / over**0.5))), Image.Resampling.BICUBIC
            )
        data = io.BytesIO()
        picture.save(data, "PNG")
        return {
            "type": "image_url",
            "image_url": {"url": "data:image/png;base64," + base64.b64encode(data.getvalue()).decode()},
        }
