"""Settings of AWS as they come out of Secrets and files: with a line break at their end more often than not."""

from __future__ import annotations

import logging
import os

_NAMES = (
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_BEARER_TOKEN_BEDROCK", "AWS_PROFILE",
    "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE", "AWS_CA_BUNDLE",
)  # fmt: skip
_log = logging.getLogger(__name__)


def strip_settings() -> None:
    """Take blanks off both ends of AWS's variables, saying which had some. No key, token or name has any."""
    for name in _NAMES:
        value = os.environ.get(name)
        if value is None or value == (plain := value.strip().strip("\ufeff\u200b\u00a0")):
            continue
        if plain:
            os.environ[name] = plain
        else:
            del os.environ[name]
        _log.warning("%s has white space at an end, which is left out; correct the Secret", name)
