"""Settings and accounts of AWS as people have them: what every call meets, and what must be said of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from fabula_workloads.runtime.failures import ConfigInvalid, CredentialsRefused, WorkerError


@dataclass(frozen=True)
class Account:
    """A fault of the stand-in's SETUP, how the stage ends, and words of what is said."""

    fault: str
    kind: type[WorkerError]
    words: str


ACCOUNTS = [
    Account("no_access", CredentialsRefused, "the account has no access to models in us-west-2 .*model catalog"),
    Account("max_tokens", ConfigInvalid, r"extraction\.maxTokens is above what .* can write, 4096 .*lower it"),
    Account("no_tools", ConfigInvalid, r"extraction\.model: .* takes no tools"),
    Account("on_demand", ConfigInvalid, r"extraction\.model: .* inference profile"),
    Account("use_case", CredentialsRefused, "use-case form"),
    Account("end_of_life", ConfigInvalid, r"extraction\.model: .* end of its life .*name a current model"),
    Account("no_model", ConfigInvalid, r"extraction\.model: Bedrock knows no model .* in us-west-2"),
    Account("marketplace", CredentialsRefused, "no valid subscription .*payment method"),
    Account("policy", CredentialsRefused, "service control policy"),
    Account("api_key", CredentialsRefused, "AWS_BEARER_TOKEN_BEDROCK"),
    Account("late", CredentialsRefused, "clock .*NTP"),
    Account("wrong_secret", CredentialsRefused, "AWS_SECRET_ACCESS_KEY does not belong to AWS_ACCESS_KEY_ID"),
    Account("unknown_key", CredentialsRefused, "does not know the credentials .*AWS_ACCESS_KEY_ID"),
    Account("old_session", CredentialsRefused, "have expired .*renew"),
    Account("odd", ConfigInvalid, 'refused all . calls alike .*saying "temperature and top_p .*tried again'),
]


@dataclass(frozen=True)
class Setting:
    """Variables and fields that no call gets through with; `words` says what is said, `sent` what of it must not be."""

    kind: str
    variables: dict[str, str | None] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    """Content by the variable that names the file."""
    region: str = "us-west-2"
    endpoint: Callable[[str], str | None] = lambda real: real
    error: type[WorkerError] = ConfigInvalid
    words: str = ""

    def apply(self, folder: Path) -> dict[str, str | None]:
        """The variables, with files written."""
        named: dict[str, str | None] = {}
        for name, content in self.files.items():
            (folder / name).write_text(content)
            named[name] = str(folder / name)
        return self.variables | named


NO_KEYS: dict[str, str | None] = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}
SETTINGS = [
    Setting("a key with a line break within", {"AWS_ACCESS_KEY_ID": "AKIA\nX"}, error=CredentialsRefused,
            words="a line break or blank within; correct the Secret"),
    Setting("a session token of two lines", {"AWS_SESSION_TOKEN": "abc\ndef"}, error=CredentialsRefused,
            words="a line break or blank within"),
    Setting("an unknown profile", {"AWS_PROFILE": "nobody"}, words=r"AWS_PROFILE.*\(nobody\)"),
    Setting("settings that are no INI", files={"AWS_CONFIG_FILE": "[default\n"}, words="AWS_CONFIG_FILE"),
    Setting("half of a key", {"AWS_SECRET_ACCESS_KEY": None}, error=CredentialsRefused,
            words="missing: AWS_SECRET_ACCESS_KEY"),
    Setting("no credentials", NO_KEYS, error=CredentialsRefused, words="no credentials for Bedrock were found"),
    Setting("a token file that is not mounted", NO_KEYS | {"AWS_WEB_IDENTITY_TOKEN_FILE": "/none/token",
            "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/x"}, words="/none/token.*AWS_WEB_IDENTITY_TOKEN_FILE"),
    Setting("a process that fails", NO_KEYS, {"AWS_CONFIG_FILE": "[default]\ncredential_process = false\n"},
            error=CredentialsRefused, words="credential_process"),
    Setting("a region of two words", region="us west 2", words=r"extraction\.region: 'us west 2' is no name of a"),
    Setting("a region mistyped", region="us-wset-2", endpoint=lambda real: None,
            words=r"extraction\.region: there is no Bedrock at bedrock-runtime\.us-wset-2\..*did you mean us-west-2"),
    Setting("an endpoint without a scheme", endpoint=lambda real: "bedrock.example", words=r"extraction\.endpointUrl"),
    Setting("TLS where there is none", endpoint=lambda real: str(real).replace("http:", "https:"),
            words=r"127\.0\.0\.1.*speaks no TLS"),
]  # fmt: skip
