"""NEFTune's noise: its strength follows each sample's own length, and it is there in training only."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.torch, pytest.mark.invariant]
WIDTH = 16


@pytest.mark.parametrize(
    ("situation", "rows", "lengths"),
    [
        ("packed into one row", 1, (64, 16)),
        ("padded to the longer one", 2, (64, 16)),
        ("alone", 1, (64,)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_samples_noise_is_as_strong_as_alone(situation: str, rows: int, lengths: tuple[int, ...]) -> None:
    import torch

    from fabula_workloads.training.model.neftune import SampleNoise

    torch.manual_seed(0)
    noise = SampleNoise(5.0)
    embeddings = torch.nn.Embedding(10, WIDTH).train()
    noise.lengths = lengths
    embeddings.register_forward_hook(noise)
    ids = torch.zeros(rows, sum(lengths) if rows == 1 else max(lengths), dtype=torch.long)
    added = (embeddings(ids) - embeddings.weight[0]).abs()
    own = added[0].split(lengths) if rows == 1 else [row[:length] for row, length in zip(added, lengths, strict=True)]
    for part, length in zip(own, lengths, strict=True):
        bound = 5.0 / (length * WIDTH) ** 0.5
        assert 0.9 * bound < part.max().item() <= bound * (1 + 1e-5)
    embeddings.eval()
    assert torch.equal(embeddings(ids)[0, 0], embeddings.weight[0])


def test_the_lengths_come_with_each_batch_padded_or_packed() -> None:
    import torch

    from fabula_workloads.models.family import FIGURES
    from fabula_workloads.models.qwen3_vl.batches import Collator, PackedCollator

    def sample(length: int) -> dict[str, torch.Tensor]:
        ids = torch.ones(length, dtype=torch.long)
        return {
            "input_ids": ids, "labels": ids, "mm_token_type_ids": torch.zeros_like(ids),
            "pixel_values": torch.zeros(4, 8), "image_grid_thw": torch.tensor([[1, 2, 2]]),
        }  # fmt: skip

    rows = [[sample(7)], [sample(3)]]
    packed = PackedCollator(lambda ids, *_: torch.zeros(3, 1, ids.shape[1], dtype=torch.long))
    assert Collator(0)(rows)[FIGURES]["lengths"] == packed(rows)[FIGURES]["lengths"] == (7, 3)
