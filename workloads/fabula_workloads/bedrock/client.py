"""The boto3 client of Bedrock's runtime, without retries of its own: those are the `Caller`'s."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError
from botocore.parsers import ResponseParserError

from fabula_api.provider import longest_reply_seconds
from fabula_workloads.bedrock.causes import Place
from fabula_workloads.bedrock.errors import Rejected, Transient, classify
from fabula_workloads.runtime.aws_session import new_session
from fabula_workloads.runtime.failures import ConfigInvalid, WorkerError

_CONNECT_SECONDS = 10
_SERVICE = "bedrock-runtime"
# OSError and ValueError: files that AWS's settings name, and endpoints that are none.
_ERRORS = (BotoCoreError, ClientError, OSError, ValueError)


class BedrockClient:
    """Two calls. Both raise what `classify` makes of an error. Safe for many threads."""

    def __init__(
        self, *, region: str, endpoint_url: str | None, concurrency: int, max_tokens: int = 0, field: str = "extraction"
    ) -> None:
        """Credentials come from the ambient chain: a bearer token (AWS_BEARER_TOKEN_BEDROCK), keys, or a role.

        `field` is the part of the spec that an error names. Raises ConfigInvalid and CredentialsRefused.
        """
        region = region.strip()
        self._own_endpoint = endpoint_url is not None
        self._place = Place(field, region=region, host=urlsplit(endpoint_url or "").netloc)
        try:
            self._session = new_session()
            self._client: Any = self._session.client(
                _SERVICE,
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
        except _ERRORS as error:
            meaning = classify(error, self._place)
            # No call was tried yet: nothing here can pass by itself.
            raise (meaning if isinstance(meaning, WorkerError) else ConfigInvalid(f"no client: {meaning}")) from error
        host = urlsplit(str(self._client.meta.endpoint_url)).netloc
        self._place = Place(field, region=region, host=host)

    def converse(self, model: str, request: Mapping[str, Any], call: str) -> tuple[dict[str, Any], str]:
        """(reply, request id) of a Converse call. `call` names it in the account's invocation logs."""
        try:
            reply: dict[str, Any] = self._client.converse(modelId=model, requestMetadata={"call": call}, **request)
        except ResponseParserError as error:
            raise self._not_bedrock() from error
        except _ERRORS as error:
            raise self._meaning(error, model) from error
        output, usage = reply.get("output"), reply.get("usage")
        if not isinstance(output, dict) or not isinstance(usage, dict) or not reply.get("stopReason"):
            raise self._not_bedrock(lost=bool(_request_id(reply)))
        return reply, _request_id(reply)

    def invoke(self, model: str, body: Mapping[str, Any], call: str) -> tuple[dict[str, Any], str]:
        """(reply, request id) of an InvokeModel call."""
        try:
            reply = self._client.invoke_model(
                modelId=model, body=json.dumps(body), contentType="application/json", accept="application/json",
                requestMetadata=json.dumps({"call": call}),
            )  # fmt: skip
            content = reply["body"].read()
        except ResponseParserError as error:
            raise self._not_bedrock() from error
        except _ERRORS as error:
            raise self._meaning(error, model) from error
        try:
            document = json.loads(content)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            raise self._not_bedrock(lost=bool(_request_id(reply)))
        return document, _request_id(reply)

    def _meaning(self, error: Exception, model: str) -> Transient | Rejected | WorkerError:
        place = Place(self._place.field, model, self._place.region, self._place.host)
        if isinstance(error, EndpointConnectionError) and not self._own_endpoint and (problem := self._no_region()):
            return problem
        return classify(error, place)

    def _no_region(self) -> ConfigInvalid | None:
        """Why there is no host of this region's name: nobody knows the region. Called where it cannot be reached."""
        # Of the runtime botocore lists none; a region has EC2 before it has Bedrock.
        partitions = self._session.get_available_partitions()
        known = sorted({region for name in partitions for region in self._session.get_available_regions("ec2", name)})
        if not known or self._place.region in known:
            return None
        near = difflib.get_close_matches(self._place.region, known, 3, 0.5)
        meant = f"; did you mean {' or '.join(near)}?" if near else ""
        return ConfigInvalid(
            f"{self._place.field}.region: there is no Bedrock at {self._place.host}, and no region "
            f"{self._place.region} is known{meant}"
        )

    def _not_bedrock(self, *, lost: bool = False) -> Transient:
        """An answer with status 200 that is none: a proxy's page. With a request id it may be on the bill."""
        what = f"the answer from {self._place} is not Bedrock's: does a proxy or a login page answer in its place?"
        return Transient("ProviderUnavailable", what, lost=lost)


def _request_id(reply: Mapping[str, Any]) -> str:
    return str(reply.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("x-amzn-requestid", ""))
