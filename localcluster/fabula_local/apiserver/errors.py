"""The failures an API server answers, as metav1.Status, with Kubernetes' own reasons and wording.

Clients branch on reason and code, people read the message; both follow k8s.io/apimachinery/pkg/api/errors.
"""

from collections.abc import Sequence
from typing import Any

from fabula_local.resource import Resource
from fabula_local.schema.structural import FieldError


class ApiError(Exception):
    """A request that ends in a metav1.Status with status Failure."""

    def __init__(self, code: int, reason: str, message: str, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details

    def status(self) -> dict[str, Any]:
        """The Status object for the response body."""
        body: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
        }
        if self.details is not None:
            body["details"] = self.details
        body["code"] = self.code
        return body


def _about(resource: Resource, name: str, kind: str | None = None) -> dict[str, Any]:
    """Status details that name an object; empty entries are left out, as Go's omitempty does."""
    entries = {"name": name, "group": resource.group, "kind": kind or resource.plural}
    return {key: value for key, value in entries.items() if value}


def not_found(resource: Resource, name: str) -> ApiError:
    """404 for an object that is not there."""
    return ApiError(404, "NotFound", f'{resource.group_resource} "{name}" not found', _about(resource, name))


def no_such_path() -> ApiError:
    """404 for a path below a served group that nothing answers."""
    return ApiError(404, "NotFound", "the server could not find the requested resource", {})


def already_exists(resource: Resource, name: str) -> ApiError:
    """409 for a create with a taken name."""
    return ApiError(409, "AlreadyExists", f'{resource.group_resource} "{name}" already exists', _about(resource, name))


STALE = "the object has been modified; please apply your changes to the latest version and try again"


def conflict(resource: Resource, name: str, why: str = STALE, qualified: str | None = None) -> ApiError:
    """409 for a write made from an old state, or whose precondition does not hold."""
    message = f'Operation cannot be fulfilled on {qualified or resource.group_resource} "{name}": {why}'
    return ApiError(409, "Conflict", message, _about(resource, name))


def bad_request(message: str) -> ApiError:
    """400."""
    return ApiError(400, "BadRequest", message)


def forbidden(resource: Resource, name: str, why: str, causes: list[dict[str, str]] | None = None) -> ApiError:
    """403, by authorization or by admission."""
    subject = f'{resource.group_resource} "{name}"' if name else resource.group_resource
    details = _about(resource, name)
    if causes:
        details["causes"] = causes
    return ApiError(403, "Forbidden", f"{subject} is forbidden: {why}", details)


def invalid(resource: Resource, name: str, errors: Sequence[FieldError]) -> ApiError:
    """422 with one cause for each field in error."""
    lines = list(dict.fromkeys(f"{error.field}: {error.message}" for error in errors))
    text = lines[0] if len(lines) == 1 else "[" + ", ".join(lines) + "]"
    kind = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
    details = _about(resource, name, resource.kind)
    details["causes"] = [{"reason": error.reason, "message": error.message, "field": error.field} for error in errors]
    return ApiError(422, "Invalid", f'{kind} "{name}" is invalid: {text}', details)


def patch_fails() -> ApiError:
    """422 for a JSON patch that cannot be applied to the object; Kubernetes does not say why."""
    return ApiError(422, "Invalid", "the server rejected our request due to an error in our request", {})


def invalid_patch(why: str) -> ApiError:
    """422 for a patch that cannot be applied."""
    cause = {"reason": "FieldValueInvalid", "message": why, "field": "patch"}
    return ApiError(422, "Invalid", f' "" is invalid: patch: {why}', {"causes": [cause]})


def unauthorized() -> ApiError:
    """401 for credentials that are missing or not accepted."""
    return ApiError(401, "Unauthorized", "Unauthorized")


def method_not_allowed() -> ApiError:
    """405 for a verb that the resource does not offer."""
    return ApiError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource", {})


def bad_version(text: str) -> ApiError:
    """400 for a resourceVersion that is no number."""
    parsing = f'strconv.ParseUint: parsing "{text}": invalid syntax'
    return bad_request(f'invalid resource version: resourceVersion: Invalid value: "{text}": {parsing}')


def expired(requested: int, oldest: int) -> ApiError:
    """410 for a resourceVersion that is no longer in the history."""
    return ApiError(410, "Expired", f"too old resource version: {requested} ({oldest})")


def continue_expired() -> ApiError:
    """410 for a list continuation whose snapshot is gone."""
    return ApiError(
        410,
        "Expired",
        "The provided continue parameter is too old to display a consistent list result. You must start a new list "
        "without the continue parameter.",
    )


def version_too_large(requested: int, current: int) -> ApiError:
    """504 for a resourceVersion that has not been reached."""
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    return ApiError(
        504,
        "Timeout",
        f"Timeout: Too large resource version: {requested}, current: {current}",
        {"causes": [cause], "retryAfterSeconds": 1},
    )


def unsupported_media_type(accepted: str) -> ApiError:
    """415 for a body in a format that is not read."""
    return ApiError(
        415,
        "UnsupportedMediaType",
        f"the body of the request was in an unknown format - accepted media types include: {accepted}",
    )


def not_acceptable(accepted: str) -> ApiError:
    """406 for a client that reads none of the formats served."""
    return ApiError(406, "NotAcceptable", f"only the following media types are accepted: {accepted}")


def too_large(limit: int) -> ApiError:
    """413 for a body over the limit."""
    return ApiError(413, "RequestEntityTooLarge", f"Request entity too large: limit is {limit}")


def internal(message: str) -> ApiError:
    """500."""
    cause = {"message": message}
    return ApiError(500, "InternalError", f"Internal error occurred: {message}", {"causes": [cause]})


def invalid_options(kind: str, *errors: FieldError) -> ApiError:
    """422 for options of a request, such as kind "ListOptions", that are out of range or exclude each other."""
    lines = [f"{error.field}: {error.message}" for error in errors]
    text = lines[0] if len(lines) == 1 else "[" + ", ".join(lines) + "]"
    causes = [{"reason": error.reason, "message": error.message, "field": error.field} for error in errors]
    details = {"group": "meta.k8s.io", "kind": kind, "causes": causes}
    return ApiError(422, "Invalid", f'{kind}.meta.k8s.io "" is invalid: {text}', details)
