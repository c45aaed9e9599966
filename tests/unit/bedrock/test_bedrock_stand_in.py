"""The stand-in itself, through boto3: what it does on the wire is what the worker's tests rest on."""

from __future__ import annotations

import io
import json
import urllib.request
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError
from PIL import Image
from tests.support.bedrock import Bedrock, run_bedrock
from tests.support.bedrock_clock import ManualClock
from tests.support.bedrock_faults import Faults
from tests.support.bedrock_model import Manner

CLAUDE, SD35 = "global.anthropic.claude-sonnet-4-5-20250929-v1:0", "stability.sd3-5-large-v1:0"
TRANSCRIPT = "\n\n".join(
    f"Speaker {1 + n % 2}: " + " ".join(f"turn{n}word{w}" for w in range(40)) for n in range(60)
)  # fmt: skip
PROMPT = (
    f'<limits words_min="100" words_max="300" excerpts_max="3" scenes="5"/>\n<transcript>\n{TRANSCRIPT}\n</transcript>'
)


@pytest.fixture
def bedrock() -> Iterator[Bedrock]:
    with run_bedrock(Bedrock(clock=ManualClock())) as running:
        yield running


@pytest.fixture
def client(bedrock: Bedrock, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name, value in bedrock.environment().items():
        monkeypatch.setenv(name, value)
    config = Config(region_name="us-west-2", retries={"total_max_attempts": 1})
    return boto3.client("bedrock-runtime", endpoint_url=bedrock.endpoint, config=config)


def converse(client: Any, prompt: str = PROMPT, **extra: Any) -> dict[str, Any]:
    message = {"role": "user", "content": [{"text": prompt}]}
    reply: dict[str, Any] = client.converse(
        modelId=CLAUDE, messages=[message], inferenceConfig={"maxTokens": 8192}, **extra
    )
    return reply


def test_excerpts_are_whole_turns_of_the_transcript(client: Any) -> None:
    block = converse(client)["output"]["message"]["content"][0]["toolUse"]
    excerpts = block["input"]["excerpts"]
    assert len(excerpts) == 3 and block["input"]["more"] is True
    assert all(one["excerpt"] in TRANSCRIPT and len(one["scenes"]) == 5 for one in excerpts)
    assert all(one["word_count"] == len(one["excerpt"].split()) for one in excerpts)


def test_the_bill_names_item_tokens_and_dollars(client: Any, bedrock: Bedrock) -> None:
    usage = converse(client, requestMetadata={"call": "ep1-0-0"})["usage"]
    with urllib.request.urlopen(f"{bedrock.endpoint}/bill") as page:
        bill = json.load(page)
    usd = (3 * usage["inputTokens"] + 15 * usage["outputTokens"]) / 1e6
    assert bill["items"]["ep1-0-0"]["usd"] == pytest.approx(usd)
    assert bill["tokens"] == {"input": usage["inputTokens"], "output": usage["outputTokens"]}


def test_tokens_are_reserved_at_the_start_and_given_back(bedrock: Bedrock) -> None:
    assert bedrock.tokens.take(1)  # without a quota
    bedrock.tokens.per_minute = bedrock.tokens.level = 10_000
    assert bedrock.admit("a", 9_000) is None
    assert bedrock.admit("b", 9_000) == "throttle"
    bedrock.settle(9_000, 500, 500)
    assert bedrock.admit("b", 9_000) is None


def test_requests_a_minute_come_back_with_time(bedrock: Bedrock, client: Any) -> None:
    bedrock.requests.per_minute = bedrock.requests.level = 2
    converse(client)
    converse(client)
    with pytest.raises(ClientError) as error:
        converse(client)
    assert error.value.response["Error"]["Code"] == "ThrottlingException"
    assert error.value.response["ResponseMetadata"]["HTTPHeaders"]["retry-after"] == "1"
    bedrock.clock.sleep(30)
    converse(client)


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("throttle", "ThrottlingException"),
        ("server_error", "InternalServerException"),
        ("unavailable", "ServiceUnavailableException"),
        ("model_timeout", "ModelTimeoutException"),
    ],
)
def test_faults_of_the_transport_end_after_some_tries(bedrock: Bedrock, client: Any, fault: str, code: str) -> None:
    bedrock.faults = Faults(**{fault: 1.0, "at_most_in_a_row": 2})
    for _ in range(2):
        with pytest.raises(ClientError) as error:
            converse(client)
        assert error.value.response["Error"]["Code"] == code
    assert converse(client)["stopReason"] == "tool_use"
    assert len(bedrock.bill.paid) == 1


