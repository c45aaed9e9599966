"""Rights as Kubernetes knows them: those that roles grant, and those that servers saw used."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

USED = Path(__file__).parents[1] / "rights_used.yaml"
"""The list that is kept: what each account of the chart asks of the API."""
_HEADER = """\
# What each account of the chart asks of the Kubernetes API, as a server saw it in tests/integration/test_rights.py.
# `make rights` writes it anew; a difference is a change of what Fabula may do in a cluster.
"""
VARIABLE = "FABULA_AUDIT"
"""Names the file in which the laptop's API servers write down who asks for what."""
ACCOUNTS = {
    "fabula": "operator", "fabula-operator": "operator", "fabula-certificate": "certificate", "fabula-trial": "trial",
    "fabula-worker": "worker", "default": "worker",
}  # fmt: skip
"""ServiceAccounts of the chart and of tests, and whose they are. Pods of workers run as one of their namespace's."""
_ACCOUNT = "system:serviceaccount:"


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """To do something with a kind of object."""

    resource: str
    """`group/plural/subresource`, of which the core group is left out and most kinds have no subresource."""
    verb: str

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}"


def _right(verb: str, group: str, resource: str) -> Right:
    return Right(f"{group}/{resource}" if group else resource, verb)


def granted(rules: Iterable[Mapping[str, Any]]) -> set[Right]:
    """All rights of some rules."""
    return {
        _right(verb, group, resource)
        for rule in rules
        for verb in rule["verbs"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }


def seen(audit: Path) -> dict[str, set[Right]]:
    """What each ServiceAccount asked for, by its short name; whoever is none of ours is named in full."""
    asked: dict[str, set[Right]] = {}
    for line in audit.read_text().splitlines() if audit.exists() else ():
        entry = json.loads(line)
        if entry["user"].startswith(_ACCOUNT):
            name = ACCOUNTS.get(entry["user"].rpartition(":")[2], entry["user"])
            resource = "/".join(part for part in (entry["resource"], entry["subresource"]) if part)
            asked.setdefault(name, set()).add(_right(entry["verb"], entry["apiGroup"], resource))
    return asked


def kept() -> dict[str, set[Right]]:
    """The list that is kept."""
    text: dict[str, list[str]] = yaml.safe_load(USED.read_text())
    return {
        account: {Right(resource, verb) for verb, _, resource in (line.partition(" ") for line in lines)}
        for account, lines in text.items()
    }


def beyond(audit: Path) -> list[str]:
    """What our accounts asked for that is not on the list; of workers there is nothing on it."""
    used, known = seen(audit), {"worker": set[Right](), **kept()}
    return [f"{account}: {right}" for account in known for right in sorted(used.get(account, set()) - known[account])]


def keep(used: Mapping[str, set[Right]]) -> None:
    """Write the list anew."""
    text = {account: [str(right) for right in sorted(used[account])] for account in sorted(used)}
    USED.write_text(_HEADER + yaml.safe_dump(text, sort_keys=False))
