"""From the credentials of a request to a user."""

import hmac
from collections.abc import Mapping, Sequence

from fabula_local.apiserver.auth.tokens import ISSUER, TokenSigner
from fabula_local.apiserver.call import User
from fabula_local.apiserver.errors import unauthorized
from fabula_local.apiserver.store import Store

ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))
ADMIN = User("kubernetes-admin", ("system:masters", "system:authenticated"))


class Authenticator:
    """Knows the administrator's token and the ServiceAccounts'."""

    def __init__(self, admin_token: str, signer: TokenSigner, store: Store) -> None:
        self._admin_token = admin_token.encode()
        self._signer = signer
        self._store = store

    def user(self, headers: Mapping[str, str]) -> User:
        """Who asks; 401 for a token that is not valid, the anonymous user where there is none."""
        scheme, _, token = headers.get("Authorization", "").partition(" ")
        if not token or scheme.lower() != "bearer":
            return ANONYMOUS
        user_of_token = self.token_user(token.strip(), [ISSUER])
        if user_of_token is None:
            raise unauthorized()
        return user_of_token[0]

    def token_user(self, token: str, audiences: Sequence[str]) -> tuple[User, list[str]] | None:
        """The user of a token and those of the audiences it is meant for, or None where it is not valid for any."""
        if hmac.compare_digest(token.encode(), self._admin_token):
            return (ADMIN, list(audiences)) if ISSUER in audiences else None
        claims = self._signer.read(token)
        if claims is None:
            return None
        meant = [audience for audience in audiences if audience in claims["aud"]]
        if not meant:
            return None
        private = claims["kubernetes.io"]
        namespace, account = private["namespace"], private["serviceaccount"]
        if not self._exists("serviceaccounts", namespace, account):
            return None
        extra = {"authentication.kubernetes.io/credential-id": [f"JTI={claims['jti']}"]}
        for kind in ("pod", "secret"):
            if bound := private.get(kind):
                if not self._exists(f"{kind}s", namespace, bound):
                    return None
                if kind == "pod":
                    extra["authentication.kubernetes.io/pod-name"] = [bound["name"]]
                    extra["authentication.kubernetes.io/pod-uid"] = [bound["uid"]]
        return account_user(namespace, account["name"], account["uid"], extra), meant

    def _exists(self, kind: str, namespace: str, named: Mapping[str, str]) -> bool:
        stored = self._store.get(kind, namespace, named["name"])
        return stored is not None and stored.obj["metadata"]["uid"] == named["uid"]


def account_user(namespace: str, name: str, uid: str = "", extra: Mapping[str, list[str]] | None = None) -> User:
    """The user that a ServiceAccount is."""
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated")
    return User(f"system:serviceaccount:{namespace}:{name}", groups, uid, extra or {})
