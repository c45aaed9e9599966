"""Sessions of boto3 that share what botocore knows of AWS's services."""

from __future__ import annotations

import os
from functools import lru_cache

import boto3
import botocore.session
from botocore.loaders import Loader, create_loader

from fabula_workloads.runtime.aws_settings import strip_settings


def new_session() -> boto3.session.Session:
    """A session with credentials and settings of its own: boto3's default one keeps those that its first client found.

    Service models and endpoints are read once a process: a tenth of a second of each session otherwise. Raises what
    botocore raises of AWS's files.
    """
    strip_settings()
    core = botocore.session.get_session()
    core.register_component("data_loader", _models(core.get_config_variable("data_path")))
    # boto3 alone of AWS's libraries does not know AWS_REGION.
    return boto3.session.Session(botocore_session=core, region_name=os.environ.get("AWS_REGION"))


def read_models(*services: str) -> None:
    """Read what clients of these services will need, ahead of them."""
    for service in services:
        new_session().client(service, "us-east-1", aws_access_key_id="none", aws_secret_access_key="none")  # noqa: S106


@lru_cache(maxsize=4)
def _models(folders: str | None) -> Loader:
    """What has read AWS's models, from botocore and from `AWS_DATA_PATH`."""
    return create_loader(folders)
