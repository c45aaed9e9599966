"""The server's own certificate authority: kubectl sends no token over plain HTTP, so TLS it is."""

import ssl
from dataclasses import dataclass
from pathlib import Path

import trustme

from fabula_local.apiserver.files import write_private


@dataclass(frozen=True)
class Certificates:
    """What the server presents and what its clients trust."""

    authority: bytes
    """PEM of the CA certificate."""
    context: ssl.SSLContext


def certificates(folder: Path, host: str) -> Certificates:
    """Load the CA and the server certificate from the folder, or make them on the first start."""
    folder.mkdir(parents=True, exist_ok=True)
    authority_file, chain_file, key_file = (
        folder / "ca.crt",
        folder / f"server-{host}.crt",
        folder / f"server-{host}.key",
    )
    if not (authority_file.exists() and chain_file.exists() and key_file.exists()):
        authority = trustme.CA(organization_name="fabula laptop cluster")
        names = {"localhost", "127.0.0.1", "::1", host, "kubernetes", "kubernetes.default", "kubernetes.default.svc"}
        issued = authority.issue_cert(*sorted(names))
        write_private(key_file, issued.private_key_pem.bytes())
        write_private(chain_file, b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        write_private(authority_file, authority.cert_pem.bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(chain_file, key_file)
    context.set_alpn_protocols(["http/1.1"])
    return Certificates(authority_file.read_bytes(), context)
