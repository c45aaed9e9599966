"""Refusals that hold for every call alike: how each is known, which field it belongs to, and what to do about it.

The provider's code alone does not tell them apart: a 400 is a prompt too long, an account without access or a limit of
the model, and a 404 a wrong name, a form that nobody filled in or a model at the end of its life.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from fabula_workloads.runtime.failures import ConfigInvalid, CredentialsRefused, WorkerError

STS = ("AssumeRole", "AssumeRoleWithWebIdentity", "AssumeRoleWithSAML", "GetSessionToken")
_CLOCK_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Place:
    """Where calls go, as an error names it."""

    field: str = "extraction"
    """Part of the spec that has model, region and endpoint."""
    model: str = ""
    region: str = ""
    host: str = ""

    @property
    def model_field(self) -> str:
        """The field that names the model; beside it, `images.model` is one that is drawn with here."""
        return f"{self.field}.bedrockModel" if self.field.endswith("images") else f"{self.field}.model"

    def __str__(self) -> str:
        return f"{self.host or 'Bedrock'}, region {self.region or 'unknown'}"


@dataclass(frozen=True, slots=True)
class Cause:
    """One cause. It is meant where code and words both fit; `remedy` may use the place's names and `{code}`."""

    code: str
    """Pattern of the whole error code."""
    words: str
    """Pattern that occurs in the provider's message; empty fits all."""
    kind: type[WorkerError]
    reason: str | None
    remedy: str
    sts: bool = False
    """Whether it comes from the token service and not from Bedrock."""


_SETUP = (
    # The token service, which gives a ServiceAccount its role.
    Cause("InvalidIdentityToken.*|ExpiredToken.*", "", CredentialsRefused, "NoIdentity",
          "the token service does not take the pod's web identity token ({code}): the cluster's OIDC issuer must be an "
          "identity provider of the account, with audience sts.amazonaws.com", sts=True),
    Cause("AccessDenied.*", "", CredentialsRefused, "NoPermission",
          "the role in AWS_ROLE_ARN may not be taken ({code}): its trust policy must allow "
          "sts:AssumeRoleWithWebIdentity to spec.serviceAccountName in the run's namespace (sub and aud), and "
          "eks.amazonaws.com/role-arn must name it",
          sts=True),
    Cause("RegionDisabled.*", "", CredentialsRefused, "NoPermission",
          "the token service is not on in region {region} ({code}): enable the region in the account", sts=True),
    Cause("ValidationError", "", ConfigInvalid, None,
          "the token service does not take the role's name ({code}): AWS_ROLE_ARN is arn:aws:iam::ACCOUNT:role/NAME",
          sts=True),
    Cause("(?!Throttling|IDPCommunication|Internal|ServiceUnavailable).*", "", CredentialsRefused, None,
          "the token service refuses the pod's identity ({code}): look at spec.serviceAccountName and its role",
          sts=True),
    # Credentials.
    Cause("InvalidSignatureException|SignatureDoesNotMatch", "", CredentialsRefused, None,
          "the signature does not fit the key ({code}): AWS_SECRET_ACCESS_KEY does not belong to AWS_ACCESS_KEY_ID"),
    Cause("ExpiredToken.*", "", CredentialsRefused, None,
          "the credentials have expired ({code}): renew AWS_SESSION_TOKEN and its keys, or use a role"),
    Cause("UnrecognizedClientException|InvalidClientTokenId", "", CredentialsRefused, None,
          "Bedrock does not know the credentials ({code}): correct AWS_ACCESS_KEY_ID and AWS_SESSION_TOKEN, or enable "
          "region {region} in the account"),
    Cause("MissingAuthenticationTokenException|IncompleteSignature.*", "", CredentialsRefused, None,
          "Bedrock refuses the credentials ({code}); correct them in the Secret that secretRef or the installation "
          "names, or the identity of the ServiceAccount"),
    Cause("AccessDenied.*|UnrecognizedClient.*", "(?i)api key|bearer token", CredentialsRefused, None,
          "Bedrock does not take the API key ({code}): AWS_BEARER_TOKEN_BEDROCK is mistyped, expired, or of another "
          "region"),
    # The account.
    Cause("ValidationException|AccessDenied.*", "(?i)operation not allowed", CredentialsRefused, "NoPermission",
          "the account has no access to models in {region} ({code}: operation not allowed): ask for access in "
          "Bedrock's model catalog, or AWS support where the account is new"),
    Cause(".*", "(?i)use case (details|form)", CredentialsRefused, "NoPermission",
          "the account has not sent the vendor's use-case form for {model} ({code}): fill it in in Bedrock's model "
          "catalog; it takes some minutes to count"),
    Cause(".*", "(?i)payment|marketplace", CredentialsRefused, "NoPermission",
          "the account has no valid subscription to {model} ({code}): set a payment method, and allow "
          "aws-marketplace:Subscribe and ViewSubscriptions to whoever uses the model first"),
    Cause(".*", "(?i)unsupported countr|not available in your (country|region)", CredentialsRefused, "NoPermission",
          "the vendor does not offer {model} where the calls come from ({code}): use another {field}.region or model"),
    Cause("AccessDenied.*", "(?i)service control policy", CredentialsRefused, "NoPermission",
          "a service control policy of the organisation denies {model} in {region} ({code}): a profile over several "
          "regions needs all of them; use another {name} or {field}.region"),
    # The model.
    Cause(".*", "(?i)end of (its )?life|legacy", ConfigInvalid, None,
          "{name}: {model} is at the end of its life ({code}); name a current model"),
    Cause("ValidationException", "(?i)on-demand throughput", ConfigInvalid, None,
          "{name}: {model} is only called through an inference profile ({code}): name it with a region before "
          "it, as us.{model} or global.{model}"),
    Cause("ResourceNotFoundException", "", ConfigInvalid, None,
          "{name}: Bedrock knows no model {model} in {region} ({code}); check the id and {field}.region"),
    Cause("ValidationException", "(?i)model identifier|inference profile", ConfigInvalid, None,
          "{name}: Bedrock knows no model {model} in {region} ({code}); check the id and {field}.region"),
    Cause("ValidationException", "(?i)max(imum)?[ _]?tokens", ConfigInvalid, None,
          "{field}.maxTokens is above what {model} can write{limit} ({code}); lower it"),
    Cause("ValidationException", "(?i)(does ?n.t|not) support (tool|system|toolConfig|converse)", ConfigInvalid, None,
          "{name}: {model} takes no tools or no system prompt ({code}); name a model that does"),
    Cause("AccessDenied.*", "", CredentialsRefused, "NoPermission",
          "the credentials may not use {model} on Bedrock in {region} ({code}): allow bedrock:InvokeModel for it, and "
          "ask for access to the model in the account"),
)  # fmt: skip
_CLOCK = re.compile(r"(?i)signature (expired|not yet current)|request time|is now earlier than|too skewed")
_CLOCK_CODES = frozenset({"RequestExpired", "RequestTimeTooSkewed"})
_LIMIT = re.compile(r"(?i)limit of (\d+)")


