"""Who asked for what: each kind of request that a user made, once, for whoever wants to know which rights are used.

Kubernetes' audit log has a line for every request; this has one for each user, verb and resource of a server's life.
"""

import json
import os
from pathlib import Path

from fabula_local.apiserver.call import User
from fabula_local.apiserver.request import RequestInfo

VARIABLE = "FABULA_AUDIT"
"""Names the file; without it nothing is written. Several servers may share one."""


class Audit:
    """Appends to a file, a line of JSON for what is new; with the names of `objectRef` in Kubernetes' audit events."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._seen: set[tuple[str, ...]] = set()

    @classmethod
    def of_environment(cls) -> "Audit":
        """As the environment says."""
        return cls(Path(path) if (path := os.environ.get(VARIABLE)) else None)

    def note(self, user: User, info: RequestInfo) -> None:
        """Take down a request for a resource, granted or not."""
        if self._path is None or not info.is_resource:
            return
        seen = (user.name, info.verb, info.group, info.resource, info.subresource)
        if seen in self._seen:
            return
        self._seen.add(seen)
        line = json.dumps(dict(zip(("user", "verb", "apiGroup", "resource", "subresource"), seen, strict=True)))
        # One write of less than a block, which no other process's line can fall into.
        with self._path.open("ab", buffering=0) as file:
            file.write(line.encode() + b"\n")
