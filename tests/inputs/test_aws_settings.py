"""A wrong account, model or credential ends the stage at once, in words that name the field, and marks no item."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, CredentialRetrievalError, EndpointConnectionError

from fabula_workloads.bedrock.causes import Place
from fabula_workloads.bedrock.client import BedrockClient
from fabula_workloads.bedrock.errors import Transient, classify
from fabula_workloads.bedrock.refusals import ALL_REFUSED, Refusals
from fabula_workloads.recipes.podcast import extract
from fabula_workloads.recipes.podcast.extraction.excerpt_reply import kept_reply, read_reply
from fabula_workloads.runtime.failures import ConfigInvalid, CredentialsRefused, TryAgain, WorkerError
from fabula_workloads.runtime.ledger import Ledger
from fabula_workloads.runtime.open_store import open_store
from tests.inputs.aws_settings import ACCOUNTS, SETTINGS, Account, Setting
from tests.support.bedrock import Bedrock, run_bedrock
from tests.support.bedrock_clock import ScaledClock
from tests.support.bedrock_faults import Faults
from tests.support.episodes_artifact import episode, write_episodes
from tests.support.stage_context import stage_context
from tests.support.worker_process import run_worker_process, worker_config

PLACE = Place("extraction", "the-model", "us-west-2", "bedrock.example")
MODEL = "global.anthropic.claude-sonnet-4-5-20250929-v1:0"


@pytest.fixture
def bedrock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bedrock]:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    with run_bedrock(Bedrock(clock=ScaledClock(200))) as running:
        for name, value in running.environment().items():
            monkeypatch.setenv(name, value)
        yield running


def asked(bedrock: Bedrock, **fields: Any) -> dict[str, Any]:
    extraction = {
        "provider": "bedrock", "endpointUrl": bedrock.endpoint, "words": {"min": 100, "max": 260}, "maxTokens": 4096,
    }  # fmt: skip
    return {"source": {"uri": "x", "licenseAccepted": True}, "extraction": extraction | fields}


def counts(root: Path, bedrock: Bedrock, shards: int = 1, **fields: Any) -> dict[str, float]:
    if not (root / "ingest").exists():
        write_episodes(root, [episode(number, turns=20) for number in range(4)])
    spec = asked(bedrock, **fields)
    inputs = {"ingest": "ingest"}
    context = stage_context(root, "DatasetBuild", "extract", spec, "extract", inputs, shards=shards)
    return extract.run(context, bedrock.clock).counts  # type: ignore[arg-type]


@pytest.mark.parametrize("row", ACCOUNTS, ids=lambda row: row.fault)
def test_what_every_call_meets_ends_the_stage_and_marks_no_item(row: Account, bedrock: Bedrock, tmp_path: Path) -> None:
    bedrock.faults = Faults(always=row.fault)
    with pytest.raises(row.kind, match=row.words):
        counts(tmp_path, bedrock)
    assert Ledger(open_store(f"file://{tmp_path}/extract")).ids() == set()
    bedrock.faults = Faults()
    # The account is mended: all are tried, and nothing is left of before.
    assert counts(tmp_path, bedrock)["extract/ok"] == 4


def test_a_worker_says_it_in_its_last_word(bedrock: Bedrock, tmp_path: Path) -> None:
    bedrock.faults = Faults(always="no_access")
    write_episodes(tmp_path / "root", [episode(0)])
    given = [{"name": "ingest", "uri": "ingest", "digest": "unknown"}]
    config = worker_config(tmp_path / "root", "extract", asked(bedrock), inputs=given)
    ended = run_worker_process(tmp_path, config)
    assert (ended.code, ended.result["failure"]["reason"]) == (77, "NoPermission"), ended.output
    assert "operation not allowed" in ended.result["failure"]["message"]
    assert "Traceback" not in ended.output


def test_a_request_of_its_own_is_still_its_own(bedrock: Bedrock, tmp_path: Path) -> None:
    """Others were answered: the one that is refused has an outcome, which a later round may try again."""
    assert counts(tmp_path, bedrock)["extract/ok"] == 4
    ledger = Ledger(open_store(f"file://{tmp_path}/extract"))
    one = min(ledger.ids())
    ledger.remove(one)
    bedrock.faults = Faults(invalid=True)
    assert counts(tmp_path, bedrock, maxTokens=4095)["extract/failed/RequestRefused"] == 1
    assert (ledger.get(one) or {})["reason"] == "RequestRefused"


def test_little_evidence_is_tried_again() -> None:
    several = Refusals("Bedrock", "extraction.model m", lambda: False, shards=3)
    several.note("ValidationException", "a transcript")
    assert isinstance(found := several.all_alike(), TryAgain) and found.reason == ALL_REFUSED
    assert "a transcript" not in found.message  # which it may quote
    several.note("ValidationException", "two")
    several.note("ValidationException", "three")
    assert isinstance(several.all_alike(), ConfigInvalid)
    several.note("ModelErrorException", "four")
    assert several.all_alike() is None
    answered = Refusals("Bedrock", "extraction.model m", lambda: True)
    for _ in range(20):
        answered.note("ValidationException", "one")
    assert answered.all_alike() is None


def call(row: Setting, endpoint: str) -> None:
    client = BedrockClient(region=row.region, endpoint_url=row.endpoint(endpoint), concurrency=1)
    client.converse(MODEL, {"messages": [{"role": "user", "content": [{"text": "hello"}]}]}, "call")


@pytest.mark.parametrize("row", SETTINGS, ids=lambda row: row.kind)
def test_a_wrong_setting_is_told_by_its_name(
    row: Setting, bedrock: Bedrock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in row.apply(tmp_path).items():
        monkeypatch.delenv(name, raising=False) if value is None else monkeypatch.setenv(name, value)
    with pytest.raises(WorkerError, match=row.words) as refused:
        call(row, bedrock.endpoint)
    assert type(refused.value) is row.error
    assert bedrock.bill.charges == []
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        assert (row.variables.get(name) or "none of it") not in refused.value.message


@pytest.mark.parametrize("blank", ["\n", " ", "\r\n", "\ufeff", "\t"])
def test_blanks_at_an_end_are_left_out_and_told(
    bedrock: Bedrock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, blank: str
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, f"plain{blank}")
    call(Setting("", region=f"us-west-2{blank.strip(chr(0xFEFF))}"), bedrock.endpoint)
    assert bedrock.authorizations.pop()[0].startswith("AWS4-HMAC-SHA256 Credential=plain/")
    assert "AWS_SECRET_ACCESS_KEY has white space at an end" in caplog.text and "plain" not in caplog.text


def answered(code: str, message: str, operation: str = "Converse", date: datetime | None = None) -> Any:
    headers = {} if date is None else {"date": format_datetime(date, usegmt=True)}
    metadata = {"HTTPStatusCode": 403, "HTTPHeaders": headers}
    error = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": metadata}
    return classify(ClientError(error, operation), PLACE)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("AccessDenied", r"trust policy must allow sts:AssumeRoleWithWebIdentity to spec\.serviceAccountName"),
        ("InvalidIdentityToken", "OIDC issuer must be an identity provider"),
        ("ExpiredTokenException", "does not take the pod's web identity token"),
        ("RegionDisabledException", "enable the region"),
        ("ValidationError", "AWS_ROLE_ARN is arn:aws:iam"),
        ("MalformedPolicyDocument", r"look at spec\.serviceAccountName"),
    ],
)
def test_a_word_of_the_token_service_is_not_bedrocks(code: str, words: str) -> None:
    found = answered(code, "Not authorized to perform sts:AssumeRoleWithWebIdentity", "AssumeRoleWithWebIdentity")
    assert isinstance(found, (CredentialsRefused, ConfigInvalid))
    assert re.search(words, found.message) and "InvokeModel" not in found.message


@pytest.mark.parametrize("code", ["IDPCommunicationError", "ThrottlingException"])
def test_a_token_service_in_trouble_is_waited_for(code: str) -> None:
    assert isinstance(answered(code, "x", "AssumeRoleWithWebIdentity"), (Transient, CredentialsRefused))


def test_a_clock_that_is_off_is_told_by_how_much() -> None:
    found = answered("InvalidSignatureException", "does not match", date=datetime.now(UTC) - timedelta(minutes=31))
    assert found.reason == "ClockSkew" and "s ahead of the provider's" in found.message and "18" in found.message
    right = answered("InvalidSignatureException", "does not match", date=datetime.now(UTC))
    assert "AWS_SECRET_ACCESS_KEY does not belong" in right.message


def test_an_outage_names_host_and_region() -> None:
    found = classify(EndpointConnectionError(endpoint_url="https://bedrock.example"), PLACE)
    assert isinstance(found, Transient) and "bedrock.example, region us-west-2 cannot be reached" in found.what
    agent = classify(CredentialRetrievalError(provider="container-role", error_msg="x"), PLACE)
    assert isinstance(agent, Transient) and not agent.lost


def test_a_proxys_page_is_no_answer(bedrock: Bedrock) -> None:
    bedrock.faults = Faults(page=True)
    client = BedrockClient(region="us-west-2", endpoint_url=bedrock.endpoint, concurrency=1)
    with pytest.raises(Transient, match="proxy or a login page") as page:
        client.converse(MODEL, {"messages": [{"role": "user", "content": [{"text": "hello"}]}]}, "call")
    assert not page.value.lost
    with pytest.raises(Transient, match="proxy or a login page"):
        client.invoke("stability.sd3-5-large-v1:0", {"prompt": "x"}, "call")


def test_excerpts_in_a_string_are_excerpts(bedrock: Bedrock, tmp_path: Path) -> None:
    bedrock.faults = Faults(as_string=True)
    found = counts(tmp_path, bedrock)
    assert found["extract/ok"] == 4 and found["excerpt/ok"] >= 4 and "reply/malformed" not in found


def test_an_empty_reply_is_asked_for_again(bedrock: Bedrock, tmp_path: Path) -> None:
    bedrock.faults = Faults(empty=True)
    found = counts(tmp_path, bedrock)
    assert found["extract/failed/MalformedReply"] == 4 and found["calls/paid"] == 8
    bedrock.faults = Faults()
    spec = asked(bedrock) | {"retryFailed": 1}
    context = stage_context(tmp_path, "DatasetBuild", "extract", spec, "extract", {"ingest": "ingest"})
    assert extract.run(context, bedrock.clock).counts["extract/ok"] == 4  # type: ignore[arg-type]


ENTRY = {"excerpt": "Speaker 1: A.", "scenes": ["one", "two"]}


@pytest.mark.parametrize(
    "given",
    [
        {"excerpts": json.dumps([ENTRY])},
        {"excerpts": json.dumps(ENTRY)},
        {"excerpts": json.dumps({"excerpts": [ENTRY]})},
        {"excerpts": [json.dumps(ENTRY)]},
        {"excerpts": [ENTRY | {"scenes": json.dumps(ENTRY["scenes"])}]},
        {"excerpts": json.dumps([ENTRY, ENTRY])[:-30]},
        json.dumps({"excerpts": [ENTRY]}),
    ],
)
def test_ways_to_write_an_excerpt(given: Any) -> None:
    reply = read_reply({"content": [{"toolUse": {"input": given}}], "stopReason": "tool_use"})
    assert reply.kind == "ok" and (reply.excerpts[0].text, reply.excerpts[0].scenes) == (
        "Speaker 1: A.",
        ("one", "two"),
    )


@pytest.mark.parametrize(
    "reply", [{"output": {"message": None}}, {"output": None}, {}, {"output": {"message": {"content": None}}}]
)
def test_a_reply_without_a_message_is_malformed(reply: dict[str, Any]) -> None:
    assert read_reply(kept_reply({**reply, "stopReason": "end_turn"})).kind == "malformed"


def test_a_model_that_nobody_priced_is_told(caplog: pytest.LogCaptureFixture) -> None:
    from fabula_workloads.bedrock.shard import known_price

    profile = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123"
    price = known_price(profile, {}, None)
    assert price.output_quota_weight == 5 and f"no price of {profile} is known" in caplog.text
    with pytest.raises(ConfigInvalid, match="no price of"):
        known_price(profile, {}, 5.0)
