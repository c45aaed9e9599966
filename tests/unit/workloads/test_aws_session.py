"""Sessions of boto3: AWS's models are read once a process, credentials by each session."""

from __future__ import annotations

from pathlib import Path

import pytest
from botocore.exceptions import UnknownServiceError
from botocore.loaders import JSONFileLoader

from fabula_workloads.runtime.aws_session import new_session, read_models


def test_models_are_read_once_and_credentials_by_each(monkeypatch: pytest.MonkeyPatch) -> None:
    read_models("s3")

    def read_again(self: JSONFileLoader, path: str) -> None:
        raise AssertionError(f"{path} is read once more")

    monkeypatch.setattr(JSONFileLoader, "load_file", read_again)
    for key in ("one", "two"):
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        session = new_session()
        session.client("s3", region_name="us-west-2")
        found = session.get_credentials()
        assert found is not None and found.access_key == key


def test_another_folder_of_models_is_looked_into(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "mine/2020-01-01").mkdir(parents=True)
    (tmp_path / "mine/2020-01-01/service-2.json").write_text("{}")
    assert "mine" not in new_session().get_available_services()
    with pytest.raises(UnknownServiceError):
        new_session().client("mine", region_name="us-west-2")
    monkeypatch.setenv("AWS_DATA_PATH", str(tmp_path))
    assert "mine" in new_session().get_available_services()
