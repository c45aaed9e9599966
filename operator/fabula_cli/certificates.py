"""TLS of the operator's status server on a laptop: an own authority and one certificate for loopback, made once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True, slots=True)
class Certificates:
    authority: Path
    """CA certificate, published to worker pods."""
    certificate: Path
    key: Path


def ensure_certificates(folder: Path) -> Certificates:
    """The certificates in `folder`, made when they are missing. Keys are readable by the owner only."""
    certificates = Certificates(folder / "ca.crt", folder / "status.crt", folder / "status.key")
    if all(path.exists() for path in (certificates.authority, certificates.certificate, certificates.key)):
        return certificates
    authority = trustme.CA(organization_name="Fabula laptop")
    server = authority.issue_cert("127.0.0.1", "localhost", "::1")
    certificates.key.touch(mode=0o600)
    server.private_key_pem.write_to_path(str(certificates.key))
    server.cert_chain_pems[0].write_to_path(str(certificates.certificate))
    authority.cert_pem.write_to_path(str(certificates.authority))
    return certificates
