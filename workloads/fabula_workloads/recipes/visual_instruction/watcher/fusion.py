"""How two streams become one, and the head that decides when to speak. One operand order everywhere: agent, user."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

Kind = Literal["adaptive", "linear", "add"]


class Fusion(nn.Module):
    """One vector a position, from what is said and what is seen, heard or asked there."""

    def __init__(self, kind: Kind, hidden: int) -> None:
        super().__init__()
        self.kind = kind
        if kind == "adaptive":
            self.weigh = nn.Sequential(nn.Linear(2 * hidden, hidden), nn.ReLU(), nn.Linear(hidden, 1))
        elif kind == "linear":
            self.mix = nn.Linear(2 * hidden, hidden, bias=False)
            with torch.no_grad():
                self.mix.weight.zero_()
                # The user's half is the identity: it begins as a model that sees and hears, and not as a deaf one.
                self.mix.weight[:, hidden:].copy_(torch.eye(hidden))

    def forward(self, agent: torch.Tensor, user: torch.Tensor) -> torch.Tensor:
        """(..., hidden) of two of that shape."""
        if self.kind == "add":
            return (agent + user) / 2
        both = torch.cat([agent, user], dim=-1)
        if self.kind == "linear":
            mixed: torch.Tensor = self.mix(both)
            return mixed
        weight = torch.sigmoid(self.weigh(both))
        return weight * agent + (1 - weight) * user


class Deciding(nn.Module):
    """Whether it is time to speak, by the hidden state of a frame's last token."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(hidden, hidden // 2), nn.ReLU(), nn.Linear(hidden // 2, 1, bias=False))

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Logits (...) of (..., hidden)."""
        logits: torch.Tensor = self.layers(states)
        return logits.squeeze(-1)


def focal(logits: torch.Tensor, wanted: torch.Tensor, alpha: float, gamma: float) -> torch.Tensor:
    """Sigmoid focal loss of each decision (arXiv 1708.02002, equation 5)."""
    entropy = nn.functional.binary_cross_entropy_with_logits(logits.float(), wanted.float(), reduction="none")
    right = torch.where(wanted.bool(), torch.sigmoid(logits.float()), torch.sigmoid(-logits.float()))
    weight = torch.where(wanted.bool(), alpha, 1 - alpha)
    loss: torch.Tensor = weight * (1 - right) ** gamma * entropy
    return loss
