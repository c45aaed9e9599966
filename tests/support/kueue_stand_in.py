"""Kueue for a test, as far as it can be seen from outside: it makes a Workload for each queued Job, and lets it in."""

from __future__ import annotations

import threading
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.support.kueue import WORKLOAD_CRD

from fabula_kube.blocking import Client
from fabula_kube.credentials import from_kubeconfig
from fabula_kube.resource import Resource

_CRD = Resource("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", namespaced=False)
_JOB = Resource("batch", "v1", "Job", "jobs")
_WORKLOAD = Resource("kueue.x-k8s.io", "v1beta2", "Workload", "workloads")
_QUEUE = Resource("kueue.x-k8s.io", "v1beta2", "LocalQueue", "localqueues")


def _definition(kind: str) -> dict[str, Any]:
    plural = f"{kind.lower()}s"
    names = {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()}
    return {
        **WORKLOAD_CRD,
        "metadata": {"name": f"{plural}.kueue.x-k8s.io"},
        "spec": {**WORKLOAD_CRD["spec"], "names": names},  # type: ignore[dict-item]
    }


class Kueue:
    """`with Kueue(kubeconfig, "default", "team")`: installs its kinds and these LocalQueues, and admits."""

    def __init__(self, kubeconfig: Path, namespace: str, *queues: str) -> None:
        self._client = Client(from_kubeconfig(kubeconfig, None), "kueue")
        self._namespace, self._queues = namespace, queues
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._decide)

    def __enter__(self) -> Kueue:
        for kind in ("Workload", "LocalQueue", "ClusterQueue"):
            self._client.create(_CRD, {"kind": _CRD.kind, **_definition(kind)})
        for name in self._queues:
            meta = {"name": name, "namespace": self._namespace}
            self._client.create(_QUEUE, {"apiVersion": _QUEUE.api_version, "kind": "LocalQueue", "metadata": meta})
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ends.set()
        self._thread.join()

    def _decide(self) -> None:
        known: set[str] = set()
        while not self._ends.wait(0.2):
            for job in self._client.list(_JOB, self._namespace, "kueue.x-k8s.io/queue-name"):
                meta = job["metadata"]
                if meta["uid"] in known or not job["spec"].get("suspend"):
                    continue
                known.add(meta["uid"])
                condition = {
                    "type": "QuotaReserved",
                    "status": "True",
                    "message": "Quota reserved in ClusterQueue team",
                }
                labels = {"kueue.x-k8s.io/job-uid": meta["uid"]}
                self._client.create(_WORKLOAD, {
                    "apiVersion": _WORKLOAD.api_version, "kind": "Workload", "status": {"conditions": [condition]},
                    "metadata": {"name": f"job-{meta['name']}", "namespace": self._namespace, "labels": labels},
                })  # fmt: skip
                self._client.patch(_JOB, self._namespace, meta["name"], {"spec": {"suspend": False}})
