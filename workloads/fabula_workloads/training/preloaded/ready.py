"""Whether a server of this machine has a stage's libraries loaded, so that its pod need not."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence

from fabula_workloads.training.preloaded import client

FOLDER = "FABULA_FORK_SERVERS"
"""As `FORK_SERVERS_VARIABLE` of the contract, which takes long to import."""
STAGES, NETWORKS = "stages", "networks"
"""The server of stages that load no torch; that of stages in which networks draw or score, and which need more beside
torch than training does."""
_SERVERS = {"train": (), "infer": ("cpu-none",), "illustrate": (NETWORKS, STAGES), "score": (NETWORKS, STAGES)}
"""Of stages that are not served by `STAGES` alone, the best first. A launcher loads no torch, and starts its ranks from
a server of its own."""
_READ_AT_IMPORT = ("HF_", "TRANSFORMERS_")
"""Variables that libraries read only once, when they are imported: a copy would not see its own."""


def stand_in_if_ready(arguments: Sequence[str], environment: Mapping[str, str]) -> None:
    """Be the stand-in for a copy that runs this stage, to its end; return where there is no server for it."""
    if not (folder := environment.get(FOLDER)) or len(arguments) != 1:
        return
    if any(name.startswith(_READ_AT_IMPORT) for name in environment):
        return
    paths = [os.path.join(folder, server) for server in _SERVERS.get(arguments[0], (STAGES,))]
    if there := list(filter(os.path.exists, paths)):
        stopping = (signal.SIGTERM, signal.SIGINT)
        client.stand_in(there[0], arguments[0], "fabula_workloads.command", arguments, passing_on=stopping)
