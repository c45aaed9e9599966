"""torchrun's agent behind its interface (torch 2.13): how nodes and ranks meet."""

from __future__ import annotations

import sys

from torch.distributed.elastic.rendezvous import dynamic_rendezvous


def without_call_stacks() -> None:
    """Each move of a rendezvous is named by two looks at the source of the whole call stack, for a log that nobody has
    asked for; where many libraries are loaded, those take a second of each start and each end of a group."""
    dynamic_rendezvous.get_method_name = _caller


def _caller(depth: int = 2) -> str:
    """The name of the function so many calls up."""
    try:
        return sys._getframe(depth).f_code.co_name
    except ValueError:
        return "no_method_name"
