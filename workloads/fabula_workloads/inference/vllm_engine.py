"""Generation with vLLM in this process: many answers in flight, shared prefixes, several GPUs for one model."""

from __future__ import annotations

import json
import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fabula_api.arms import Generation
from fabula_api.shared_spec import PixelWindow
from fabula_workloads.inference.opened import opened
from fabula_workloads.inference.request import Answer, Answers, Failure, Interrupted, Request, Work
from fabula_workloads.models.adapter import CONFIG, check_adapter_files, rank_of
from fabula_workloads.models.family import otherwise_in_vllm
from fabula_workloads.models.loading import Device
from fabula_workloads.models.processor import load_processor
from fabula_workloads.recipe_parts import Conversation, messages

IN_FLIGHT = 64
"""Answers that are made side by side, as far as the GPU's memory holds them; vLLM lets the others wait."""
_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""LoRA ranks for which vLLM makes room."""
_TEXT_TOKENS = 4096
_PATCH = 28
# Nothing is told to anybody, nothing is fetched, and the engine's loop is this process's own.
_SETTINGS = {
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_LOGGING_LEVEL": "WARNING",
}
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Asked:
    request: Request
    since: float


class VllmEngine:
    """Loads base model and adapter once, over `gpus` GPUs by tensor parallelism.

    Raises OSError or ValueError where a folder holds no model, ImportError where vLLM is not installed.
    """

    def __init__(
        self,
        model: Path,
        adapter: Path | None,
        *,
        device: Device,
        gpus: int,
        pixels: PixelWindow,
        generation: Generation,
        most_pictures: int,
        conversation: Conversation = messages,
    ) -> None:
        check_positions(model)
        for name, value in _SETTINGS.items():
            os.environ.setdefault(name, value)
        from vllm import LLM
        from vllm.lora.request import LoRARequest

        self._generation, self._messages = generation, conversation
        # Training's own processor puts the conversation into words; vLLM's then sees the same window of pixels.
        self._tokenizer = load_processor(model, pixels).tokenizer
        self._template = load_processor(model, pixels).apply_chat_template
        lora: dict[str, Any] = {}
        self._lora = None
        if adapter is not None:
            check_adapter_files(adapter)
            rank = rank_of(adapter)
            lora = {"enable_lora": True, "max_loras": 1, "max_lora_rank": next(r for r in _RANKS if r >= rank)}
            self._lora = LoRARequest("adapter", 1, str(adapter))
            _log.info("%s of rank %d on top of the base", CONFIG, rank)
        seen = most_pictures * pixels.max_pixels // _PATCH**2
        self._engine: Any = LLM(
            str(model),
            dtype="bfloat16" if device == "cuda" else "float32",
            tensor_parallel_size=max(1, gpus),
            enable_prefix_caching=True,
            # On a CPU nothing is gained by compiling first.
            enforce_eager=device == "cpu",
            limit_mm_per_prompt={"image": most_pictures, "video": 0},
            # As `load_processor` sets it; `min_pixels` and `max_pixels` are not the same under every version.
            mm_processor_kwargs={"size": {"shortest_edge": pixels.min_pixels, "longest_edge": pixels.max_pixels}},
            max_model_len=_longest(model, seen + _TEXT_TOKENS + generation.max_new_tokens),
            max_num_seqs=generation.batch_size or IN_FLIGHT,
            seed=0,
            trust_remote_code=False,
            disable_log_stats=True,
            **lora,
        ).llm_engine
        self._defaults: dict[str, Any] = self._engine.model_config.try_get_generation_config()
        ends = self._defaults.get("eos_token_id", self._tokenizer.eos_token_id)
        self._ends = set(ends if isinstance(ends, list) else [ends])

    def answers(self, work: Work, interrupted: Interrupted) -> Answers:
        """See `Engine`."""
        flying: dict[str, _Asked] = {}
        room = self._generation.batch_size or IN_FLIGHT
        try:
            while not interrupted():
                for request in work(room - len(flying)) if len(flying) < room else ():
                    if (refused := self._ask(request)) is not None:
                        yield request, refused
                    else:
                        flying[request.key] = _Asked(request, time.monotonic())
                if not flying:
                    return
                beside = len(flying)
                for output in self._engine.step():
                    if output.finished:
                        asked = flying.pop(output.request_id)
                        yield asked.request, self._answer(output.outputs[0], (time.monotonic() - asked.since) / beside)
        finally:
            self._engine.abort_request(list(flying))

    def _ask(self, request: Request) -> Failure | None:
        from vllm import SamplingParams

        pictures = opened(request)
        if isinstance(pictures, Failure):
            return pictures
        prompt: dict[str, Any] = {
            "prompt": self._template(
                self._messages(len(pictures), request.prompt), tokenize=False, add_generation_prompt=True
            )
        }
        if pictures:
            prompt["multi_modal_data"] = {"image": pictures}
        greedy = self._generation.temperature == 0
        sampling = SamplingParams(
            temperature=self._generation.temperature,
            top_p=1.0 if greedy else self._generation.top_p,
            top_k=0 if greedy else int(self._defaults.get("top_k") or 0),
            seed=request.sampling_seed,
            max_tokens=self._generation.max_new_tokens,
            stop_token_ids=sorted(self._ends),
            ignore_eos=False,
        )
        try:
            self._engine.add_request(request.key, prompt, sampling, lora_request=self._lora)
        except ValueError as error:
            _log.warning("%s cannot be answered: %s", request.sample, error)
            return Failure("RequestRefused")
        return None

    def _answer(self, completion: Any, seconds: float) -> Answer:
        ids = list(completion.token_ids)
        ended = bool(ids) and ids[-1] in self._ends
        text = self._tokenizer.decode(ids[:-1] if ended else ids, skip_special_tokens=True).strip()
        return Answer(text, len(ids) - ended, seconds, "stop" if ended else "length")


def check_positions(model: Path) -> None:
    """Raise ValueError where vLLM would place a picture's tokens otherwise than transformers does in training."""
    config = json.loads((model / "config.json").read_bytes())
    if (problem := otherwise_in_vllm(config)) is not None:
        raise ValueError(problem)


def _longest(model: Path, wanted: int) -> int:
    """Tokens of a prompt with its answer: what is wanted, as far as the model reaches."""
    config = json.loads((model / "config.json").read_bytes())
    reach = (config.get("text_config") or config).get("max_position_embeddings", wanted)
    return int(min(wanted, reach))
