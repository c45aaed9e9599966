"""A tenant who means harm, as rows: what may be written in a namespace by whoever may run a pod there.

The next kind, field or trick is one more row; every test that reads the table then tries it.
"""

from __future__ import annotations

import base64
import json
from typing import Any

DIGEST = "sha256:" + "e" * 64
HUGE = 10**400
RUN = "u-data"

FIGURES: dict[str, Any] = {
    "more than JSON's readers agree on": 2**70,
    "of four hundred digits": HUGE,
    "a float beyond all counts": 1e300,
    "negative": -1,
    "not finite": float("inf"),
    "no number": float("nan"),
    "a map": {"a": 1},
}
"""Numbers where a count is due."""

TEXTS: dict[str, str] = {
    "markup": "[/x] [bold red]done[/]",
    "a terminal's commands": "\x1b]0;owned\x07\x1b[2J",
    "a bidirectional override": "abc\u202etxt.exe",
    "blanks": "Not A Reason",
    "nothing": "",
    "a lone surrogate": "half \ud800",
    "lines": "one\ntwo\r\nthree\u2028four",
    "very long": "x" * 900,
    "digits of another script": "\u0661\u0662",
}
"""Texts where a reason or a message is due."""


def report(**fields: Any) -> dict[str, Any]:
    """The body of a report, as a pod posts it."""
    return {"trainerStatus": {}, "fabula": {"stage": "train", **fields}}


def reports() -> dict[str, dict[str, Any]]:
    """Bodies of reports, by what is wrong with them."""
    bodies: dict[str, dict[str, Any]] = {}
    for name, value in FIGURES.items():
        for field in ("done", "total", "failed", "etaSeconds", "shard", "attempt"):
            bodies[f"{field}: {name}"] = report(**{field: value})
        bodies[f"counts: {name}"] = report(counts={"step/ok": value})
        for metric in ("step", "steps", "uniqueSamples", "resumedFromStep", "loss"):
            bodies[f"metrics.{metric}: {name}"] = report(metrics={metric: value})
        at = {"uri": "file:///c", "step": value, "digest": DIGEST, "committedAt": "2026-03-01T12:00:00Z"}
        bodies[f"checkpoint.step: {name}"] = report(checkpoint=at)
    for name, text in TEXTS.items():
        bodies[f"condition: {name}"] = report(condition={"reason": text, "message": text})
        bodies[f"stage: {name}"] = report(stage=text)
        bodies[f"counts are called: {name}"] = report(counts={text: 1})
    at = {"uri": "file:///c", "step": 1, "digest": DIGEST, "committedAt": "tomorrow"}
    bodies["checkpoint.committedAt is no time"] = report(checkpoint=at)
    bodies["two thousand counts"] = report(counts={f"a/{n}": 1 for n in range(2000)})
    return bodies


def result(**fields: Any) -> str:
    """A termination message."""
    return json.dumps({"outcome": "Succeeded", "artifact": {"uri": "file:///a", "digest": DIGEST}, **fields})


def results() -> dict[str, str]:
    """Termination messages, by what is wrong with them."""
    messages = {"deep": '{"summary":' + '{"a":' * 600 + "1" + "}" * 600 + "}", "no JSON": "]", "a number": "7"}
    for name, value in FIGURES.items():
        for count in (
            "sample/ok",
            "samples",
            "episode/ok",
            "answer/ok",
            "tokens/input",
            "calls/paid",
            "cost/usd",
            "x/y",
        ):
            messages[f"counts {count}: {name}"] = result(counts={count: value})
        for metric in ("step", "steps", "loss", "uniqueSamples"):
            messages[f"metrics.{metric}: {name}"] = result(metrics={metric: value})
        messages[f"resumedFromStep: {name}"] = result(summary={"resumedFromStep": value})
        messages[f"samplesBySplit: {name}"] = result(summary={"samplesBySplit": {"train": value}})
        messages[f"samplesBySplit itself: {name}"] = result(summary={"samplesBySplit": value})
        messages[f"estimate: {name}"] = result(summary={"estimate": {"calls": value, "minutes": value}})
        messages[f"arms: {name}"] = result(summary={"arms": [{"name": "base", "done": value}], "score": value})
        messages[f"gates: {name}"] = result(
            summary={"gates": [{"metric": "m", "arm": "base", "value": value, "passed": False}]}
        )
    for name, text in TEXTS.items():
        messages[f"a reason: {name}"] = json.dumps(
            {"outcome": "Failed", "failure": {"reason": text, "message": text, "exception": text, "logTail": [text]}}
        )
        messages[f"a lineage: {name}"] = result(lineage=[{"name": text, "uri": text or "x", "run": text}])
        messages[f"a self-test: {name}"] = result(
            summary={"selfTests": [{"name": text, "passed": False, "message": text}], "score": text}
        )
        messages[f"counts are called: {name}"] = result(counts={f"episode/skipped/{text}": 1, f"{text}/ok": 2})
    messages["a hundred inputs"] = result(lineage=[{"name": f"source-{n}"} for n in range(100)])
    return messages


