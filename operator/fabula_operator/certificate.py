"""Certificates of the status server: signed by an authority of the installation's own, renewed before they end."""

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
AUTHORITY_LIFE = timedelta(days=3650)
AHEAD = timedelta(hours=1)
"""Begins that much earlier, for clocks that are behind."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key, PEM."""

    certificate: bytes
    key: bytes


def make_authority(now: datetime) -> Pair:
    """A new authority, for ten years: as long as it stays, workers trust renewed certificates unasked."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Fabula status server authority")])
    certificate = (
        _builder(name, name, key.public_key(), now, AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return _pair(certificate, key)


def issue(names: Sequence[str], authority: Pair, now: datetime, life: timedelta = LIFE) -> Pair:
    """A server certificate for DNS names and IP addresses. Raises ValueError when the authority cannot sign."""
    signer = serialization.load_pem_private_key(authority.key, None)
    if not isinstance(signer, ec.EllipticCurvePrivateKey):
        raise ValueError("the authority's key is no elliptic curve key")
    issuer = x509.load_pem_x509_certificate(authority.certificate)
    key = ec.generate_private_key(ec.SECP256R1())
    # A common name holds 64 characters; the names that count are the alternative ones.
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    certificate = (
        _builder(subject, issuer.subject, key.public_key(), now, life)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .sign(signer, hashes.SHA256())
    )
    return _pair(certificate, key)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    builder = builder.serial_number(x509.random_serial_number())
    return builder.not_valid_before(now - AHEAD).not_valid_after(now + life)


def _pair(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Pair:
    encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    return Pair(
        certificate.public_bytes(encoding), key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain)
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
        current = x509.load_pem_x509_certificate(certificate)
        held = current.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound) as error:
        return f"it cannot be read ({type(error).__name__})"
    if missing := [name for name in names if _general_name(name) not in held]:
        return f"it does not name {', '.join(missing)}"
    life = current.not_valid_after_utc - current.not_valid_before_utc
    if current.not_valid_after_utc - now < life / 3:
        return f"it ends on {current.not_valid_after_utc:%Y-%m-%d}"
    return None


def may_sign(authority: Pair | None, now: datetime, life: timedelta = LIFE) -> bool:
    """Whether an authority can be read and outlives a certificate that it signs now."""
    if authority is None:
        return False
    try:
        certificate = x509.load_pem_x509_certificate(authority.certificate)
        key = serialization.load_pem_private_key(authority.key, None)
    except ValueError:
        return False
    return isinstance(key, ec.EllipticCurvePrivateKey) and certificate.not_valid_after_utc > now + life


def ends(certificate: bytes) -> datetime:
    """When the first certificate of a PEM file ends. Raises ValueError when it cannot be read."""
    return x509.load_pem_x509_certificate(certificate).not_valid_after_utc
