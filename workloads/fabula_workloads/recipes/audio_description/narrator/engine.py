"""A narrator that answers: beam search over batches, whose masks make an answer that of a batch of one.

An arm without an adapter, or with one that learned words alone, has no mapping. It is asked in words: who may be seen,
and nothing of the clip.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import (
    LogitsProcessorList,
    NoRepeatNGramLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    StoppingCriteriaList,
)

from fabula_api.arms import Generation
from fabula_api.recipes.audio_description.tell import AudioDescriptionEvalSpec, AudioDescriptionTell
from fabula_api.recipes.audio_description.tune import AudioDescriptionTune
from fabula_workloads.inference.batches import in_batches
from fabula_workloads.inference.opening import Opening
from fabula_workloads.inference.request import Answer, Answers, Engine, Failure, Interrupted, Request, Work
from fabula_workloads.inference.sampling import FiniteLogits, StopWhen
from fabula_workloads.models.adapter import with_adapter
from fabula_workloads.models.family import Encoded
from fabula_workloads.models.loading import Device, load_language_model
from fabula_workloads.recipes.audio_description.held_out import NarrationEvaluationSample
from fabula_workloads.recipes.audio_description.narrator.building import narrator_of, writer_of
from fabula_workloads.recipes.audio_description.narrator.encode import Expected, NarrationEncoder, OtherFeatures, shown
from fabula_workloads.recipes.audio_description.narrator.files import has_adapter, load_weights, read_config
from fabula_workloads.recipes.audio_description.narrator.model import Narrator, causal_of
from fabula_workloads.runtime.failures import ConfigInvalid, InputInvalid

_log = logging.getLogger(__name__)
ROWS = 8
"""Clips that are described at once where a run does not say how many."""
_WORDS = AudioDescriptionTune(character_prompt="role-actor", previous_clip="none")
"""How a language model without a mapping is asked."""
_OF_ONE_KIND = "ask it about a dataset whose bank or encoder is the one of the dataset that it was trained on"


@dataclass(frozen=True, slots=True)
class _Prompt:
    """A request as the model is given it."""

    request: Request
    encoded: Encoded


class NarratorEngine:
    """A loaded narrator. Raises OSError or ValueError where a folder holds no model."""

    def __init__(
        self, model: Path, tuned: Path | None, *, cuda: bool, tell: AudioDescriptionTell, generation: Generation
    ) -> None:
        device: Device = "cuda" if cuda else "cpu"
        language = load_language_model(model, precision="bf16" if cuda else "fp32", device=device)
        if tuned is not None and has_adapter(tuned):
            language = with_adapter(language, tuned)
        self._tell, self._generation = tell, generation
        self._rows = generation.batch_size or ROWS
        self._narrator: Narrator | None = None
        self._tune, self._vocabulary = _WORDS, int(language.config.get_text_config().vocab_size)
        self._shape: tuple[int, ...] = (1,)
        if tuned is not None:
            config = read_config(tuned, "the adapter")
            if config.vocabulary != self._vocabulary:
                raise InputInvalid(
                    f"the adapter is of a language model with {config.vocabulary} tokens, and this one has "
                    f"{self._vocabulary}; name the model it was trained on"
                )
            if config.tune.objective == "narration":
                self._tune, self._shape = config.tune, config.feature_shape
                self._narrator = narrator_of(language, self._tune, self._vocabulary, self._shape)
                load_weights(self._narrator, tuned, "the adapter")
        self._model: Any = causal_of(language).to(device).eval()
        if self._narrator is not None:
            self._narrator.to(device).eval()
        self._writer, self._tokenizer = writer_of(model, self._tune, self._vocabulary, self._shape)
        self._end = int(self._tokenizer.eos_token_id)

    def answers(self, work: Work, interrupted: Interrupted) -> Answers:
        """See `Engine`."""
        return in_batches(work, self._rows, self.answer, interrupted)

    def answer(self, requests: Sequence[Request], interrupted: Interrupted) -> list[Answer | Failure]:
        """Describe a batch of clips."""
        prompts = [self._prompt(request) for request in requests]
        fit = [prompt for prompt in prompts if isinstance(prompt, _Prompt)]
        told = iter(self._answer(fit, interrupted) if fit else ())
        return [prompt if isinstance(prompt, Failure) else next(told) for prompt in prompts]

    def _prompt(self, request: Request) -> _Prompt | Failure:
        sample = request.given
        if not isinstance(sample, NarrationEvaluationSample) or request.folder is None:
            raise ConfigInvalid("a narrator is asked about clips of audio-description's own sample sets")
        if self._narrator is None:
            return _Prompt(request, {"prompt": self._writer.prompt(sample.characters, 0)})
        expected = Expected(self._shape, "the narrator learned", _OF_ONE_KIND)
        encoder = NarrationEncoder(request.folder, self._writer, self._tune, expected, 0)
        try:
            return _Prompt(request, encoder.encode(sample.narration()))
        except OtherFeatures:
            raise  # so are all of the dataset's, and none could be described
        except InputInvalid as error:
            _log.warning("%s cannot be described: %s", request.sample, error.message)
            return Failure("FeaturesUnfit")

    def _answer(self, fit: Sequence[_Prompt], interrupted: Interrupted) -> list[Answer | Failure]:
        began = time.monotonic()
        values, mask = self._embeddings([prompt.encoded for prompt in fit])
        check = FiniteLogits(len(fit) * self._tell.beams)
        with torch.inference_mode():
            output = self._model.generate(
                inputs_embeds=values,
                attention_mask=mask,
                max_new_tokens=self._generation.max_new_tokens,
                num_beams=self._tell.beams,
                do_sample=False,
                logits_processor=LogitsProcessorList([check, *self._penalties()]),
                stopping_criteria=StoppingCriteriaList([StopWhen(interrupted)]),
                eos_token_id=self._end,
                pad_token_id=self._end,
            )
        seconds = (time.monotonic() - began) / len(fit)
        beams = self._tell.beams
        broken = [any(check.broken[row * beams : (row + 1) * beams]) for row in range(len(fit))]
        return [
            Failure("NonFiniteLogits") if bad else self._decode(row, seconds)
            for row, bad in zip(output.tolist(), broken, strict=True)
        ]

    def _penalties(self) -> list[Any]:
        """As `generate` has them by name; but there the penalty skips as many tokens of a row as its prompt is padded
        by, which are none of the prompt where that is given as embeddings, and an answer would depend on neighbours."""
        penalties: list[Any] = []
        if self._tell.repetition_penalty > 1:
            penalties.append(RepetitionPenaltyLogitsProcessor(self._tell.repetition_penalty))
        if self._tell.no_repeat_ngram:
            penalties.append(NoRepeatNGramLogitsProcessor(self._tell.no_repeat_ngram))
        return penalties

    def _embeddings(self, samples: Sequence[Encoded]) -> tuple[torch.Tensor, torch.Tensor]:
        """Prompts side by side, each with its end at the end: a decoder goes on from the last position."""
        longest = max(len(sample["prompt"]) for sample in samples)
        ids = torch.tensor([[self._end] * (longest - len(sample["prompt"])) + sample["prompt"] for sample in samples])
        lengths = torch.tensor([len(sample["prompt"]) for sample in samples])
        mask = (torch.arange(longest) >= longest - lengths[:, None]).long()
        device = self._model.device
        with torch.inference_mode():
            if self._narrator is None:
                return self._model.get_input_embeddings()(ids.to(device)), mask.to(device)
            seen = {key: value.to(device) for key, value in shown(samples, range(len(samples)), self._shape).items()}
            return self._narrator.embeddings(ids.to(device), **seen), mask.to(device)

    def _decode(self, ids: list[int], seconds: float) -> Answer:
        end = ids.index(self._end) if self._end in ids else None
        kept = ids if end is None else ids[:end]
        text = " ".join(self._tokenizer.decode(kept, skip_special_tokens=True).split())
        return Answer(text, len(kept), seconds, "length" if end is None else "stop")


def open_narrator(opening: Opening) -> Engine:
    """The arm's narrator."""
    spec = opening.spec
    if not isinstance(spec, AudioDescriptionEvalSpec):
        raise ConfigInvalid("the evaluation is none of audio-description")
    return NarratorEngine(
        opening.model,
        opening.tuned,
        cuda=opening.device == "cuda",
        tell=spec.audio_description,
        generation=spec.generation,
    )
