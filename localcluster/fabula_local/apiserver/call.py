"""One authenticated request on its way through the server, and what it is answered."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fabula_local.apiserver.errors import ApiError, bad_request, invalid_options
from fabula_local.apiserver.request import RequestInfo
from fabula_local.schema.errors import invalid, not_supported, too_long

_OPTIONS = {
    "create": "CreateOptions",
    "update": "UpdateOptions",
    "patch": "PatchOptions",
    "delete": "DeleteOptions",
    "deletecollection": "DeleteOptions",
}
FIELD_VALIDATION = ("Ignore", "Warn", "Strict")


@dataclass(frozen=True)
class User:
    """Who asks, as authentication found out."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: Mapping[str, list[str]] = field(default_factory=dict)

    @property
    def is_admin(self) -> bool:
        """Whether authorization is not asked at all."""
        return "system:masters" in self.groups

    def info(self) -> dict[str, Any]:
        """The UserInfo of reviews."""
        entries = {"username": self.name, "uid": self.uid, "groups": list(self.groups), "extra": dict(self.extra)}
        return {key: value for key, value in entries.items() if value}


@dataclass
class Call:
    """A request to handle."""

    info: RequestInfo
    query: Mapping[str, str]
    headers: Mapping[str, str]
    user: User
    body: bytes = b""
    warnings: list[str] = field(default_factory=list)

    @property
    def content_type(self) -> str:
        """Media type of the body without parameters, in lower case."""
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower()

    @property
    def options_kind(self) -> str:
        """The kind of the options that the query of this request stands for."""
        return _OPTIONS.get(self.info.verb, "ListOptions")

    @property
    def field_manager(self) -> str:
        """Who is recorded in managedFields: fieldManager, else the first word of the user agent."""
        if manager := self.query.get("fieldManager"):
            if len(manager) > 128:
                raise invalid_options(self.options_kind, too_long("fieldManager", 128))
            for position, sign in enumerate(manager):
                if not sign.isprintable():
                    why = f"invalid character U+{ord(sign):04X} (at position {position})"
                    raise invalid_options(self.options_kind, invalid("fieldManager", manager, why))
            return manager
        return self.headers.get("User-Agent", "").partition("/")[0][:128] or "unknown"

    @property
    def field_validation(self) -> str:
        """Ignore, Warn or Strict; the server's default is Warn."""
        value = self.query.get("fieldValidation") or "Warn"
        if value not in FIELD_VALIDATION:
            wrong = not_supported("fieldValidation", value, ["", "Ignore", "Strict", "Warn"])
            raise invalid_options(self.options_kind, wrong)
        return value

    def check_write_options(self) -> None:
        """422 for options of a write that say nothing; they are looked at before the object is."""
        _ = self.field_manager, self.field_validation, self.dry_run()

    def dry_run(self, options: Mapping[str, Any] | None = None) -> bool:
        """Whether nothing must be kept; asked by query, or in DeleteOptions."""
        values = (options or {}).get("dryRun") or ([self.query["dryRun"]] if self.query.get("dryRun") else [])
        if any(value != "All" for value in values):
            raise invalid_options(self.options_kind, not_supported("dryRun", values, ["All"]))
        return bool(values)

    def flag(self, name: str) -> bool:
        """A boolean parameter."""
        value = self.query.get(name, "")
        if value in ("", "true", "false", "1", "0", "True", "False"):
            return value in ("true", "1", "True")
        raise bad_request(f"strconv.ParseBool: parsing {value!r}: invalid syntax")

    def number(self, name: str) -> int | None:
        """A whole-number parameter."""
        value = self.query.get(name, "")
        if not value:
            return None
        try:
            return int(value)
        except ValueError:
            raise bad_request(f'strconv.ParseInt: parsing "{value}": invalid syntax') from None


@dataclass
class Answer:
    """An object to answer with; the HTTP layer turns it into what the client accepts."""

    obj: dict[str, Any]
    code: int = 200
    raw: bytes | None = None
    """The object encoded, where that is already known."""


__all__ = ["Answer", "ApiError", "Call", "User"]
