"""The fields that one Kubernetes version's API has, and what a manifest names beside them.

`python -m tests.support.kubernetes_fields 1.33` takes them from the types of PyPI's lightkube-models of that version
and writes tests/unit/chart/kubernetes-1.33.json: for each type its fields, each with the type below it, if it has one.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).parents[1] / "unit" / "chart"
Types = Mapping[str, Mapping[str, str]]
"""Fields by type; a type is `batch_v1.JobSpec`, and an empty one ends there."""
ROOTS = {
    "v1/ConfigMap": "core_v1.ConfigMap",
    "v1/PersistentVolumeClaim": "core_v1.PersistentVolumeClaim",
    "v1/Pod": "core_v1.Pod",
    "v1/Service": "core_v1.Service",
    "v1/ServiceAccount": "core_v1.ServiceAccount",
    "apps/v1/Deployment": "apps_v1.Deployment",
    "batch/v1/Job": "batch_v1.Job",
    "policy/v1/PodDisruptionBudget": "policy_v1.PodDisruptionBudget",
    "networking.k8s.io/v1/NetworkPolicy": "networking_v1.NetworkPolicy",
    "rbac.authorization.k8s.io/v1/Role": "rbac_v1.Role",
    "rbac.authorization.k8s.io/v1/RoleBinding": "rbac_v1.RoleBinding",
    "rbac.authorization.k8s.io/v1/ClusterRole": "rbac_v1.ClusterRole",
    "rbac.authorization.k8s.io/v1/ClusterRoleBinding": "rbac_v1.ClusterRoleBinding",
    "apiextensions.k8s.io/v1/CustomResourceDefinition": "apiextensions_v1.CustomResourceDefinition",
    "admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy": "admissionregistration_v1.ValidatingAdmissionPolicy",
    "admissionregistration.k8s.io/v1/ValidatingAdmissionPolicyBinding": (
        "admissionregistration_v1.ValidatingAdmissionPolicyBinding"
    ),
}


def unknown(obj: Mapping[str, Any], types: Types) -> list[str]:
    """Paths of the object's fields that the version does not have."""
    root = ROOTS.get(f"{obj['apiVersion']}/{obj['kind']}")
    return [f"{obj['apiVersion']}/{obj['kind']}"] if root is None else list(_below(obj, root, types, obj["kind"]))


def _below(value: Any, name: str, types: Types, path: str) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _below(item, name, types, path)
    elif name.startswith("{}"):
        for key, item in value.items():
            yield from _below(item, name[2:], types, f"{path}[{key}]")
    elif name and isinstance(value, dict):
        for key, item in value.items():
            if key in types[name]:
                yield from _below(item, types[name][key], types, f"{path}.{key}")
            else:
                yield f"{path}.{key}"


def fields_of(folder: Path) -> dict[str, dict[str, str]]:
    """Fields of all types that are below the roots, from the modules of a version."""
    read: dict[str, dict[str, str]] = {}
    for file in folder.glob("lightkube/models/*_v1.py"):
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.ClassDef):
                read[f"{file.stem}.{node.name}"] = dict(_fields(node, file.stem))
    fields: dict[str, dict[str, str]] = {}
    todo = list(ROOTS.values())
    while todo:
        if (name := todo.pop()) not in fields:
            fields[name] = {key: below if below.removeprefix("{}") in read else "" for key, below in read[name].items()}
            todo += [below.removeprefix("{}") for below in fields[name].values() if below]
    return dict(sorted(fields.items()))


def _fields(node: ast.ClassDef, module: str) -> Iterator[tuple[str, str]]:
    for member in node.body:
        if isinstance(member, ast.AnnAssign) and isinstance(member.target, ast.Name):
            written = re.search(r"metadata=\{'json': '([^']+)'\}", ast.unparse(member.value) if member.value else "")
            kind = re.sub(r"'", "", ast.unparse(member.annotation))
            below = re.findall(r"[\w.]+", kind)[-1]
            mark = "{}" if "dict" in kind.lower() else ""
            yield written[1] if written else member.target.id, mark + (below if "." in below else f"{module}.{below}")


def main(version: str) -> None:
    """Write the fields of a version."""
    with tempfile.TemporaryDirectory() as scratch:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", scratch]
        subprocess.run([*pip, f"lightkube-models=={version}.*"], check=True)
        (wheel,) = Path(scratch).glob("*.whl")
        zipfile.ZipFile(wheel).extractall(scratch)
        text = json.dumps(fields_of(Path(scratch)), separators=(",", ":"))
    (HERE / f"kubernetes-{version}.json").write_text(text + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
