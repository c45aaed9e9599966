"""The status server's certificate, taken anew when its files change: a renewal needs no restart."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from fabula_operator.certificate import ends

logger = logging.getLogger(__name__)
RENEWAL_SECONDS = 30.0
"""How often the certificate's files are looked at; the kubelet takes up to a minute to change them."""


class _Files(NamedTuple):
    """Where the certificate lies."""

    certificate: Path
    key: Path
    authority: Path


class _Content(NamedTuple):
    """What the files hold, PEM."""

    certificate: bytes
    key: bytes
    authority: bytes


class ServedCertificate:
    """A TLS context over files that somebody else renews."""

    def __init__(self, certificate: Path, key: Path, authority: Path) -> None:
        """Raises OSError, ssl.SSLError or ValueError when the files are not there or do not fit."""
        self._files = _Files(certificate, key, authority)
        self._content = self._read()
        self._complaint = ""
        self.context = self._loaded()

    @property
    def authority(self) -> str:
        """The authority that workers check it against, PEM."""
        return self._content.authority.decode()

    @property
    def ends(self) -> datetime:
        """When it ends."""
        return ends(self._content.certificate)

    def take(self) -> bool:
        """Take changed files; False when nothing has changed. Connections that are open keep what they have.

        Raises what the constructor raises, and keeps the former certificate then.
        """
        content = self._read()
        if content == self._content:
            return False
        ends(content.certificate)  # raises where it cannot be read
        # A context drops its key for a certificate that the next one does not fit, so these are tried in another first.
        self._loaded()
        self.context.load_cert_chain(self._files.certificate, self._files.key)
        self._content = content
        return True

    async def look(self) -> bool:
        """`take`, told in the log: files that cannot be used once for each reason, and the former ones stay."""
        try:
            renewed = await asyncio.to_thread(self.take)
        except (OSError, ssl.SSLError, ValueError) as error:
            if str(error) != self._complaint:
                logger.warning(
                    "the renewed certificate %s cannot be used, the former one stays: %s",
                    self._files.certificate, error,
                )  # fmt: skip
            self._complaint = str(error)
            return False
        self._complaint = ""
        if renewed:
            logger.info("the status server's certificate was renewed, to %s", self.ends.date())
        return renewed

    def _loaded(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self._files.certificate, self._files.key)
        return context

    def _read(self) -> _Content:
        return _Content(*(path.read_bytes() for path in self._files))


def opened(certificate: Path, key: Path, authority: Path) -> ServedCertificate:
    """The certificate of these files. Raises ValueError naming them when they cannot be used."""
    try:
        return ServedCertificate(certificate, key, authority)
    except (OSError, ssl.SSLError, ValueError) as error:
        raise ValueError(f"the status server's certificate {certificate} cannot be used: {error}") from error


async def keep(served: ServedCertificate, changed: Callable[[], object]) -> None:
    """Look at the files every now and then, for ever; `changed` is called after each renewal."""
    while True:
        await asyncio.sleep(RENEWAL_SECONDS)
        if await served.look():
            changed()


async def publish(tell: Callable[[], Awaitable[Mapping[str, str]]], renewed: asyncio.Event) -> None:
    """Have workers that are at work told of the authority, now and after each renewal, until all of them are.

    `tell` returns the namespaces where that did not work, and why.
    """
    complained: Mapping[str, str] = {}
    while True:
        renewed.clear()
        untold = await tell()
        if untold and untold != complained:
            why = next(iter(untold.values()))
            logger.warning("workers in %s are not told of the authority yet: %s", ", ".join(untold), why)
        complained = untold
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RENEWAL_SECONDS if untold else None):
                await renewed.wait()