def owned(
    kind: str, name: str, owner: str, *, namespace: str = "team", owner_kind: str = "DatasetBuild"
) -> dict[str, Any]:
    """An object with a run's labels, of the kind and with the owner that a tenant likes."""
    return {
        "apiVersion": "v1" if kind == "Pod" else "batch/v1",
        "kind": kind,
        "metadata": {
            "name": name, "namespace": namespace, "uid": f"u-{namespace}-{name}", "resourceVersion": "9",
            "labels": {"fabula.dev/run-uid": RUN, "fabula.dev/stage": "ingest"},
            "ownerReferences": [{"kind": owner_kind, "uid": owner, "controller": True}],
        },
        "spec": {},
    }  # fmt: skip


def _changed(obj: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    *parents, last = path.split(">")
    at = obj
    for part in parents:
        at = at.setdefault(part, {})
    at[last] = value
    return obj


def forged() -> dict[str, dict[str, Any]]:
    """Jobs and pods with a run's labels that are none of its own, by what gives them away."""
    index = "batch.kubernetes.io/job-completion-index"
    objects = {
        "a Job of another namespace": owned("Job", "job", RUN, namespace="elsewhere"),
        "a Job that the run does not control": owned("Job", "job", "u-somebody"),
        "a pod of another namespace": owned("Pod", "pod", "u-team-own", namespace="elsewhere", owner_kind="Job"),
        "a pod that no child controls": owned("Pod", "pod", "u-rs", owner_kind="ReplicaSet"),
        "a PyTorchJob with no map of roles": _changed(
            owned("PyTorchJob", "job", RUN), "spec>pytorchReplicaSpecs", {"Worker": 7}
        ),
    }
    for text in ("-1", str(HUGE), "1e300", "\u0663", "", "x", "300000000000000000000"):
        objects[f"a Job of attempt {text[:9]!r}"] = _changed(
            owned("Job", "job", RUN), "metadata>labels>fabula.dev/attempt", text
        )
        objects[f"a Job of generation {text[:9]!r}"] = _changed(
            owned("Job", "job", RUN), "metadata>annotations", {"fabula.dev/generation": text}
        )
        objects[f"a pod of index {text[:9]!r}"] = _changed(
            owned("Pod", "pod", "u-team-own", owner_kind="Job"), "metadata>annotations", {index: text or "-"}
        )
    for number in (300_000_000, 0, -3, 1025, HUGE):
        objects[f"a Job of {str(number)[:9]} pods"] = _changed(owned("Job", "job", RUN), "spec>completions", number)
        roles = {"Master": {"replicas": 1}, "Worker": {"replicas": number}}
        if number != 0:
            objects[f"a PyTorchJob of {str(number)[:9]} workers"] = _changed(
                owned("PyTorchJob", "job", RUN), "spec>pytorchReplicaSpecs", roles
            )
    return objects


def token(namespace: str = "team", pod: str | None = "pod-0", *, audience: str, signed: bool = True) -> str:
    """A ServiceAccount's token; one that is not `signed` by the API server is the tenant's own work."""
    claims: dict[str, Any] = {"aud": [audience], "kubernetes.io": {"namespace": namespace}}
    if pod is not None:
        claims["kubernetes.io"]["pod"] = {"name": pod, "uid": f"u-{namespace}-{pod}"}
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{payload}.{'good' if signed else 'bad'}"


AUDIENCE = f"fabula.dev/datasetbuilds/team/data/{RUN}"


def tokens() -> dict[str, str]:
    """Tokens that are none of the run's pods', by what is wrong with them; one answer fits all."""
    return {
        "no JWT": "nonsense",
        "no JSON inside": "e30.bm90aGluZw.good",
        "deep JSON inside": f"e30.{base64.urlsafe_b64encode(b'[' * 4000).decode()}.good",
        "for another run": token(audience="fabula.dev/datasetbuilds/team/data/u-other"),
        "for the API server": token(audience="https://kubernetes.default.svc"),
        "of another namespace": token("elsewhere", audience=AUDIENCE),
        "made by the tenant": token(audience=AUDIENCE, signed=False),
        "made by the tenant in another's name": token("elsewhere", audience=AUDIENCE, signed=False),
    }
