"""Where something lies: one spelling for each place, and one check of paths below it, for operator and workers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any
from urllib.parse import quote, unquote

from pydantic import BaseModel

FILE, S3 = "file://", "s3://"

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_HIDDEN = re.compile(r"%(2e|2f|5c|00)", re.IGNORECASE)
"""A dot, slash, backslash or NUL in disguise: one more decoding, and the path would lead elsewhere."""


def path_problem(path: str) -> str | None:
    """Why `path` may lead out of the folder it is relative to, or is no plain path; None when it is sound."""
    parts = path.split("/")
    if path.startswith("/"):
        return "it begins with a slash"
    if ".." in parts:
        return "it goes up by `..`"
    if "" in parts or "." in parts:
        return "it has an empty part or a `.`"
    if _CONTROL.search(path):
        return "it has a control character"
    if _HIDDEN.search(path):
        return "it has a percent-encoded dot or slash"
    return None


def uris_of(spec: BaseModel) -> Iterator[tuple[str, str]]:
    """Every place that a spec names, by its field as a person writes it: (`arms[0].model.uri`, `models/small`)."""
    yield from _uris(spec.model_dump(mode="json", by_alias=True, exclude_none=True), "")


def _uris(value: Any, field: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "uri" and isinstance(item, str):
                yield f"{field}{key}", item
            elif isinstance(item, dict | list):
                yield from _uris(item, f"{field}{key}.")
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _uris(item, f"{field.removesuffix('.')}[{number}].")


@lru_cache(maxsize=4096)
def resolve_uri(uri: str, root: str) -> str:
    """The one spelling of a folder: an absolute `file://` or `s3://` URI without a slash at the end.

    A URI without a scheme is below `root`. Raises ValueError, in words for a person, for what names no folder or could
    lead out of the one it seems to be in.
    """
    if _CONTROL.search(uri):
        raise ValueError(f"{uri!r} has a control character")
    if uri.startswith(FILE):
        return _file(uri)
    if uri.startswith(S3):
        return _s3(uri)
    if "://" in uri:
        raise ValueError(f"{uri!r} has a scheme that is not supported; file:// and s3:// are")
    if not root.startswith((FILE, S3)):
        raise ValueError(f"the artifact root {root!r} is neither a file:// nor an s3:// URI")
    if uri.startswith("/"):
        raise ValueError(f"{uri!r} has no scheme: write file://{uri}, or leave the slash out for the artifact root")
    below = uri.rstrip("/")
    if problem := path_problem(below):
        raise ValueError(f"{uri!r} is not a path below an artifact store: {problem}")
    if _ESCAPE.search(below):
        raise ValueError(f"{uri!r} has a percent-encoded character; without a scheme, write the character itself")
    base = resolve_uri(root, root)
    return f"{base}/{quote(below) if base.startswith(FILE) else below}"


def _file(uri: str) -> str:
    path = unquote(uri.removeprefix(FILE))
    parts = [part for part in path.split("/") if part]
    if not path.startswith("/") or not parts:
        raise ValueError(f"{uri!r} names no folder: write file:///absolute/path")
    if problem := path_problem("/".join(parts)):
        raise ValueError(f"{uri!r} is no plain folder: {problem}")
    return FILE + "/" + quote("/".join(parts))


def _s3(uri: str) -> str:
    place = uri.removeprefix(S3).rstrip("/")
    if not place or place.startswith("/"):
        raise ValueError(f"{uri!r} names no folder: write s3://bucket/key")
    if problem := path_problem(place):
        raise ValueError(f"{uri!r} is no plain folder: {problem}")
    return S3 + place
