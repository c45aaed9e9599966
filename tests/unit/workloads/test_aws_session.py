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


@pytest.mark.parametrize(
    ("variables", "region"),
    [
        ({"AWS_REGION": "eu-west-1"}, "eu-west-1"),
        ({"AWS_DEFAULT_REGION": "eu-west-1"}, "eu-west-1"),
        ({"AWS_REGION": "eu-west-1\n", "AWS_DEFAULT_REGION": "us-west-2"}, "eu-west-1"),
        ({"AWS_REGION": "", "AWS_DEFAULT_REGION": "us-west-2"}, "us-west-2"),
    ],
)
def test_the_region_is_that_of_either_variable(
    variables: dict[str, str], region: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert new_session().client("s3").meta.region_name == region
