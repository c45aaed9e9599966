"""A store that a command cannot read is told in one line, with what to do."""

from __future__ import annotations

import pytest
from tests.support.s3 import S3Server

from fabula_cli.exits import CommandFailed
from fabula_cli.store import opened
from fabula_workloads.runtime.s3_store import _client


@pytest.mark.parametrize(
    ("endpoint", "words", "elsewhere"),
    [("minio:9000", "AWS_ENDPOINT_URL.*write it as https://host$", False), ("http://127.0.0.1:9", "no answer", True)],
    ids=["a setting of this machine's", "a store that only pods reach"],
)
def test_a_wrong_setting_is_no_matter_of_where_the_store_is(
    endpoint: str, words: str, elsewhere: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in S3Server(endpoint).environment().items():
        monkeypatch.setenv(name, value)
    _client.cache_clear()
    with pytest.raises(CommandFailed, match=words) as refused, opened("s3://bucket/x") as store:
        store.read("manifest.json")
    _client.cache_clear()
    assert ("only pods reach" in str(refused.value)) == elsewhere
    assert "\n" not in str(refused.value)
