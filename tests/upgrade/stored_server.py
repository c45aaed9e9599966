"""An API server that holds stored objects, answers reads of them, and keeps what was asked of it beside that."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fabula_kube.connection import Answer
from fabula_operator.kube.resources import CONFIG_MAP, JOB, POD, PYTORCH_JOB, RUNS, SERVICE, Obj

_PLURALS = {one.kind: one.plural for one in (*RUNS.values(), JOB, PYTORCH_JOB, POD, SERVICE, CONFIG_MAP)}


@dataclass
class StoredServer:
    """A Transport over objects as they were stored."""

    objects: list[Obj]
    writes: list[tuple[str, str, str]] = field(default_factory=list)
    """Method, path and body of all that is no read."""

    async def ask(
        self, method: str, path: str, params: Mapping[str, str], headers: Mapping[str, str], body: bytes | None
    ) -> Answer:
        if method != "GET":
            self.writes.append((method, path, (body or b"").decode()))
            made = json.loads(body or b"{}")
            if method == "PATCH" and (found := self._of_status(path)) is not None:
                found["status"] = merge(found.get("status"), made.get("status"))
                found["metadata"]["resourceVersion"] = str(int(found["metadata"]["resourceVersion"]) + 1)
                return _answer(found)
            made["metadata"] = {**(made.get("metadata") or {}), "uid": "made", "resourceVersion": "2"}
            return _answer(made)
        if found := self._discovered(path):
            return _answer(found)
        *_, last = path.split("/")
        for one in self.objects:
            if path.endswith(f"/{_PLURALS[one['kind']]}/{one['metadata']['name']}"):
                return _answer(one)
        if last not in _PLURALS.values():
            return Answer(404, {}, b'{"kind":"Status","code":404,"reason":"NotFound"}')
        items = [one for one in self.objects if _PLURALS[one["kind"]] == last]
        if selector := params.get("labelSelector"):
            items = [one for one in items if _matches(one, selector)]
        return _answer({"kind": "List", "metadata": {"resourceVersion": "1"}, "items": items})

    def _of_status(self, path: str) -> Obj | None:
        for one in self.objects:
            if path.endswith(f"/{_PLURALS[one['kind']]}/{one['metadata']['name']}/status"):
                return one
        return None

    def _discovered(self, path: str) -> Obj | None:
        """The training operator's kind, where it is among the objects, as a server that has it says."""
        there = any(one["kind"] == PYTORCH_JOB.kind for one in self.objects)
        if path == "/apis":
            return {"kind": "APIGroupList", "groups": [{"name": PYTORCH_JOB.group}] if there else []}
        if path == f"/apis/{PYTORCH_JOB.group}/{PYTORCH_JOB.version}" and there:
            return {"kind": "APIResourceList", "resources": [{"name": PYTORCH_JOB.plural}]}
        return None

    async def close(self) -> None:
        return None


def merge(value: Any, patch: Any) -> Any:
    """A JSON merge patch (RFC 7396)."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(value) if isinstance(value, dict) else {}
    for key, part in patch.items():
        if part is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key), part)
    return merged


def _answer(value: Obj) -> Answer:
    return Answer(200, {}, json.dumps(value).encode())


def _matches(obj: Obj, selector: str) -> bool:
    labels = obj["metadata"].get("labels") or {}
    return all(
        labels.get(key) == value if sign else key in labels
        for key, sign, value in (part.partition("=") for part in selector.split(","))
    )
