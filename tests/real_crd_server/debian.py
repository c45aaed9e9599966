"""Debian's packages, unpacked into a folder without being installed: apt resolves and fetches, dpkg unpacks."""

import re
import subprocess
from pathlib import Path

PACKAGES = ("golang-k8s-apiextensions-apiserver-dev", "golang-go", "etcd-server")
"""What is wanted; apt adds what these need."""
_SUITES = ("sid", "trixie-backports", "trixie")
_PREFERENCES = """\
Package: *
Pin: release n=trixie
Pin-Priority: 900

Package: golang-*-dev
Pin: release n=sid
Pin-Priority: 990

Package: /^golang-(go|src|1[.].*)$/
Pin: release n=trixie-backports
Pin-Priority: 990
"""
"""Sources of Kubernetes from where they are newest; programs from where they run on the oldest system."""
_USED = re.compile(r"golang-.*-dev|golang-1[.]\d+-(go|src)|etcd-server")
"""Of everything that apt would install: Go's sources, a Go that builds them, etcd. The rest is the system's own."""
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


class DebianError(RuntimeError):
    """The packages cannot be had; the message says why and what to do."""


def unpack(root: Path, scratch: Path) -> list[str]:
    """Fetch the packages and unpack them into `root`; returns them as name=version."""
    apt = _Apt(scratch)
    apt.run("-qq", "update")
    simulated = apt.run("--simulate", "install", *PACKAGES)
    found = [
        f"{name}={version}"
        for name, version in re.findall(r"^Inst (\S+) \((\S+) ", simulated, re.MULTILINE)
        if _USED.fullmatch(name)
    ]
    apt.run("-qq", "download", *found)
    root.mkdir()
    for package in sorted(apt.downloads.glob("*.deb")):
        _run(["dpkg-deb", "--extract", str(package), str(root)], scratch)
    return sorted(found)


class _Apt:
    """apt-get with lists, cache, sources and preferences of its own, on a system with nothing installed."""

    def __init__(self, scratch: Path) -> None:
        self.downloads = scratch / "downloads"
        lists, cache = scratch / "lists", scratch / "cache"
        for folder in (self.downloads, lists, cache):
            folder.mkdir()
        sources, preferences, status = scratch / "sources.list", scratch / "preferences", scratch / "status"
        mirror = _mirror(scratch)
        sources.write_text("".join(f"deb [signed-by={_KEYRING}] {mirror} {suite} main\n" for suite in _SUITES))
        preferences.write_text(_PREFERENCES)
        status.touch()
        settings = {
            "Dir::State::lists": lists,
            "Dir::State::status": status,
            "Dir::Cache": cache,
            "Dir::Etc::sourcelist": sources,
            "Dir::Etc::sourceparts": "/dev/null",
            "Dir::Etc::preferences": preferences,
            "Dir::Etc::preferencesparts": "/dev/null",
            "APT::Install-Recommends": "false",
            "APT::Sandbox::User": "",
        }
        self._command = ["apt-get", *(f"-o{name}={value}" for name, value in settings.items())]

    def run(self, *arguments: str) -> str:
        """What apt-get prints."""
        return _run([*self._command, *arguments], self.downloads)


def _mirror(folder: Path) -> str:
    """The mirror that this system itself uses."""
    sources = _run(["apt-get", "--print-uris", "update"], folder)
    if found := re.search(r"'(\S+/debian)/dists/", sources):
        return found[1]
    raise DebianError("apt's sources name no mirror of Debian; the server is built from Debian's packages")


def _run(command: list[str], folder: Path) -> str:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    except FileNotFoundError as error:
        raise DebianError(f"there is no {command[0]} here: the server is built from Debian's packages") from error
    except subprocess.CalledProcessError as error:
        wanted = " ".join(part for part in command if not part.startswith("-o"))[:200]
        raise DebianError(f"{wanted} ended with {error.returncode}:\n{error.stderr[-2000:]}") from error
    return done.stdout
