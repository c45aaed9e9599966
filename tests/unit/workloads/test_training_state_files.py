"""The optimizer's state in files: what one number of ranks wrote, another reads."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytestmark = pytest.mark.torch

SIZES = {"a.weight": 10, "b.weight": 7}


class Engine:
    """What `optimizer_state` sees of DeepSpeed under ZeRO-3, for one of several ranks."""

    def __init__(self, rank: int, ranks: int, step: int = 0) -> None:
        import torch

        def named() -> list[tuple[str, Any]]:
            return list(self.parameters.items())

        self.rank = rank
        self.parameters = {
            name: SimpleNamespace(requires_grad=True, ds_id=index, ds_numel=size, part=-(-size // ranks))
            for index, (name, size) in enumerate(SIZES.items())
        }
        self.module = SimpleNamespace(named_parameters=named)
        self.flat = torch.zeros(sum(one.part for one in self.parameters.values()))
        moments = {} if step == 0 else self._moments(step)
        self.optimizer: Any = SimpleNamespace(
            invalidate_secondary_tensor=lambda: None,
            fp32_partitioned_groups_flat=[self.flat],
            fp16_groups=[],
            optimizer=SimpleNamespace(state={self.flat: moments}),
            _get_fp32_opt_state_partition=self._part,
            _get_param_partition_rank=lambda parameter: rank,
            checkpoint_event_prologue=lambda: None,
            checkpoint_event_epilogue=lambda: None,
        )

    def zero_optimization_stage(self) -> int:
        return 3

    def _moments(self, step: int) -> dict[str, Any]:
        import torch

        return {"step": torch.tensor(float(step)), **{key: torch.zeros_like(self.flat) for key in KEYS[1:]}}

    def _part(self, parameter: Any, release_swap_buffers: bool, optim_state_key: str | None) -> tuple[Any, int]:
        held = self.flat if optim_state_key is None else self.optimizer.optimizer.state[self.flat][optim_state_key]
        start = sum(one.part for one in self.parameters.values() if one.ds_id < parameter.ds_id)
        return held.narrow(0, start, parameter.part), 0

    def own(self, name: str, key: str) -> list[tuple[int, float]]:
        """Places and values of what this rank holds."""
        one = self.parameters[name]
        part = self._part(one, False, None if key == "fp32" else key)[0]
        start = self.rank * one.part
        return [(start + index, float(value)) for index, value in enumerate(part) if start + index < one.ds_numel]


KEYS = ("fp32", "exp_avg", "exp_avg_sq")


def value(name: str, key: str, place: int) -> float:
    return 1000.0 * KEYS.index(key) + 100.0 * list(SIZES).index(name) + place


def write(folder: Path, ranks: int, file_bytes: int) -> None:
    from fabula_workloads.training.saving import optimizer_state

    for rank in range(ranks):
        engine = Engine(rank, ranks, step=5)
        for name in SIZES:
            for key in KEYS:
                one = engine.parameters[name]
                part = engine._part(one, False, None if key == "fp32" else key)[0]
                for index in range(len(part)):
                    part[index] = value(name, key, rank * one.part + index)
        optimizer_state.save(engine, folder, rank=rank, file_bytes=file_bytes)


@pytest.mark.parametrize(("writers", "readers"), [(1, 1), (2, 3), (3, 2), (4, 1), (1, 4), (8, 3)])
def test_every_element_arrives_whatever_number_of_ranks_wrote_it(tmp_path: Path, writers: int, readers: int) -> None:
    from fabula_workloads.training.saving import optimizer_state

    write(tmp_path, writers, file_bytes=1 << 20)
    seen: dict[tuple[str, str], list[int]] = {}
    for rank in range(readers):
        engine = Engine(rank, readers)
        optimizer_state.restore(engine, tmp_path)
        assert engine.optimizer.optimizer.state[engine.flat]["step"] == 5
        for name in SIZES:
            for key in KEYS:
                for place, found in engine.own(name, key):
                    assert found == value(name, key, place)
                    seen.setdefault((name, key), []).append(place)
    assert all(seen[name, key] == list(range(SIZES[name])) for name in SIZES for key in KEYS)


def test_a_rank_holds_no_more_than_a_file_at_once(tmp_path: Path) -> None:
    write(tmp_path, 1, file_bytes=8)
    files = sorted(path.name for path in (tmp_path / "optimizer").iterdir())
    assert files == ["rank-00000-00000.safetensors", "rank-00000-00001.safetensors"]


def test_a_checkpoint_that_is_not_whole_or_of_another_run_is_refused(tmp_path: Path) -> None:
    from fabula_workloads.runtime.failures import InputInvalid
    from fabula_workloads.training.saving import optimizer_state

    write(tmp_path, 3, file_bytes=1 << 20)
    with ExitStack() as stack:
        saved = optimizer_state.Saved(tmp_path / "optimizer", stack)
        assert saved.differs_from(SIZES) is None
        assert "c.weight and 0 more" in str(saved.differs_from({**SIZES, "c.weight": 1}))
        assert "b.weight does not have the run's 8" in str(saved.differs_from({**SIZES, "b.weight": 8}))
    (tmp_path / "optimizer" / "rank-00001-00000.safetensors").unlink()
    with pytest.raises(InputInvalid, match=r"of a\.weight does not have the run's 10 elements"):
        optimizer_state.restore(Engine(0, 1), tmp_path)
