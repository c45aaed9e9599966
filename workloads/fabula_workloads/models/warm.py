"""`fabula-models MODEL...`: puts models of the Hub into the cache that pods share, before a run asks for them."""

from __future__ import annotations

import argparse
import logging
import os
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from fabula_api.externals import COMMIT
from fabula_api.shared_spec import ModelSource
from fabula_api.worker import MODEL_CACHE_VARIABLE, ExitCode, WorkerResult
from fabula_workloads.models.hub import from_hub, hub_commit
from fabula_workloads.runtime.entry import start_logging
from fabula_workloads.runtime.failures import ConfigInvalid, WorkerError
from fabula_workloads.runtime.termination import digest_of_failure, exit_code_of, write_termination_message

_COMMIT = re.compile(r"[0-9a-f]{40}")
_log = logging.getLogger("fabula.models")


def source_of(text: str) -> ModelSource:
    """`owner/name`, or `owner/name@revision`. Raises ConfigInvalid."""
    name, at, revision = text.partition("@")
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name) or (at and not revision):
        raise ConfigInvalid(f"{text} is no model of the Hub: say owner/name, or owner/name@revision")
    return ModelSource(name=name, revision=revision or None)


def warm(source: ModelSource, cache: Path) -> Path:
    """Fetch what is missing of a model; its folder in the cache. Raises WorkerError."""
    began, revision = time.monotonic(), source.revision or ""
    commit = COMMIT + revision if _COMMIT.fullmatch(revision) else hub_commit(source, "model")
    folder = Path(from_hub(source, "model", cache, commit))
    gigabytes = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e9
    _log.info(
        "%s is whole: commit %s, %.2f GB, after %.0f s",
        source.name, commit.removeprefix(COMMIT), gigabytes, time.monotonic() - began,
    )  # fmt: skip
    return folder


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code, a worker's. One model that cannot be had keeps no other from coming."""
    parser = argparse.ArgumentParser(
        prog="fabula-models",
        description=f"Puts models of the Hugging Face Hub into the cache that pods share, {MODEL_CACHE_VARIABLE}: what "
        "is whole there stays, what was begun goes on. HF_TOKEN opens gated ones.",
    )
    parser.add_argument("models", nargs="+", metavar="MODEL", help="owner/name, or owner/name@revision")
    wanted: list[str] = parser.parse_args(arguments).models
    tail = start_logging()

    try:
        failed = fill([source_of(text) for text in wanted])
        if failed:
            raise failed[0]
    except WorkerError as error:
        failure = digest_of_failure(error, None, None, tail.lines())
        write_termination_message(WorkerResult(outcome="Failed", failure=failure))
        return exit_code_of(error)
    write_termination_message(WorkerResult(outcome="Succeeded", counts={"model/ok": len(wanted)}))
    return ExitCode.OK


def fill(sources: Sequence[ModelSource]) -> list[WorkerError]:
    """Fetch each; why some could not be had. Raises ConfigInvalid where there is no cache."""
    cache = os.environ.get(MODEL_CACHE_VARIABLE)
    if not cache:
        raise ConfigInvalid(f"{MODEL_CACHE_VARIABLE} names no folder: there is no cache to fill")
    failed = []
    for source in sources:
        try:
            warm(source, Path(cache))
        except WorkerError as error:
            _log.error("%s: %s", error.reason, error.message)
            failed.append(error)
    return failed


if __name__ == "__main__":
    sys.exit(main())
