"""Generation with transformers: one loaded model, left-padded batches, the conversation that training uses."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from copy import copy
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import StoppingCriteriaList, TextStreamer

from fabula_api.arms import Generation
from fabula_api.shared_spec import PixelWindow
from fabula_workloads.inference.batches import in_batches
from fabula_workloads.inference.memory import rows_that_fit
from fabula_workloads.inference.opened import opened
from fabula_workloads.inference.request import Answer, Answers, Failure, Interrupted, Request, Work
from fabula_workloads.inference.sampling import StopWhen, processors
from fabula_workloads.models.loading import Device, Precision, load_base, load_with_adapter
from fabula_workloads.models.processor import load_processor
from fabula_workloads.models.quantization import Quantization
from fabula_workloads.recipe_parts import Conversation, messages

_log = logging.getLogger(__name__)
Opened = tuple[Request, list[Image.Image]]


class TransformersEngine:
    """Loads base model, adapter and processor once. Raises OSError or ValueError where a folder holds no model."""

    def __init__(
        self,
        model: Path,
        adapter: Path | None,
        *,
        device: Device,
        pixels: PixelWindow,
        generation: Generation,
        quantization: Quantization = "none",
        fp32_update: bool = False,
        conversation: Conversation = messages,
    ) -> None:
        self._messages = conversation
        precision: Precision = "bf16" if device == "cuda" else "fp32"
        self._processor = load_processor(model, pixels)
        # A decoder goes on from the last position, so that is where the prompt has to end.
        self._processor.tokenizer.padding_side = "left"
        self._model: Any = (
            load_with_adapter(
                model, adapter, device=device, precision=precision, quantization=quantization, fp32_update=fp32_update
            )
            if adapter
            else load_base(model, device=device, precision=precision, quantization=quantization)
        )
        self._generation = generation
        self._rows = generation.batch_size or rows_that_fit(self._model, pixels, generation.max_new_tokens)
        config = self._model.generation_config
        self._top_k = int(config.top_k or 0)
        ends = config.eos_token_id if config.eos_token_id is not None else self._processor.tokenizer.eos_token_id
        self._ends = set(ends if isinstance(ends, list) else [ends])
        pad = config.pad_token_id
        self._pad = self._processor.tokenizer.pad_token_id if pad is None else pad
        # Sampling is done by our processors over greedy decoding; left-over settings would only make it warn.
        config.temperature = config.top_p = config.top_k = None
        config.do_sample = False

    def answers(self, work: Work, interrupted: Interrupted) -> Answers:
        """See `Engine`. Rows of a batch end together, so neighbours should be alike in length."""
        return in_batches(work, self._rows, self.answer, interrupted)

    def answer(self, requests: Sequence[Request], interrupted: Interrupted) -> list[Answer | Failure]:
        """Answer a batch of requests. One whose pictures cannot be used is a Failure, and costs the others nothing."""
        pictures = [opened(request) for request in requests]
        fit = [(request, seen) for request, seen in zip(requests, pictures, strict=True) if isinstance(seen, list)]
        answers = iter(self._in_memory(fit, interrupted))
        return [seen if isinstance(seen, Failure) else next(answers) for seen in pictures]

    def in_tokens(self, most: int) -> TransformersEngine:
        """The same loaded model for answers of at most so many tokens."""
        other = copy(self)
        other._generation = self._generation.replace(max_new_tokens=most)
        return other

    def tell(self, request: Request, say: Callable[[str], None]) -> Answer | Failure:
        """See `Speaker`: the answer that `answer` gives to it alone. Raises OutOfMemoryError."""
        pictures = opened(request)
        if isinstance(pictures, Failure):
            return pictures
        return self._answer([(request, pictures)], lambda: False, _Said(self._processor.tokenizer, say))[0]

    def _in_memory(self, fit: Sequence[Opened], interrupted: Interrupted) -> list[Answer | Failure]:
        """Answer in as many batches as the memory asks for: what does not fit is halved, and so are later batches."""
        try:
            return self._answer(fit, interrupted) if fit else []
        except torch.cuda.OutOfMemoryError:
            if len(fit) == 1:
                raise
        torch.cuda.empty_cache()
        self._rows = half = (len(fit) + 1) // 2
        _log.warning("%d answers at once do not fit into the GPU's memory; %d are made at once later", len(fit), half)
        return [*self._in_memory(fit[:half], interrupted), *self._in_memory(fit[half:], interrupted)]

    def _answer(
        self, fit: Sequence[Opened], interrupted: Interrupted, streamer: _Said | None = None
    ) -> list[Answer | Failure]:
        began = time.monotonic()
        inputs = self._inputs(fit)
        sampling, check = processors(
            [request.sampling_seed for request, _ in fit],
            temperature=self._generation.temperature,
            top_p=self._generation.top_p,
            top_k=self._top_k,
        )
        with torch.inference_mode():
            output = self._model.generate(
                **inputs,
                max_new_tokens=self._generation.max_new_tokens,
                logits_processor=sampling,
                stopping_criteria=StoppingCriteriaList([StopWhen(interrupted)]),
                eos_token_id=sorted(self._ends),
                pad_token_id=self._pad,
                do_sample=False,
                streamer=streamer,
            )
        seconds = (time.monotonic() - began) / len(fit)
        rows = output[:, inputs["input_ids"].shape[1] :].tolist()
        return [
            Failure("NonFiniteLogits") if broken else self._decode(row, seconds)
            for row, broken in zip(rows, check.broken, strict=True)
        ]

    def _inputs(self, fit: Sequence[Opened]) -> Any:
        texts = [
            self._processor.apply_chat_template(
                self._messages(len(pictures), request.prompt), tokenize=False, add_generation_prompt=True
            )
            for request, pictures in fit
        ]
        pictures = [pictures for _, pictures in fit]
        inputs = self._processor(text=texts, images=pictures, padding=True, return_tensors="pt")
        # Pictures in the model's own type: half as much goes to the GPU, and the vision tower rounds them so anyway.
        return inputs.to(self._model.device, self._model.dtype)

    def _decode(self, ids: list[int], seconds: float) -> Answer:
        end = next((index for index, token in enumerate(ids) if token in self._ends), None)
        kept = ids if end is None else ids[:end]
        text = self._processor.tokenizer.decode(kept, skip_special_tokens=True).strip()
        return Answer(text, len(kept), seconds, "length" if end is None else "stop")


class _Said(TextStreamer):  # type: ignore[misc]
    """Hands an answer's words on as they are whole."""

    def __init__(self, tokenizer: Any, say: Callable[[str], None]) -> None:
        super().__init__(tokenizer, skip_prompt=True, skip_special_tokens=True)
        self._say = say

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        if text:
            self._say(text)
