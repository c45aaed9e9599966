"""What a failed worker leaves behind: no credential, no query of a URL, nothing that a terminal obeys."""

from __future__ import annotations

import logging
import os
import tempfile
from pathlib import Path

import pytest
from tests.support import tenant

from fabula_api.outside import without_secrets
from fabula_workloads.runtime.context import CACHE_VARIABLE, cache_folder
from fabula_workloads.runtime.failures import ConfigInvalid
from fabula_workloads.runtime.termination import LogTail, digest_of_failure

MARK = "hunter2"
SAYINGS = {
    "a presigned URL": f"GET https://b.s3.amazonaws.com/a.png?X-Amz-Signature={MARK}&X-Amz-Credential={MARK} failed",
    "a user in a URL": f"cannot reach https://me:{MARK}@proxy.example:3128/path",
    "a token as the user": f"clone of https://{MARK}@host.example/x",
    "a fragment": f"s3://bucket/key#{MARK}",
    "a header": f"headers: {{'Authorization': 'Bearer {MARK}', 'X-Amz-Security-Token': '{MARK}'}}",
    "a quoted URL": f'url="https://h.example/p?token={MARK}"',
    "a database": f"postgresql://me:{MARK}@db.example/x",
}


@pytest.mark.parametrize("text", SAYINGS.values(), ids=SAYINGS)
def test_an_unforeseen_exception_and_the_log_give_no_secret_away(text: str) -> None:
    tail = LogTail()
    tail.emit(logging.LogRecord("x", logging.ERROR, "x.py", 1, text, None, None))
    try:
        raise RuntimeError(text)
    except RuntimeError as error:
        digest = digest_of_failure(error, "train", 0, tail.lines())
    assert MARK not in digest.model_dump_json()
    assert "***" in digest.message
    assert "***" in digest.log_tail[0]


@pytest.mark.parametrize(
    "text", ["https://host.example/a/b and more", "s3://bucket/key", "a note: what is ?x=1", "user@host.example"]
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert without_secrets(text) == text


@pytest.mark.parametrize("text", tenant.TEXTS.values(), ids=tenant.TEXTS)
def test_a_failure_is_told_in_safe_text(text: str) -> None:
    digest = digest_of_failure(RuntimeError(text), "train", 0, [text])
    said = digest.message + "".join(digest.log_tail)
    assert not set(said) & set("\x1b\x07\u202e\u2028\ud800")


def test_the_cache_is_this_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CACHE_VARIABLE, raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = cache_folder()
    assert folder.stat().st_mode & 0o077 == 0
    assert cache_folder() == folder
    folder.chmod(0o777)
    with pytest.raises(ConfigInvalid, match="others may write"):
        cache_folder()
    folder.rmdir()
    planted = tmp_path / "planted"
    planted.mkdir(mode=0o700)
    (tmp_path / f"fabula-cache-{os.getuid()}").symlink_to(planted)
    with pytest.raises(ConfigInvalid, match="somebody else"):
        cache_folder()
