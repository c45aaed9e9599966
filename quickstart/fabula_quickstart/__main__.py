"""`fabula-quickstart --root URI`: puts what the quickstart reads below an artifact root."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from fabula_quickstart.prepare import EXAMPLES, prepare_uri
from fabula_workloads.models.left_out import leave_out


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    if arguments is None:  # a process of its own: what these would load by each other takes seconds
        leave_out("bitsandbytes", "deepspeed", "mlflow")
        os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")
    parser = argparse.ArgumentParser(
        prog="fabula-quickstart",
        description="Makes the quickstart's episodes, picture sequences and tiny models; what is there already stays.",
    )
    parser.add_argument("--root", required=True, metavar="URI", help="artifact root, file://... or s3://...")
    parser.add_argument("--example", default="quickstart", choices=sorted(EXAMPLES), help="whose input it is")
    asked = parser.parse_args(arguments)
    return prepare_uri(asked.root, asked.example)


if __name__ == "__main__":
    sys.exit(main())
