"""One short call to Bedrock, held to what the accounts of a build rely on: usage, a reason to stop, a request id."""

from __future__ import annotations

import time
import uuid
from typing import Any

from fabula_api.probe import Finding
from fabula_workloads.bedrock.client import BedrockClient
from fabula_workloads.bedrock.errors import Rejected, Transient
from fabula_workloads.runtime.failures import WorkerError

ABOUT = "Bedrock"
MAX_TOKENS = 16


def bedrock(model: str, region: str, endpoint_url: str | None) -> Finding:
    """Ask for a word. It costs some 30 tokens."""
    request: dict[str, Any] = {
        "messages": [{"role": "user", "content": [{"text": "Say the word: ready"}]}],
        "inferenceConfig": {"maxTokens": MAX_TOKENS, "temperature": 0.0},
    }
    began = time.monotonic()
    try:
        client = BedrockClient(region=region, endpoint_url=endpoint_url, concurrency=1, max_tokens=MAX_TOKENS)
        reply, request_id = client.converse(model, request, f"probe-{uuid.uuid4().hex}")
    except WorkerError as error:
        return Finding(about=ABOUT, state="MISSING", said=f"{error.reason}: {error.message}"[:600])
    except (Transient, Rejected) as error:
        return Finding(about=ABOUT, state="MISSING", said=f"{model} did not answer: {error}"[:600])
    return judge(model, reply, request_id, time.monotonic() - began)


def judge(model: str, reply: dict[str, Any], request_id: str, seconds: float) -> Finding:
    """What of the reply differs from what is counted on."""
    usage = reply.get("usage") or {}
    lacking = [name for name in ("inputTokens", "outputTokens") if not isinstance(usage.get(name), int)]
    if lacking:
        said = f"{model} answers without usage.{' and usage.'.join(lacking)}: neither quota nor budget could be kept"
        return Finding(about=ABOUT, state="DIFFERS", said=said)
    if usage["outputTokens"] > MAX_TOKENS:
        said = f"{model} gave {usage['outputTokens']} tokens where {MAX_TOKENS} were allowed, by which budgets reckon"
        return Finding(about=ABOUT, state="DIFFERS", said=said)
    if not request_id:
        said = f"{model} answers without a request id, which the ledger keeps"
        return Finding(about=ABOUT, state="DIFFERS", said=said)
    said = f"{model} answered in {seconds:.1f} s: {usage['inputTokens']} + {usage['outputTokens']} tokens"
    return Finding(about=ABOUT, state="OK", said=said)
