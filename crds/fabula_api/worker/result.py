"""A worker's last word, in the 4 KiB that Kubernetes keeps of it."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Annotated, Any, Literal

from pydantic import Field, SerializeAsAny, model_validator

from fabula_api.artifact import ArtifactReference
from fabula_api.base import ContentDigest, StatusModel, Text
from fabula_api.outside import read_outside
from fabula_api.status import FailureDigest, Lineage
from fabula_api.summary import Summary
from fabula_api.worker.reports import Counts, Figures

TERMINATION_LIMIT = 4096
"""Bytes the kubelet keeps of a termination message."""


class WorkerResult(StatusModel):
    """A worker's last word, in the termination message."""

    outcome: Literal["Succeeded", "Failed"]
    artifact: ArtifactReference | None = None
    reused: bool = False
    """True when a committed artifact was found and nothing was done."""
    counts: Counts = Field(default_factory=dict)
    """As in StageReport; figures that a status shows."""
    metrics: Figures = Field(default_factory=dict)
    summary: SerializeAsAny[Summary] = Field(default_factory=Summary)
    """Stage-specific: its model in `fabula_api.summary` has what is read of it."""
    lineage: list[Lineage] = Field(default_factory=list)
    """What the stage read."""
    digests: Annotated[dict[Text, ContentDigest], Field(max_length=64)] = Field(default_factory=dict)
    """Of `resolve`: digests of what the run reads from outside, by lineage name."""
    failure: FailureDigest | None = None

    def encode(self, limit: int = TERMINATION_LIMIT) -> bytes:
        """JSON of at most `limit` bytes: the summary is packed where it must be, the log tail and the failure
        message are shortened.

        Raises ValueError when even the rest does not fit, since a result cut in half could not be read.
        """
        result = self
        while len(data := result._written(limit)) > limit:
            failure = result.failure
            if failure is None or (not failure.log_tail and len(failure.message) <= 256):
                raise ValueError(f"the result takes {len(data)} bytes, more than the {limit} of a termination message")
            if failure.log_tail:
                failure = failure.replace(log_tail=failure.log_tail[1:])
            else:
                failure = failure.replace(message=failure.message[:256])
            result = result.replace(failure=failure)
        return data

    def _written(self, limit: int) -> bytes:
        whole = self.model_dump_json(by_alias=True, exclude_defaults=True).encode()
        if len(whole) <= limit or self.summary == Summary():
            return whole
        fields = json.loads(whole)
        fields["packed"] = packed(json.dumps(fields.pop("summary"), separators=(",", ":")).encode())
        return min(whole, json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode(), key=len)

    @model_validator(mode="before")
    @classmethod
    def _unpacked(cls, data: Any) -> Any:
        """Take a packed summary for what it is."""
        if isinstance(data, dict) and isinstance(text := data.get("packed"), str):
            return {**{name: value for name, value in data.items() if name != "packed"}, "summary": unpacked(text)}
        return data


PACKED_LIMIT = 128 * 1024
"""Bytes that a packed summary may unpack to: whoever runs a pod writes it."""


def packed(data: bytes) -> str:
    """A summary as text of about a quarter of its size: termination messages are short, and JSON repeats its names."""
    return base64.b85encode(zlib.compress(data, 9)).decode()


def unpacked(text: str) -> Any:
    """The summary. Raises ValueError where the text is none, or would be too large."""
    try:
        stream = zlib.decompressobj()
        data = stream.decompress(base64.b85decode(text), PACKED_LIMIT)
    except zlib.error as error:
        raise ValueError(f"the packed summary cannot be unpacked: {error}") from error
    if stream.unconsumed_tail or not stream.eof:
        raise ValueError(f"the packed summary is cut short, or takes more than {PACKED_LIMIT} bytes")
    return read_outside(data)
