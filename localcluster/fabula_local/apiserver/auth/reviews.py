"""Kinds that are questions: TokenReview, the access reviews, TokenRequest. Answered, never stored."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from fabula_local.apiserver.auth.authentication import Authenticator
from fabula_local.apiserver.auth.rbac import Attributes, Authorizer
from fabula_local.apiserver.auth.tokens import ISSUER, TokenSigner
from fabula_local.apiserver.call import Call, User
from fabula_local.apiserver.errors import ApiError, bad_request, invalid
from fabula_local.apiserver.metadata import timestamp
from fabula_local.apiserver.store import Store
from fabula_local.resource import Resource
from fabula_local.schema import errors as field_errors

Object = dict[str, Any]

_MIN_TOKEN_SECONDS = 600
_MAX_TOKEN_SECONDS = 1 << 32


class Reviews:
    """Answers each review kind by its name."""

    def __init__(self, authenticator: Authenticator, authorizer: Authorizer) -> None:
        self._authenticator = authenticator
        self._authorizer = authorizer
        self._answers: dict[str, Callable[[Call, Object], Object]] = {
            "TokenReview": self._token,
            "SelfSubjectReview": self._self,
            "SubjectAccessReview": self._access,
            "SelfSubjectAccessReview": self._self_access,
        }

    def answer(self, call: Call, resource: Resource, obj: Object) -> Object:
        """The review with its status."""
        obj["metadata"].setdefault("creationTimestamp", None)
        obj["status"] = self._answers[resource.kind](call, obj.get("spec") or {})
        return obj

    def _token(self, call: Call, spec: Object) -> Object:
        token = spec.get("token")
        if not token:
            raise bad_request("token is required for TokenReview in authentication")
        audiences = spec.get("audiences") or [ISSUER]
        bearer = self._authenticator.token_user(token, audiences)
        if bearer is None:
            return {"user": {}, "error": "[invalid bearer token, service account token is not valid]"}
        user, meant = bearer
        return {"authenticated": True, "user": user.info(), "audiences": meant}

    def _self(self, call: Call, spec: Object) -> Object:
        return {"userInfo": call.user.info()}

    def _access(self, call: Call, spec: Object) -> Object:
        user = User(spec.get("user") or "", tuple(spec.get("groups") or ()), spec.get("uid") or "")
        return self._decide(user, spec)

    def _self_access(self, call: Call, spec: Object) -> Object:
        return self._decide(call.user, spec)

    def _decide(self, user: User, spec: Object) -> Object:
        resource, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
        if bool(resource) == bool(path):
            raise bad_request("exactly one of nonResourceAttributes or resourceAttributes must be specified")
        if path:
            wanted = Attributes(path.get("verb", ""), path=path.get("path", "/"))
        else:
            assert resource
            keys = ("verb", "group", "resource", "subresource", "namespace", "name")
            wanted = Attributes(**{key: resource.get(key) or "" for key in keys})
        reason = self._authorizer.allows(user, wanted)
        return {"allowed": True, "reason": reason} if reason else {"allowed": False}


def request_token(
    store: Store, signer: TokenSigner, resource: Resource, namespace: str, name: str, obj: Object
) -> Object:
    """Answer a TokenRequest for a ServiceAccount, bound to a pod or secret where it asks so."""
    stored = store.get("serviceaccounts", namespace, name)
    if stored is None:
        raise ApiError(
            404, "NotFound", f'serviceaccounts "{name}" not found', {"name": name, "kind": "serviceaccounts"}
        )
    spec = obj.setdefault("spec", {})
    audiences = spec["audiences"] = spec.get("audiences") or [ISSUER]
    seconds = spec["expirationSeconds"] = spec.get("expirationSeconds") or 3600
    problems = []
    if seconds < _MIN_TOKEN_SECONDS:
        why = "may not specify a duration less than 10 minutes"
        problems.append(field_errors.invalid("spec.expirationSeconds", seconds, why))
    if seconds > _MAX_TOKEN_SECONDS:
        why = "may not specify a duration larger than 2^32 seconds"
        problems.append(field_errors.invalid("spec.expirationSeconds", seconds, why))
    if problems:
        raise invalid(resource, "", problems)
    bound = _bound_object(store, namespace, name, spec.get("boundObjectRef"))
    token, until = signer.issue(stored.obj, audiences, seconds, bound)
    obj["metadata"] |= {"name": name, "namespace": namespace, "creationTimestamp": timestamp()}
    obj["status"] = {"token": token, "expirationTimestamp": timestamp(datetime.fromtimestamp(until, UTC))}
    return obj


def _bound_object(store: Store, namespace: str, account: str, reference: Object | None) -> Object | None:
    if not reference:
        return None
    kind, name = reference.get("kind", ""), reference.get("name", "")
    if kind not in ("Pod", "Secret"):
        raise bad_request(f"cannot bind token for serviceaccount to object of kind {kind}")
    stored = store.get(f"{kind.lower()}s", namespace, name)
    if stored is None:
        details = {"name": name, "kind": f"{kind.lower()}s"}
        raise ApiError(404, "NotFound", f'{kind.lower()}s "{name}" not found', details)
    if (uid := reference.get("uid")) and uid != stored.obj["metadata"]["uid"]:
        why = (
            f"the UID in the bound object reference ({uid}) does not match the UID in record. "
            "The object might have been deleted and then recreated"
        )
        message = f'Operation cannot be fulfilled on {kind.lower()}s "{name}": {why}'
        raise ApiError(409, "Conflict", message, {"name": name, "kind": f"{kind.lower()}s"})
    if kind == "Pod" and (stored.obj.get("spec") or {}).get("serviceAccountName") != account:
        raise bad_request(
            f'cannot bind token for serviceaccount "{account}" to pod running with different serviceaccount name.'
        )
    return stored.obj
