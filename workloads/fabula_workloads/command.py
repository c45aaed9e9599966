"""The command in every worker pod: `fabula-worker STAGE`, with its config in FABULA_CONFIG."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from fabula_api.recipes import RecipesBroken
from fabula_api.worker import CONFIG_VARIABLE, ExitCode
from fabula_workloads.runtime.entry import run_worker
from fabula_workloads.stages.registry import find_stage, stage_names


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="fabula-worker",
        description="Runs one stage of a Fabula run. The operator starts it in pods.",
        epilog=f"Exit codes: 0 done, {ExitCode.CONFIG:d} bad configuration, {ExitCode.INPUT:d} bad input, "
        f"{ExitCode.CREDENTIALS:d} refused credentials or no permission, {ExitCode.RETRY:d} try again, other: crash.",
    )
    parser.add_argument("stage", metavar="STAGE", help=", ".join(stage_names()))
    parser.add_argument("--config", type=Path, metavar="FILE", help=f"read the config from FILE, not {CONFIG_VARIABLE}")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    try:
        parser = build_parser()
    except RecipesBroken as error:
        print(error, file=sys.stderr)
        return ExitCode.CONFIG
    options = parser.parse_args(arguments)
    if options.config is not None:
        try:
            text = options.config.read_text()
        except OSError as error:
            print(f"{options.config}: {error.strerror}", file=sys.stderr)
            return ExitCode.CONFIG
    else:
        text = os.environ.get(CONFIG_VARIABLE, "")
    return run_worker(options.stage, text, find_stage)


if __name__ == "__main__":
    sys.exit(main())
