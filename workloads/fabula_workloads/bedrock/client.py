"""The boto3 client of Bedrock's runtime, without retries of its own: those are the `Caller`'s."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from fabula_api.provider import longest_reply_seconds
from fabula_workloads.bedrock.errors import classify

_CONNECT_SECONDS = 10


class BedrockClient:
    """Two calls. Both raise what `classify` makes of an error. Safe for many threads."""

    def __init__(self, *, region: str, endpoint_url: str | None, concurrency: int, max_tokens: int = 0) -> None:
        """Credentials come from the ambient chain: a bearer token (AWS_BEARER_TOKEN_BEDROCK), keys, or a role."""
        try:
            # boto3's default session would keep the credentials that an earlier client found.
            self._client: Any = boto3.session.Session().client(
                "bedrock-runtime",
                region_name=region,
                endpoint_url=endpoint_url,
                config=Config(
                    retries={"total_max_attempts": 1},
                    connect_timeout=_CONNECT_SECONDS,
                    # A call that is given up is paid for all the same, so the wait covers the slowest full reply.
                    read_timeout=longest_reply_seconds(max_tokens),
                    max_pool_connections=concurrency,
                    tcp_keepalive=True,
                ),
            )
        except (BotoCoreError, ValueError) as error:
            if isinstance(error, BotoCoreError):
                raise classify(error, "") from error
            raise

    def converse(self, model: str, request: Mapping[str, Any], call: str) -> tuple[dict[str, Any], str]:
        """(reply, request id) of a Converse call. `call` names it in the account's invocation logs."""
        try:
            reply = self._client.converse(modelId=model, requestMetadata={"call": call}, **request)
        except (BotoCoreError, ClientError) as error:
            raise classify(error, model) from error
        return reply, _request_id(reply)

    def invoke(self, model: str, body: Mapping[str, Any], call: str) -> tuple[dict[str, Any], str]:
        """(reply, request id) of an InvokeModel call."""
        try:
            reply = self._client.invoke_model(
                modelId=model, body=json.dumps(body), contentType="application/json", accept="application/json",
                requestMetadata=json.dumps({"call": call}),
            )  # fmt: skip
            content = reply["body"].read()
        except (BotoCoreError, ClientError) as error:
            raise classify(error, model) from error
        return json.loads(content), _request_id(reply)


def _request_id(reply: Mapping[str, Any]) -> str:
    return str(reply.get("ResponseMetadata", {}).get("RequestId", ""))
