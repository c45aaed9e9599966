"""`fabula-probe`: tries what runs rely on in the pod that it runs in; `fabula doctor --first-run` makes those pods."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from fabula_api.probe import Finding, ProbeReport
from fabula_api.worker import TERMINATION_LIMIT, TERMINATION_LOG_VARIABLE
from fabula_workloads.probe import surroundings
from fabula_workloads.runtime.entry import start_logging

_log = logging.getLogger("fabula.probe")


def main(arguments: Sequence[str] | None = None) -> int:
    """Try everything and leave the report as the pod's last word. Exit code 0, whatever was found."""
    parser = argparse.ArgumentParser(prog="fabula-probe", description=__doc__)
    parser.add_argument("--root", required=True, metavar="URI", help="artifact root, file://... or s3://...")
    parser.add_argument("--folder", required=True, help="folder below it that may be written: the namespace")
    parser.add_argument(
        "--gpus", type=int, default=0, help="try the GPUs, of which the pod asked for so many, and nothing else"
    )
    parser.add_argument("--product", help="what the node's label calls them")
    parser.add_argument("--bedrock-model", help="make one call of some 30 tokens to it")
    parser.add_argument("--bedrock-region", default=os.environ.get("AWS_REGION", "us-east-1"))
    parser.add_argument("--bedrock-endpoint", help="another address than AWS's")
    given = parser.parse_args(arguments)
    start_logging()
    findings: list[Finding | None]
    if given.gpus:
        from fabula_workloads.probe import gpus

        findings = [*gpus.judge(gpus.look(), given.gpus, given.product)]
    else:
        findings = [
            surroundings.scratch(Path(tempfile.gettempdir())),
            surroundings.store(given.root, given.folder),
            surroundings.status_server(),
            surroundings.model_cache(),
            surroundings.hub(),
        ]
    if given.bedrock_model:
        from fabula_workloads.probe.provider import bedrock

        findings.append(bedrock(given.bedrock_model, given.bedrock_region, given.bedrock_endpoint))
    report = [finding for finding in findings if finding is not None]
    for finding in report:
        _log.info("%s %s: %s", finding.state, finding.about, finding.said)
    leave(report)
    return 0


def leave(findings: Sequence[Finding]) -> None:
    """Write the report where the kubelet looks, each line as long as 4 KiB allow for all."""
    most = 600
    while True:
        short = [finding.replace(said=finding.said[:most]) for finding in findings]
        text = ProbeReport(findings=tuple(short)).model_dump_json(by_alias=True)
        if len(text.encode()) <= TERMINATION_LIMIT:
            break
        most -= 50
    try:
        Path(os.environ.get(TERMINATION_LOG_VARIABLE, "/dev/termination-log")).write_text(text)
    except OSError as error:
        _log.info("no termination message was left: %s", error.strerror)


if __name__ == "__main__":
    sys.exit(main())
