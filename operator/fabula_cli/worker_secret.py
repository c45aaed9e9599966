"""The Secret from which workers of a namespace have their credentials: whether it is there, and which keys it has."""

from __future__ import annotations

from dataclasses import dataclass

from fabula_cli.access import Access
from fabula_cli.checks import Check, Unseen
from fabula_kube.errors import ApiError
from fabula_kube.kinds import SECRET

ABOUT = "worker secret"
HUB_TOKEN = "HF_TOKEN"  # noqa: S105 - the name of a key


@dataclass(frozen=True, slots=True)
class SecretSeen:
    """What was seen of it: names of keys, and no value."""

    name: str
    keys: tuple[str, ...] | None
    """None: there is no such Secret."""


def look(reach: Access, name: str) -> SecretSeen:
    """Look for it in the user's namespace. Raises ApiError."""
    try:
        secret = reach.client.get(SECRET, reach.namespace, name)
    except ApiError as error:
        if error.not_found:
            return SecretSeen(name, None)
        raise
    return SecretSeen(name, tuple(sorted(secret.get("data") or ())))


def judge_secret(secret: SecretSeen | Unseen | None, namespace: str) -> Check:
    """The line about it."""
    if secret is None:
        words = "the installation names none (workers.secretName): credentials come from the ServiceAccount's identity"
        return Check(ABOUT, "OK", words)
    if isinstance(secret, Unseen):
        return Check(ABOUT, "NOTE", f"cannot be seen ({secret.why})")
    if secret.keys is None:
        words = f"Secret {secret.name} (workers.secretName) is not in namespace {namespace}, so no pod of a run starts"
        return Check(ABOUT, "MISSING", f"{words}: make it; pods go on by themselves")
    more = "" if HUB_TOKEN in secret.keys else f"; without {HUB_TOKEN}, gated models of the Hub cannot be had"
    return Check(ABOUT, "OK", f"{secret.name} gives workers {', '.join(secret.keys) or 'nothing'}{more}")
