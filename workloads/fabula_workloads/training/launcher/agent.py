"""torchrun, with its verdict kept: `python -m fabula_workloads.training.launcher.agent VERDICT TORCHRUN-ARGUMENTS...`.

torchrun prints which rank failed and how; the launcher needs to read it, and a rank killed by a signal leaves no file.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from torch.distributed import DistError
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import elastic_launch
from torch.distributed.run import config_from_args, parse_args

from fabula_workloads.training.libraries.torchrun import without_call_stacks
from fabula_workloads.training.messages.process import PARENT_VARIABLE, UNMET, die_with_parent


def main() -> int:
    """Run the group to its end. Exit code 1 when a rank failed; then VERDICT maps ranks to exit codes, or says why the
    nodes did not meet."""
    die_with_parent()
    without_call_stacks()
    os.environ[PARENT_VARIABLE] = str(os.getpid())  # for the ranks
    verdict, arguments = Path(sys.argv[1]), sys.argv[2:]
    config, command, command_arguments = config_from_args(parse_args(arguments))  # type: ignore[no-untyped-call]
    try:
        elastic_launch(config, command)(*command_arguments)
    except ChildFailedError as error:
        ends = {rank: {"exit_code": end.exitcode, "at": end.timestamp} for rank, end in error.failures.items()}
        verdict.write_text(json.dumps(ends))
        return 1
    except DistError as error:
        # Agents speak with each other only to meet; what ranks lose later ends them, and is in their verdict.
        verdict.write_text(json.dumps({UNMET: str(error).partition("\n")[0]}))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
