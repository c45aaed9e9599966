"""How a worker ends: exit codes, and the reasons that operator and worker both give."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What a worker's exit means; anything else is a crash (after sysexits.h)."""

    OK = 0
    CONFIG = 64
    """Bad configuration: never retried."""
    INPUT = 65
    """Bad input: never retried."""
    CREDENTIALS = 77
    """Refused credentials or no permission: never retried."""
    RETRY = 75
    """Try again: the store or provider did not answer, no space, or SIGTERM."""


FINAL_EXIT_CODES = (ExitCode.CONFIG, ExitCode.INPUT, ExitCode.CREDENTIALS)
GRACE_TOO_SHORT = "GraceTooShort"
"""Reason of a group that was told to stop and killed before it had saved: nobody's failure but the installation's."""
PEER_LOST = "PeerLost"
"""Reason of a rank that ended because another one did. The other's own word, in another pod, is the one to show."""
LOSS_NOT_FINITE = "LossNotFinite"
"""Reason of a training whose loss is no number any more, whoever sees it first: its ranks or the watchdog."""
GRADIENT_NOT_FINITE = "GradientNotFinite"
"""The same of its gradient norm."""
