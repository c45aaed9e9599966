"""Generation with transformers: one loaded model, left-padded batches, the conversation that training uses."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import StoppingCriteriaList

from fabula_api.arms import Generation
from fabula_api.shared_spec import PixelWindow
from fabula_workloads.inference.request import Answer, Failure, Request
from fabula_workloads.inference.sampling import Interrupted, processors
from fabula_workloads.models.loading import Device, Precision, load_base, load_with_adapter
from fabula_workloads.models.processor import load_processor
from fabula_workloads.models.quantization import Quantization
from fabula_workloads.pictures.opening import UnfitPicture, open_picture
from fabula_workloads.recipe_parts import Conversation, messages

_log = logging.getLogger(__name__)


class TransformersAnswerer:
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
        conversation: Conversation = messages,
    ) -> None:
        self._messages = conversation
        precision: Precision = "bf16" if device == "cuda" else "fp32"
        self._processor = load_processor(model, pixels)
        # A decoder goes on from the last position, so that is where the prompt has to end.
        self._processor.tokenizer.padding_side = "left"
        self._model: Any = (
            load_with_adapter(model, adapter, device=device, precision=precision, quantization=quantization)
            if adapter
            else load_base(model, device=device, precision=precision, quantization=quantization)
        )
        self._generation = generation
        config = self._model.generation_config
        self._top_k = int(config.top_k or 0)
        ends = config.eos_token_id if config.eos_token_id is not None else self._processor.tokenizer.eos_token_id
        self._ends = set(ends if isinstance(ends, list) else [ends])
        pad = config.pad_token_id
        self._pad = self._processor.tokenizer.pad_token_id if pad is None else pad
        # Sampling is done by our processors over greedy decoding; left-over settings would only make it warn.
        config.temperature = config.top_p = config.top_k = None
        config.do_sample = False

    def answer(self, requests: Sequence[Request], interrupted: Callable[[], bool]) -> list[Answer | Failure]:
        """Answer a batch of requests. One whose pictures cannot be used is a Failure, and costs the others nothing."""
        opened = [_pictures(request) for request in requests]
        fit = [(request, found) for request, found in zip(requests, opened, strict=True) if isinstance(found, list)]
        answers = iter(self._answer(fit, interrupted) if fit else ())
        return [found if isinstance(found, Failure) else next(answers) for found in opened]

    def _answer(
        self, opened: Sequence[tuple[Request, list[Image.Image]]], interrupted: Callable[[], bool]
    ) -> list[Answer | Failure]:
        began = time.monotonic()
        inputs = self._inputs(opened)
        sampling, check = processors(
            [request.sampling_seed for request, _ in opened],
            temperature=self._generation.temperature,
            top_p=self._generation.top_p,
            top_k=self._top_k,
        )
        with torch.inference_mode():
            output = self._model.generate(
                **inputs,
                max_new_tokens=self._generation.max_new_tokens,
                logits_processor=sampling,
                stopping_criteria=StoppingCriteriaList([Interrupted(interrupted)]),
                eos_token_id=sorted(self._ends),
                pad_token_id=self._pad,
                do_sample=False,
            )
        seconds = (time.monotonic() - began) / len(opened)
        rows = output[:, inputs["input_ids"].shape[1] :].tolist()
        return [
            Failure("NonFiniteLogits") if broken else self._decode(row, seconds)
            for row, broken in zip(rows, check.broken, strict=True)
        ]

    def _inputs(self, opened: Sequence[tuple[Request, list[Image.Image]]]) -> Any:
        texts = [
            self._processor.apply_chat_template(
                self._messages(len(pictures), request.prompt), tokenize=False, add_generation_prompt=True
            )
            for request, pictures in opened
        ]
        pictures = [pictures for _, pictures in opened]
        inputs = self._processor(text=texts, images=pictures, padding=True, return_tensors="pt")
        return inputs.to(self._model.device)

    def _decode(self, ids: list[int], seconds: float) -> Answer:
        end = next((index for index, token in enumerate(ids) if token in self._ends), None)
        kept = ids if end is None else ids[:end]
        text = self._processor.tokenizer.decode(kept, skip_special_tokens=True).strip()
        return Answer(text, len(kept), seconds, "length" if end is None else "stop")


def _pictures(request: Request) -> list[Image.Image] | Failure:
    pictures = []
    for path in request.pictures:
        try:
            pictures.append(open_picture(path))
        except UnfitPicture as error:
            _log.warning("%s cannot be answered: its picture %s %s", request.sample, path.name, error.what)
            return Failure(f"Photo{error.reason}")
    return pictures
