"""The list of who asked for what."""

import json
from pathlib import Path

from fabula_local.apiserver.audit import Audit
from fabula_local.apiserver.call import User
from fabula_local.apiserver.request import request_info


def test_each_kind_of_request_of_a_user_is_written_once(tmp_path: Path) -> None:
    path = tmp_path / "audit"
    asked = [
        ("GET", "/api/v1/namespaces/a/pods", {}),
        ("GET", "/api/v1/namespaces/b/pods", {}),
        ("GET", "/api/v1/pods", {"watch": "true"}),
        ("PATCH", "/apis/fabula.dev/v1alpha1/namespaces/a/evalruns/e/status", {}),
        ("GET", "/apis/batch/v1", {}),
    ]
    for audit in (Audit(path), Audit(path), Audit(None)):
        for method, url, query in asked:
            audit.note(User("ada"), request_info(method, url, query))
            audit.note(User("ada"), request_info(method, url, query))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [tuple(line.values()) for line in lines[:3]] == [
        ("ada", "list", "", "pods", ""),
        ("ada", "watch", "", "pods", ""),
        ("ada", "patch", "fabula.dev", "evalruns", "status"),
    ]
    assert lines[3:] == lines[:3]
