"""How long a stage's pods may take to end: a call that is given up is paid for all the same, so it is awaited."""

from __future__ import annotations

import math

from fabula_api.dataset_build import DatasetBuildSpec
from fabula_api.provider import longest_reply_seconds
from fabula_api.worker import Spec
from fabula_operator.plan.quota import EXTRACT, ILLUSTRATE

_SECONDS_TO_COMMIT = 10


def last_call_seconds(spec: Spec, stage: str) -> int:
    """Seconds that a stage's pods need at most to end the paid calls in hand and keep the answers; 0 without such."""
    if not isinstance(spec, DatasetBuildSpec):
        return 0
    if stage == EXTRACT and spec.extraction.provider == "bedrock":
        return math.ceil(longest_reply_seconds(spec.extraction.max_tokens)) + _SECONDS_TO_COMMIT
    if stage == ILLUSTRATE and spec.images.provider == "bedrock":
        return math.ceil(longest_reply_seconds()) + _SECONDS_TO_COMMIT
    return 0
