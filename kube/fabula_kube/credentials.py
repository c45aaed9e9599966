"""Who calls which API server: a kubeconfig's context, or the ServiceAccount of the pod that this runs in.

The official client reads both: programs that make tokens, tokens in files, client certificates, proxies.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from kubernetes.aio.client import Configuration
from kubernetes.config.config_exception import ConfigException
from kubernetes.config.incluster_config import InClusterConfigLoader
from kubernetes.config.kube_config import load_kube_config

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds its ServiceAccount's token, the cluster's authority, and its namespace."""
_TOKEN = "BearerToken"  # noqa: S105 - the official client's name for it


class NoCredentials(ValueError):
    """There is no way to a cluster: the message says what is missing and what to do."""


class Credentials:
    """One server, and one user of it. `renew` makes them anew."""

    def __init__(self, load: Callable[[Any], None], namespace: str, hint: str) -> None:
        """`load` fills a configuration of the official client. Raises NoCredentials, with `hint`."""
        self.namespace = namespace
        """The context's, or the pod's."""
        self.configuration: Any = Configuration()
        self._load = load
        self._hint = hint
        self.renew()

    @property
    def server(self) -> str:
        """Address of the API server, without a slash at its end."""
        return str(self.configuration.host).rstrip("/")

    @property
    def authorization(self) -> str | None:
        """The header that signs a request; None where a certificate does, or nothing."""
        header: str | None = self.configuration.api_key.get(_TOKEN)
        return header

    @property
    def authority(self) -> str:
        """The API server's authority, as PEM; empty where none is named."""
        path = self.configuration.ssl_ca_cert
        return Path(path).read_text() if path else ""

    def fill(self, configuration: Any) -> Any:
        """Tell another configuration of the official client where the server is and how to trust it; that one."""
        for name in ("host", "ssl_ca_cert", "cert_file", "key_file", "verify_ssl", "tls_server_name", "proxy"):
            setattr(configuration, name, getattr(self.configuration, name))
        return configuration

    def renew(self) -> None:
        """Read files anew, and ask programs again. This may take a while. Raises NoCredentials."""
        self._try(self._load)

    def freshen(self) -> None:
        """Let the official client renew what it knows to end soon. This may take a while. Raises NoCredentials."""
        if (hook := self.configuration.refresh_api_key_hook) is not None:
            self._try(hook)

    def _try(self, load: Callable[[Any], None]) -> None:
        try:
            load(self.configuration)
        except (ConfigException, OSError, KeyError, TypeError, ValueError, yaml.YAMLError) as error:
            raise NoCredentials(f"no credentials for a cluster: {error}{self._hint}") from error


def from_kubeconfig(files: Path | str, context: str | None = None) -> Credentials:
    """Those of a kubeconfig's context, by default its current one. Several files, with `:` between them, are merged as
    kubectl does. Raises NoCredentials."""
    contexts, users, current = _read(str(files))
    chosen = context or current
    if not chosen:
        raise NoCredentials(f"{files} has no current context: set one with kubectl config use-context")
    if chosen not in contexts:
        raise NoCredentials(f"{files} has no context {chosen}; it has {', '.join(contexts) or 'none'}")
    user = users.get(str(contexts[chosen].get("user")))
    if user is None:
        raise NoCredentials(f"the context {chosen} of {files} names no user")

    def load(configuration: Any) -> None:
        configuration.api_key.pop(_TOKEN, None)
        load_kube_config(str(files), chosen, configuration, persist_config=False)
        if user.get("tokenFile"):
            # As kubectl does: the file counts. The official client prefers a token beside it.
            configuration.api_key[_TOKEN] = f"Bearer {Path(user['tokenFile']).read_text().strip()}"
        elif "exec" in user and _TOKEN not in configuration.api_key and not configuration.cert_file:
            # The official client logs what went wrong, and goes on without.
            raise ConfigException(f"the program {user['exec'].get('command')} gave none; the log has its words")

    return Credentials(load, str(contexts[chosen].get("namespace") or "default"), "")


Named = dict[str, dict[str, Any]]


def _read(files: str) -> tuple[Named, Named, str | None]:
    """Contexts and users of kubeconfigs by name, and the current context. Of two of a name the first one counts."""
    contexts: Named = {}
    users: Named = {}
    current: str | None = None
    for path in (Path(part).expanduser() for part in files.split(os.pathsep) if part):
        try:
            config = yaml.safe_load(path.read_text()) or {}
            for named, many, singular in ((contexts, "contexts", "context"), (users, "users", "user")):
                for item in config.get(many) or ():
                    named.setdefault(item["name"], item.get(singular) or {})
        except FileNotFoundError:
            continue
        except (OSError, yaml.YAMLError, AttributeError, KeyError, TypeError) as error:
            words = getattr(error, "strerror", None) or " ".join(str(error).split())
            raise NoCredentials(f"{path} is no kubeconfig: {words}") from error
        current = current or config.get("current-context")
    if not contexts and not users:
        raise NoCredentials(f"no credentials for a cluster: {files} is not there or is empty")
    return contexts, users, current


def from_service_account(folder: Path = SERVICE_ACCOUNT) -> Credentials:
    """Those of this pod, by the folder with its ServiceAccount's token. Raises NoCredentials."""

    def load(configuration: Any) -> None:
        InClusterConfigLoader(str(folder / "token"), str(folder / "ca.crt")).load_and_set(configuration)

    space = folder / "namespace"
    hint = "; outside a pod, name a kubeconfig with --kubeconfig"
    return Credentials(load, space.read_text().strip() if space.exists() else "default", hint)
