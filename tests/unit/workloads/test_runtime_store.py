"""What every store must do, asked of a folder and of a real S3 server; and what each does when things go wrong."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.support.s3 import BUCKET, S3Server

from fabula_api.worker import ExitCode
from fabula_workloads.runtime.failures import (
    ConfigInvalid,
    CredentialsRefused,
    InputInvalid,
    NotFound,
    TryAgain,
    from_os_error,
)
from fabula_workloads.runtime.open_store import materialize, open_store
from fabula_workloads.runtime.store import Store, resolve_uri


def paths(store: Store, prefix: str = "") -> list[str]:
    return sorted(entry.path for entry in store.list(prefix))


class TestAnyStore:
    def test_what_was_written_is_read(self, store: Store) -> None:
        store.write("a/b.bin", b"first")
        store.write("a/b.bin", b"second, longer")
        assert store.read("a/b.bin") == b"second, longer"
        assert [(entry.path, entry.size) for entry in store.list()] == [("a/b.bin", 14)]

    def test_empty_files_and_odd_names_survive(self, store: Store) -> None:
        for name in ("empty", "with space.txt", "percent%20.txt", "grüße.txt", "a+b&c=d.txt"):
            store.write(f"folder/{name}", name.encode())
        assert paths(store, "folder") == sorted(
            f"folder/{name}" for name in ("empty", "with space.txt", "percent%20.txt", "grüße.txt", "a+b&c=d.txt")
        )
        assert store.read("folder/percent%20.txt") == b"percent%20.txt"

    def test_absent_is_not_found(self, store: Store, tmp_path: Path) -> None:
        for ask in (store.read, store.open, lambda path: store.download(path, tmp_path / "local")):
            with pytest.raises(NotFound, match="nothing/here does not exist"):
                ask("nothing/here")
        assert not store.exists("nothing/here")
        assert not (tmp_path / "local").exists()
        assert paths(store) == []

    def test_write_if_absent_writes_once(self, store: Store) -> None:
        assert store.write_if_absent("m", b"one")
        assert not store.write_if_absent("m", b"two")
        assert not store.write_if_absent("m", b"one")
        assert store.read("m") == b"one"

    def test_of_many_writers_at_once_one_wins_and_its_bytes_are_there(self, store: Store) -> None:
        contents = [bytes([65 + index]) * 50_000 for index in range(8)]
        with ThreadPoolExecutor(8) as writers:
            for attempt in range(5):
                won = list(writers.map(lambda data, n=attempt: store.write_if_absent(f"race/{n}", data), contents))
                assert sum(won) == 1
                assert store.read(f"race/{attempt}") == contents[won.index(True)]

    def test_list_and_delete_take_folders_and_not_prefixes_of_names(self, store: Store) -> None:
        for path in ("step-1/x", "step-10/x", "step-1.json", "other"):
            store.write(path, b"x")
        assert paths(store, "step-1") == ["step-1/x"]
        assert paths(store, "other") == ["other"]
        store.delete("step-1")
        assert paths(store) == ["other", "step-1.json", "step-10/x"]
        store.delete("step-1")
        store.delete("other")
        assert paths(store) == ["step-1.json", "step-10/x"]

    def test_a_child_sees_only_its_folder(self, store: Store) -> None:
        child = store.child("one/two")
        child.write("x", b"1")
        store.write("one/twofold", b"2")
        assert child.uri == f"{store.uri}/one/two"
        assert paths(child) == ["x"]
        assert store.read("one/two/x") == b"1"

    def test_files_travel_both_ways(self, store: Store, tmp_path: Path) -> None:
        data = os.urandom(9 * 1024 * 1024)  # above the size from which boto3 uploads in parts
        (tmp_path / "up").write_bytes(data)
        store.upload(tmp_path / "up", "big/file")
        store.download("big/file", tmp_path / "new folder" / "down")
        assert (tmp_path / "new folder" / "down").read_bytes() == data
        assert sorted(path.name for path in (tmp_path / "new folder").iterdir()) == ["down"]

    def test_streams_give_lines(self, store: Store) -> None:
        store.write("lines", b"".join(b"%06d\n" % number for number in range(100_000)))
        with store.open("lines") as stream:
            assert stream.peek(2)[:2] == b"00"
            assert sum(int(line) for line in stream) == 4_999_950_000

    def test_more_files_than_a_page_of_a_listing(self, store: Store) -> None:
        with ThreadPoolExecutor(16) as writers:
            list(writers.map(lambda number: store.write(f"many/{number:04d}", b""), range(1100)))
        assert paths(store, "many") == [f"many/{number:04d}" for number in range(1100)]
        store.delete("many")
        assert paths(store) == []

    @pytest.mark.parametrize("path", ["/absolute", "../outside", "a/../b", "a//b", "", "nul\0byte"])
    def test_paths_stay_inside(self, store: Store, path: str) -> None:
        with pytest.raises(ConfigInvalid, match="not a path below"):
            store.write(path, b"")

    def test_materialize_gives_files_and_folders(self, store: Store, tmp_path: Path) -> None:
        store.write("model/config.json", b"{}")
        store.write("model/deep/weights", b"123")
        folder = materialize(f"{store.uri}/model", tmp_path)
        assert (folder / "deep/weights").read_bytes() == b"123"
        assert folder.name == "model"
        assert materialize(f"{store.uri}/model/config.json", tmp_path).read_bytes() == b"{}"
        assert materialize(f"{store.uri}/model", tmp_path) == folder
        store.write("model/deep/weights", b"456")
        assert (materialize(f"{store.uri}/model", tmp_path) / "deep/weights").read_bytes() == b"456"
        with pytest.raises(NotFound):
            materialize(f"{store.uri}/nothing", tmp_path)


class TestUris:
    @pytest.mark.parametrize(
        ("uri", "expected"),
        [
            ("data/x.jsonl", "s3://bucket/root/data/x.jsonl"),
            ("data/", "s3://bucket/root/data"),
            ("s3://other/key/", "s3://other/key"),
            ("file:///data/x", "file:///data/x"),
        ],
    )
    def test_without_a_scheme_below_the_root(self, uri: str, expected: str) -> None:
        assert resolve_uri(uri, "s3://bucket/root/") == expected

    @pytest.mark.parametrize(
        "uri", ["gs://bucket/x", "../up", "a/../../up", "/etc/passwd", "file://", "s3://", "file://host/x"]
    )
    def test_what_is_no_place_is_refused(self, uri: str) -> None:
        with pytest.raises(ConfigInvalid):
            resolve_uri(uri, "s3://bucket/root")


class TestFileStoreInTrouble:
    def test_killed_while_writing_it_shows_the_old_file_or_the_new(self, tmp_path: Path) -> None:
        """kill -9 at any moment of a loop of writes: the file is whole, and nothing else is listed."""
        writer = (
            "import sys\nfrom fabula_workloads.runtime.open_store import open_store\n"
            "store = open_store(sys.argv[1])\nnumber = 0\n"
            "while True:\n    number += 1\n    store.write('file', bytes([65 + number % 26]) * 3_000_000)\n"
            "    store.write_if_absent(f'once/{number}', b'x' * 1_000_000)\n    print(number, flush=True)\n"
        )
        store = open_store(tmp_path.as_uri())
        for rounds in (1, 3, 4):
            command = [sys.executable, "-c", writer, tmp_path.as_uri()]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            assert process.stdout is not None
            for _ in range(rounds):
                assert process.stdout.readline()
            time.sleep(0.003 * rounds)  # somewhere within the next write; wherever it hits, the claim must hold
            process.send_signal(signal.SIGKILL)
            process.wait()
            process.stdout.close()
            data = store.read("file")
            assert len(data) == 3_000_000
            assert len(set(data)) == 1
            assert {entry.size for entry in store.list("once")} == {1_000_000}
            assert all("tmp" not in path for path in paths(store))

    @pytest.mark.parametrize(
        ("number", "kind", "reason", "code"),
        [
            (errno.ENOSPC, TryAgain, "NoSpace", ExitCode.RETRY),
            (errno.EDQUOT, TryAgain, "NoSpace", ExitCode.RETRY),
            (errno.EIO, TryAgain, "StoreUnavailable", ExitCode.RETRY),
            (errno.ESTALE, TryAgain, "StoreUnavailable", ExitCode.RETRY),
            (errno.EACCES, CredentialsRefused, "NoPermission", ExitCode.CREDENTIALS),
            (errno.EROFS, CredentialsRefused, "NoPermission", ExitCode.CREDENTIALS),
            (errno.ENOENT, NotFound, "InputInvalid", ExitCode.INPUT),
        ],
    )
    def test_errors_of_the_system_have_names(self, number: int, kind: type, reason: str, code: ExitCode) -> None:
        failure = from_os_error(OSError(number, os.strerror(number)), "file:///x")
        assert (type(failure), failure.reason, failure.exit_code) == (kind, reason, code)
        assert "file:///x" in failure.message

    def test_a_folder_of_others(self, tmp_path: Path) -> None:
        folder = tmp_path / "locked"
        folder.mkdir(mode=0o500)
        (folder / "file").write_text("x")
        (folder / "file").chmod(0)
        root = os.geteuid() == 0
        if root:  # root may do everything; look with other eyes
            tmp_path.chmod(0o755)
            folder.chmod(0o555)
            for parent in tmp_path.parents[:2]:
                parent.chmod(0o755)
            os.seteuid(65534)
        try:
            store = open_store(folder.as_uri())
            with pytest.raises(CredentialsRefused, match="Permission denied") as refused:
                store.write("new", b"")
            assert refused.value.reason == "NoPermission"
            with pytest.raises(CredentialsRefused):
                store.read("file")
        finally:
            if root:
                os.seteuid(0)

    def test_a_folder_is_no_file(self, tmp_path: Path) -> None:
        (tmp_path / "folder").mkdir()
        with pytest.raises(InputInvalid, match="as a file"):
            open_store(tmp_path.as_uri()).read("folder")


class TestS3InTrouble:
    def test_no_such_bucket(self, s3_environment: S3Server) -> None:
        with pytest.raises(NotFound, match="there is no bucket nowhere"):
            open_store("s3://nowhere/x").read("y")

    def test_a_reader_may_not_write(self, s3_environment: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
        open_store(f"s3://{BUCKET}/shared").write("file", b"read me")
        keys = s3_environment.environment(s3_environment.reader_access_key, s3_environment.reader_secret_key)
        with fresh_client(monkeypatch, keys):
            store = open_store(f"s3://{BUCKET}/shared")
            assert store.read("file") == b"read me"
            with pytest.raises(CredentialsRefused) as refused:
                store.write("other", b"")
            assert (refused.value.reason, refused.value.exit_code) == ("NoPermission", ExitCode.CREDENTIALS)

    def test_wrong_keys_are_refused(self, s3_environment: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
        with fresh_client(monkeypatch, s3_environment.environment("builder", "a-wrong-secret")):
            with pytest.raises(CredentialsRefused) as refused:
                open_store(f"s3://{BUCKET}/x").read("y")
            assert "a-wrong-secret" not in refused.value.message

    def test_wrong_keys_are_told_where_an_answer_has_no_body(
        self, s3_environment: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        open_store(f"s3://{BUCKET}/told").write("y", b"here")
        with fresh_client(monkeypatch, s3_environment.environment("builder", "a-wrong-secret")):
            store = open_store(f"s3://{BUCKET}/told")
            for ask in (lambda: store.exists("y"), lambda: store.download("y", tmp_path / "y")):
                with pytest.raises(CredentialsRefused) as refused:
                    ask()
                assert refused.value.reason == "CredentialsRefused"

    @pytest.mark.parametrize("blank", ["\n", " ", "\ufeff"])
    def test_blanks_at_an_end_of_a_setting_are_left_out(
        self, s3_environment: S3Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, blank: str
    ) -> None:
        environment = {name: f"{value}{blank}" for name, value in s3_environment.environment().items()}
        with fresh_client(monkeypatch, environment):
            store = open_store(f"s3://{BUCKET}/blanks")
            store.write("y", b"here")
            assert store.read("y") == b"here"
        assert "AWS_SECRET_ACCESS_KEY has white space at an end" in caplog.text

    def test_no_route_is_tried_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        keys = S3Server("http://127.0.0.1:9").environment()
        with fresh_client(monkeypatch, keys), pytest.raises(TryAgain, match="cannot be reached") as unreachable:
            open_store("s3://bucket/x").read("y")
        assert unreachable.value.reason == "StoreUnavailable"

    def test_no_credentials(self, monkeypatch: pytest.MonkeyPatch) -> None:
        keys = S3Server("http://127.0.0.1:9").environment()
        del keys["AWS_ACCESS_KEY_ID"], keys["AWS_SECRET_ACCESS_KEY"]
        monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY", raising=False)
        with fresh_client(monkeypatch, keys), pytest.raises(CredentialsRefused, match="no credentials"):
            open_store("s3://bucket/x").read("y")


class fresh_client:
    """An environment of its own and a client made in it: clients are kept for the whole process otherwise."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)

    def __enter__(self) -> None:
        from fabula_workloads.runtime.s3_store import _client

        _client.cache_clear()

    def __exit__(self, *exception: object) -> None:
        self.__enter__()