def setup_error(
    code: str, message: str, operation: str, headers: Mapping[str, Any], place: Place
) -> WorkerError | None:
    """The failure behind an answer that every call would get; None where it may be this request's own."""
    if code in _CLOCK_CODES or _CLOCK.search(message):
        return CredentialsRefused(f"{_clock(headers)} ({code}): set the node's clock (NTP)", "ClockSkew")
    if ("Signature" in code or "Expired" in code) and (clock := _off(headers)):
        return CredentialsRefused(f"{clock} ({code}): set the node's clock (NTP)", "ClockSkew")
    for cause in _SETUP:
        if cause.sts == (operation in STS) and re.fullmatch(cause.code, code) and re.search(cause.words, message):
            limit = _LIMIT.search(message)
            remedy = cause.remedy.format(
                code=code, field=place.field, name=place.model_field, model=place.model,
                region=place.region or "this region", limit=f", {limit[1]}" if limit else "",
            )  # fmt: skip
            return cause.kind(remedy, cause.reason)
    return None


def _clock(headers: Mapping[str, Any]) -> str:
    return _off(headers) or "the clock of this machine is off: the provider finds the signature too old or too new"


def _off(headers: Mapping[str, Any]) -> str | None:
    """How far the clock is off, by the answer's own date; None within two minutes."""
    try:
        theirs = parsedate_to_datetime(str(headers.get("date")))
        seconds = (datetime.now(UTC) - theirs).total_seconds()
    except (TypeError, ValueError):
        return None
    if abs(seconds) < _CLOCK_SECONDS:
        return None
    way = "ahead of" if seconds > 0 else "behind"
    return f"the clock of this machine is {round(abs(seconds))} s {way} the provider's"
