"""Which texts may be names, keys and label values, and what Kubernetes says of those that may not.

Rules: k8s.io/apimachinery/pkg/util/validation. Each function returns what is wrong, or None.
"""

import re

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_DNS_LABEL = re.compile(_LABEL)
_QUALIFIED = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_LABEL_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
_CONFIG_KEY = re.compile(r"[-._a-zA-Z0-9]+")
_ENVIRONMENT = re.compile(r"[\x20-\x3c\x3e-\x7e]+")
_PORT_NAME = re.compile(r"[-a-z0-9]+")
_UNSIGNED_31_BIT = 2**31 - 1

_SUBDOMAIN_MESSAGE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_DNS_LABEL_MESSAGE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    "an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
_NAME_PART_MESSAGE = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_LABEL_VALUE_MESSAGE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
_CONFIG_KEY_MESSAGE = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or "
    "'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)
_ENVIRONMENT_MESSAGE = (
    "a valid environment variable name must consist only of printable ASCII characters other than '='"
)


def too_long(limit: int) -> str:
    """What is said of a name over its limit in bytes."""
    return f"must be no more than {limit} bytes"


def subdomain_error(text: str) -> str | None:
    """IsDNS1123Subdomain: the names of most objects."""
    if len(text.encode()) > 253:
        return too_long(253)
    return None if _SUBDOMAIN.fullmatch(text) else _SUBDOMAIN_MESSAGE


def dns_label_error(text: str) -> str | None:
    """IsDNS1123Label: containers, volumes, host names."""
    if len(text.encode()) > 63:
        return too_long(63)
    return None if _DNS_LABEL.fullmatch(text) else _DNS_LABEL_MESSAGE


def qualified_error(key: str) -> str | None:
    """IsQualifiedName: keys of labels and annotations, resources, taints."""
    prefix, slash, name = key.rpartition("/")
    if slash and not prefix:
        return "prefix part must be non-empty"
    if slash and (why := subdomain_error(prefix)):
        return f"prefix part {why}"
    if not name:
        return "name part must be non-empty"
    if len(name.encode()) > 63:
        return f"name part {too_long(63)}"
    return None if _QUALIFIED.fullmatch(name) else _NAME_PART_MESSAGE


def label_value_error(text: str) -> str | None:
    """IsValidLabelValue."""
    if len(text.encode()) > 63:
        return too_long(63)
    return None if _LABEL_VALUE.fullmatch(text) else _LABEL_VALUE_MESSAGE


def config_key_error(key: str) -> str | None:
    """IsConfigMapKey: keys of ConfigMaps and Secrets, which become names of files."""
    if len(key.encode()) > 253:
        return too_long(253)
    if not _CONFIG_KEY.fullmatch(key):
        return _CONFIG_KEY_MESSAGE
    if key in (".", ".."):
        return f"must not be '{key}'"
    return "must not start with '..'" if key.startswith("..") else None


def environment_error(name: str) -> str | None:
    """IsRelaxedEnvVarName: names of environment variables and their prefixes."""
    return None if _ENVIRONMENT.fullmatch(name) else _ENVIRONMENT_MESSAGE


def port_error(number: int) -> str | None:
    """IsValidPortNum."""
    return None if 1 <= number <= 65535 else "must be between 1 and 65535, inclusive"


def port_name_error(name: str) -> str | None:
    """IsValidPortName."""
    if len(name) > 15:
        return "must be no more than 15 characters"
    if not _PORT_NAME.fullmatch(name):
        return "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"
    if not re.search("[a-z]", name):
        return "must contain at least one letter (a-z)"
    if "--" in name:
        return "must not contain consecutive hyphens"
    return "must not begin or end with a hyphen" if name[0] == "-" or name[-1] == "-" else None


def id_error(number: int) -> str | None:
    """IsValidUserID and IsValidGroupID."""
    return None if 0 <= number <= _UNSIGNED_31_BIT else f"must be between 0 and {_UNSIGNED_31_BIT}, inclusive"
