"""The command in every worker pod: `fabula-worker STAGE`, with its config in FABULA_CONFIG.

It loads nothing before it is known that no process of this machine has all of it loaded.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from fabula_workloads.training.preloaded.ready import stand_in_if_ready


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    if arguments is None:
        stand_in_if_ready(sys.argv[1:], os.environ)
    from fabula_workloads import command

    return command.main(arguments)


if __name__ == "__main__":
    sys.exit(main())
