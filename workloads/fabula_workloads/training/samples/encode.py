"""From a sample to what the model reads: token ids, labels on the answer alone, and pixels.

The answer is found by structure: the chat template renders the conversation with and without it, and what the first
has beyond the second is the answer. So the prompt's tokens are those of inference to the last one, and no token id that
happens to occur in a text can open or close a span.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from fabula_workloads.models.family import Encoded, family_of_processor
from fabula_workloads.pictures.opening import UnfitPicture, open_picture, picture_size
from fabula_workloads.recipe_parts import Conversation, Sample, messages
from fabula_workloads.runtime.failures import ConfigInvalid, InputInvalid


@dataclass(frozen=True, slots=True)
class Rendered:
    """A sample as text: what the model is given, and what it should answer, end marker included."""

    prompt: str
    answer: str


class Encoder:
    """Encodes samples of one dataset folder with one processor, in the recipe's conversation."""

    def __init__(self, processor: Any, folder: Path, conversation: Conversation = messages) -> None:
        self._messages = conversation
        self._processor = processor
        self._family = family_of_processor(processor)
        self._folder = folder
        tokenizer = processor.tokenizer
        added = getattr(tokenizer, "added_tokens_decoder", {}).values()
        self._reserved = {*tokenizer.all_special_tokens, *(token.content for token in added if token.special)}

    @property
    def pad_token_id(self) -> int:
        """Token that fills short sequences of a batch."""
        token = self._processor.tokenizer.pad_token_id
        if token is None:
            raise ConfigInvalid("the model's tokenizer has no padding token")
        return int(token)

    def render(self, sample: Sample) -> Rendered:
        """Prompt and answer as the model's own chat template writes them.

        Raises InputInvalid for a text with a control token in it, ConfigInvalid for a template that rewrites answers.
        """
        for field, text in (("prompt", sample.prompt), ("response", sample.response)):
            if control := next((token for token in self._reserved if token in text), None):
                raise InputInvalid(f"sample {sample.id}: its {field} contains the model's control token {control!r}")
        template = self._processor.apply_chat_template
        number = len(sample.images)
        prompt = template(self._messages(number, sample.prompt), tokenize=False, add_generation_prompt=True)
        whole = template(
            self._messages(number, sample.prompt, sample.response), tokenize=False, add_generation_prompt=False
        )
        answer = whole[len(prompt) :]
        # Some templates strip what they are given.
        kept = next((text for text in (sample.response, sample.response.strip()) if answer.startswith(text)), None)
        if not whole.startswith(prompt) or kept is None or not answer.removeprefix(kept).strip():
            raise ConfigInvalid(
                "the model's chat template does not continue its generation prompt with the answer and an end marker, "
                "so the answer cannot be told from the prompt; use a model whose template does"
            )
        # The line break behind the end marker is never generated: decoding stops at the marker.
        return Rendered(prompt, answer.rstrip("\n"))

    def length(self, sample: Sample) -> int:
        """Tokens of the encoded sample, without decoding pictures. Raises InputInvalid for what is no picture."""
        rendered = self.render(sample)
        length = len(self._tokens(rendered.prompt)) + len(self._tokens(rendered.answer))
        for path in sample.images:
            with _named(sample, path):
                width, height = picture_size(self._folder / path)
            length += self._family.picture_tokens(self._processor, width, height)
        return length

    def check(self, sample: Sample) -> None:
        """Decode every picture. Raises InputInvalid for one that is damaged."""
        self._pictures(sample)

    def encode(self, sample: Sample, epoch: int | None = None) -> Encoded:
        """Tensors of one sample, labels on the answer alone."""
        rendered = self.render(sample)
        answer = self._tokens(rendered.answer)
        return self._family.encode(self._processor, rendered.prompt, answer, self._pictures(sample))

    def _tokens(self, text: str) -> list[int]:
        ids: list[int] = self._processor.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def _pictures(self, sample: Sample) -> list[Image.Image]:
        pictures = []
        for path in sample.images:
            with _named(sample, path):
                pictures.append(open_picture(self._folder / path))
        return pictures


@contextmanager
def _named(sample: Sample, path: str) -> Iterator[None]:
    """An unfit picture as InputInvalid, with sample and path."""
    try:
        yield
    except UnfitPicture as error:
        what = "is not in the dataset" if error.reason == "Missing" else error.what
        raise InputInvalid(f"sample {sample.id}: {path} {what}") from None
