"""Certificates of the status server: made by an authority of their own, and when they have to be made anew."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFE = timedelta(days=730)
AHEAD = timedelta(hours=1)
"""Begins that much earlier, for clocks that are behind."""


@dataclass(frozen=True, slots=True)
class Issued:
    """PEM files of one certificate and the authority that signed it."""

    certificate: bytes
    key: bytes
    authority: bytes


def issue(names: Sequence[str], now: datetime, life: timedelta = LIFE) -> Issued:
    """A certificate for DNS names and IP addresses, by an authority made for it alone, whose key is thrown away."""
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Fabula status server authority")])
    # A common name holds 64 characters; the names that count are the alternative ones.
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    begin, end = now - AHEAD, now + life

    def builder(whom: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        made = x509.CertificateBuilder().subject_name(whom).issuer_name(issuer).public_key(public)
        return made.serial_number(x509.random_serial_number()).not_valid_before(begin).not_valid_after(end)

    authority = (
        builder(issuer, authority_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    certificate = (
        builder(subject, key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([_general_name(one) for one in names]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    return Issued(
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
        authority.public_bytes(serialization.Encoding.PEM),
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def why_renew(certificate: bytes | None, names: Sequence[str], now: datetime) -> str | None:
    """Why a certificate has to be made anew; None while it serves: all names, and more than a third of its life."""
    if not certificate:
        return "there is none"
    try:
        found = x509.load_pem_x509_certificate(certificate)
        held = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound) as error:
        return f"it cannot be read ({type(error).__name__})"
    if missing := [name for name in names if _general_name(name) not in held]:
        return f"it does not name {', '.join(missing)}"
    life = found.not_valid_after_utc - found.not_valid_before_utc
    if found.not_valid_after_utc - now < life / 3:
        return f"it ends on {found.not_valid_after_utc:%Y-%m-%d}"
    return None
