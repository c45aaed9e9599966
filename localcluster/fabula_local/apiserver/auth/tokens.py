"""ServiceAccount tokens: JSON web tokens bound to an account and, mostly, to one pod.

Claims as in k8s.io/kubernetes/pkg/serviceaccount/claims.go.
"""

import time
import uuid
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from fabula_local.apiserver.files import write_private

ISSUER = "https://kubernetes.default.svc.cluster.local"
_ALGORITHM = "ES256"
_CACHE_LENGTH = 4096


class TokenSigner:
    """Issues and reads tokens with a key kept in the state directory."""

    def __init__(self, key_file: Path) -> None:
        if not key_file.exists():
            fresh = ec.generate_private_key(ec.SECP256R1())
            pem = fresh.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            write_private(key_file, pem)
        key = serialization.load_pem_private_key(key_file.read_bytes(), password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TypeError(f"{key_file} does not hold an elliptic curve key; remove it to have a new one made")
        self._key = key
        self._public = key.public_key()
        self._read: dict[str, dict[str, Any]] = {}

    def issue(
        self, account: dict[str, Any], audiences: list[str], seconds: int, bound: dict[str, Any] | None
    ) -> tuple[str, int]:
        """A token for the account object, and when it ends (seconds since the epoch)."""
        now = int(time.time())
        meta = account["metadata"]
        private: dict[str, Any] = {
            "namespace": meta["namespace"],
            "serviceaccount": {"name": meta["name"], "uid": meta["uid"]},
        }
        if bound is not None:
            about = bound["metadata"]
            private[bound["kind"].lower()] = {"name": about["name"], "uid": about["uid"]}
        claims = {
            "aud": audiences,
            "exp": now + seconds,
            "iat": now,
            "iss": ISSUER,
            "jti": str(uuid.uuid4()),
            "kubernetes.io": private,
            "nbf": now,
            "sub": f"system:serviceaccount:{meta['namespace']}:{meta['name']}",
        }
        return jwt.encode(claims, self._key, algorithm=_ALGORITHM, headers={"kid": "fabula-local"}), now + seconds

    def read(self, token: str) -> dict[str, Any] | None:
        """The claims of a token that this server issued and that has not ended; audiences are the caller's to check."""
        claims = self._read.get(token)
        if claims is None:
            try:
                claims = jwt.decode(
                    token, self._public, algorithms=[_ALGORITHM], issuer=ISSUER, options={"verify_aud": False}
                )
            except jwt.InvalidTokenError:
                return None
            if len(self._read) >= _CACHE_LENGTH:
                self._read.clear()
            self._read[token] = claims
        return claims if claims["exp"] > time.time() else None
