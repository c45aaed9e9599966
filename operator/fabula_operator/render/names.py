"""Deterministic names of children and the labels on them: after a crash and a restart nothing is made twice."""

from __future__ import annotations

import hashlib
import re

RUN_UID = "fabula.dev/run-uid"
RUN_KIND = "fabula.dev/run-kind"
RUN_NAME = "fabula.dev/run-name"
STAGE = "fabula.dev/stage"
ARM = "fabula.dev/arm"
ATTEMPT = "fabula.dev/attempt"
KEY = "fabula.dev/key"
GENERATION = "fabula.dev/generation"
QUEUE = "kueue.x-k8s.io/queue-name"
"""Kueue's label on a child; never on its pods, which Kueue would then queue one by one."""

WORKER_CONTAINER = "worker"
PYTORCH_CONTAINER = "pytorch"
"""The worker's container in a PyTorchJob, whose controller looks for that name."""

# A pod's name is used as its host name: at most 63. Pods of an Indexed Job are called <job>-<index>-<5 letters>, and
# those of a PyTorchJob, with their Services, <job>-worker-<index>.
CHILD_NAME_LIMIT = 51
LABEL_LIMIT = 63


def shortened(text: str, limit: int) -> str:
    """`text` itself when it fits, else its beginning and a hash of the whole, together at most `limit` characters."""
    if len(text) <= limit:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{text[: limit - 9].rstrip('-.')}-{digest}"


def child_name(run: str, stage: str, arm: str | None, key: str, attempt: int | None = None) -> str:
    """Name of the child for a stage: `{run}-{stage}[-{arm}]-{first 8 of the key}[-{attempt}]`, a valid host name."""
    parts = [stage, *([arm] if arm else []), key.removeprefix("sha256:")[:8], *([str(attempt)] if attempt else [])]
    tail = "-".join(parts)
    if "." in run:
        # A host name has no dots. The hash keeps `a.b` and `a-b` apart.
        run = f"{run.replace('.', '-')}-{hashlib.sha256(run.encode()).hexdigest()[:6]}"
    if attempt and run[0].isdigit():
        # Names of PyTorchJobs and of Services begin with a letter. The hash keeps `3b` and `r3b` apart.
        run = f"r{run}-{hashlib.sha256(run.encode()).hexdigest()[:6]}"
    if len(run) + 1 + len(tail) <= CHILD_NAME_LIMIT:
        return f"{run}-{tail}"
    if len(tail) <= CHILD_NAME_LIMIT - 12:
        return f"{shortened(run, CHILD_NAME_LIMIT - 1 - len(tail))}-{tail}"
    return shortened(f"{run}-{tail}", CHILD_NAME_LIMIT)


def label_value(text: str) -> str:
    """`text` as a label's value: at most 63 characters of the allowed set."""
    return shortened(re.sub(r"[^A-Za-z0-9_.-]", "-", text), LABEL_LIMIT)