def test_a_cut_connection_is_billed_and_not_delivered(bedrock: Bedrock, client: Any) -> None:
    bedrock.faults = Faults(cut=1, at_most_in_a_row=1)
    with pytest.raises(ConnectionClosedError):
        converse(client)
    converse(client)
    assert [charge.delivered for charge in bedrock.bill.paid] == [False, True]
    assert bedrock.bill.paid_twice() == {}
    assert bedrock.bill.usd == pytest.approx(2 * bedrock.bill.usd_delivered)


@pytest.mark.parametrize("fault", ["fenced", "prose", "malformed", "refusal", "truncated"])
def test_replies_can_be_spoilt(bedrock: Bedrock, client: Any, fault: str) -> None:
    bedrock.faults = Faults(**{fault: 1.0})
    reply = converse(client)
    block = reply["output"]["message"]["content"][0]
    assert "text" in block or block["toolUse"]["input"] == {}
    assert (reply["stopReason"] == "max_tokens") == (fault == "truncated")


def test_manners_of_a_dishonest_model(bedrock: Bedrock, client: Any) -> None:
    bedrock.manner = Manner(paraphrase=1, wrong_word_count=1)
    excerpts = converse(client)["output"]["message"]["content"][0]["toolUse"]["input"]["excerpts"]
    assert all(one["excerpt"] not in TRANSCRIPT and one["word_count"] == 750 for one in excerpts)


def test_what_was_found_is_not_returned_again(client: Any) -> None:
    first = converse(client)["output"]["message"]["content"][0]["toolUse"]["input"]["excerpts"]
    openings = "\n".join(" ".join(one["excerpt"].split()[:12]) for one in first)
    second = converse(client, f"{PROMPT}\n<found>\n{openings}\n</found>")
    others = second["output"]["message"]["content"][0]["toolUse"]["input"]["excerpts"]
    assert others and not {one["excerpt"] for one in others} & {one["excerpt"] for one in first}


def paint(client: Any, **body: Any) -> dict[str, Any]:
    request = {"prompt": "a pier at dawn", "mode": "text-to-image", "aspect_ratio": "16:9", "output_format": "png"}
    reply: dict[str, Any] = json.loads(
        client.invoke_model(modelId=SD35, body=json.dumps(request | body))["body"].read()
    )
    return reply


def test_pictures_have_the_asked_shape_and_follow_the_seed(client: Any, bedrock: Bedrock) -> None:
    first, again, other = paint(client, seed=1), paint(client, seed=1), paint(client, seed=2)
    assert Image.open(io.BytesIO(b64decode(first["images"][0]))).size == (1344, 768)
    assert first["images"] == again["images"] != other["images"]
    assert bedrock.bill.usd == pytest.approx(0.24)
    assert len(bedrock.bill.paid_twice()) == 1


def test_a_filtered_picture_is_a_200_without_images(client: Any, bedrock: Bedrock) -> None:
    bedrock.faults = Faults(filtered_prompt=1)
    reply = paint(client)
    assert "images" not in reply and reply["finish_reasons"] == ["Filter reason: prompt"]
    assert bedrock.bill.usd == 0


def test_claude_answers_through_invoke_model_as_well(client: Any) -> None:
    body = {
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": 8192,
        "messages": [{"role": "user", "content": PROMPT}],
    }
    reply = json.loads(client.invoke_model(modelId=CLAUDE, body=json.dumps(body))["body"].read())
    assert len(json.loads(reply["content"][0]["text"])["excerpts"]) == 3 and reply["usage"]["output_tokens"] > 0


def test_a_bearer_token_goes_over_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with run_bedrock(Bedrock(token="right"), tls=tmp_path) as bedrock:
        for name, value in bedrock.environment().items():
            monkeypatch.setenv(name, value)
        assert converse(boto3.client("bedrock-runtime", endpoint_url=bedrock.endpoint))["stopReason"] == "tool_use"
        monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "wrong")
        with pytest.raises(ClientError, match="AccessDenied"):
            converse(boto3.client("bedrock-runtime", endpoint_url=bedrock.endpoint))


def test_wrong_credentials_and_models_are_refused(client: Any, bedrock: Bedrock) -> None:
    bedrock.token = "another"
    with pytest.raises(ClientError, match="AccessDenied"):
        converse(client)
    bedrock.token = None
    with pytest.raises(ClientError, match="model identifier is invalid"):
        client.converse(modelId="nonsense", messages=[{"role": "user", "content": [{"text": "x"}]}])
