"""The chart rendered by Helm's own engine: golden manifests of three installations, and values that are refused.

FABULA_REWRITE_GOLDENS=1 writes the goldens anew; read the difference before a commit.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from fabula_operator.render.worker_defaults import read_defaults
from fabula_operator.settings import read

helm = pytest.importorskip("helm_python", reason="Helm's engine comes with the test extra")
CHART = Path(__file__).parents[3] / "charts" / "fabula"
HERE = Path(__file__).parent
HUB = "hub"
MINIMAL = {"store": {"root": "s3://stories/fabula"}}
GROUP = {"name": "g", "region": "here", "models": ["m"], "namespaces": ["a"]}
INSTALLATIONS = ("minimal", "eks", "namespaced")


def render(values: dict[str, Any], namespace: str = "fabula-system", chart_at: Path = CHART) -> dict[str, str]:
    with helm.Chart.load(chart_at) as chart:
        found: dict[str, str] = chart.render(values, name="fabula", namespace=namespace)
    return found


def objects(values: dict[str, Any], chart_at: Path = CHART) -> list[dict[str, Any]]:
    rendered = render(values, chart_at=chart_at)
    texts = [text for name, text in rendered.items() if not name.endswith("NOTES.txt")]
    return [one for text in texts for one in yaml.safe_load_all(text) if one]


def values_of(installation: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((HERE / f"values-{installation}.yaml").read_text())
    return found


def by_kind(found: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [one for one in found if one["kind"] == kind]


def pods(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    made = [one["spec"]["template"]["spec"] for one in found if one["kind"] in ("Deployment", "Job")]
    return [*made, *(one["spec"] for one in by_kind(found, "Pod"))]


def is_golden(found: list[dict[str, Any]], name: str) -> None:
    found.sort(key=lambda one: (one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]))
    text = "---\n".join(yaml.safe_dump(one, sort_keys=True, width=110) for one in found)
    golden = HERE / "golden" / f"{name}.yaml"
    if os.environ.get("FABULA_REWRITE_GOLDENS") == "1":
        golden.write_text(text)
    assert text == golden.read_text()


@pytest.mark.parametrize("installation", INSTALLATIONS)
def test_the_rendered_installation_is_the_golden_one(installation: str) -> None:
    is_golden(
        [one for one in objects(values_of(installation)) if one["kind"] != "CustomResourceDefinition"], installation
    )


def test_where_prometheus_operator_is_its_monitors_and_rules_are_the_golden_ones(tmp_path: Path) -> None:
    """Rendered without a cluster, Helm's engine knows of no foreign kinds, so here the chart does not ask for them."""
    known = shutil.copytree(CHART, tmp_path / "fabula")
    for template in ("monitors", "prometheusrule"):
        path = known / "templates" / f"{template}.yaml"
        asked = re.compile(r'\(\.Capabilities\.APIVersions\.Has "monitoring\.coreos\.com/v1/\w+"\)')
        text, count = asked.subn("true", path.read_text())
        assert count == text.count("kind: "), template
        path.write_text(text)
    found = objects(values_of("eks"), known)
    is_golden([one for one in found if one["apiVersion"] == "monitoring.coreos.com/v1"], "monitors")


@pytest.mark.parametrize("installation", INSTALLATIONS)
def test_helm_lints_it_without_a_warning(installation: str) -> None:
    report = helm.lint(CHART, values_of(installation), strict=True)
    assert not report["errors"]
    assert [one for one in report["messages"] if one["severity"] > 1] == []


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "store.root"),
        ({"store": {"rooot": "s3://b/f"}}, "rooot"),
        ({**MINIMAL, "operater": {}}, "operater"),
        ({**MINIMAL, "operator": {"replicas": 0}}, "/operator/replicas"),
        ({"store": {"root": "https://bucket"}}, "/store/root"),
        ({**MINIMAL, "images": {"cpu": {"digest": "abc"}}}, "/images/cpu/digest"),
        ({**MINIMAL, "namespaces": [{"serviceAccount": {}}]}, "name"),
        ({**MINIMAL, "namespaces": [{"name": "a", "serviceaccount": {}}]}, "serviceaccount"),
        ({**MINIMAL, "statusServer": {"tls": {"mode": "secret"}}}, "statusServer.tls.secretName"),
        ({**MINIMAL, "statusServer": {"url": "http://plain"}}, "/statusServer/url"),
        ({**MINIMAL, "gpuHourUsd": {"A100": "cheap"}}, "/gpuHourUsd"),
        ({**MINIMAL, "workers": {"modelCache": {"models": ["Qwen3"]}}}, "/workers/modelCache/models"),
        (
            {**MINIMAL, "workers": {"modelCache": {"models": ["a/b"], "hostPath": "/mnt"}}},
            "set workers.modelCache.claim",
        ),
        ({**MINIMAL, "workers": {"modelCache": {"models": ["a/b"], "claim": "c"}}}, "in which namespaces"),
        ({**MINIMAL, "workers": {"gpu": {"tolerations": [{"opperator": "Exists"}]}}}, "opperator"),
        ({**MINIMAL, "workers": {"env": {"A B": "1"}}}, "/workers/env.*A B"),
        ({**MINIMAL, "isolation": {"quotaGroups": [{"name": "g"}]}}, "/isolation/quotaGroups/0.*region"),
        ({**MINIMAL, "isolation": {"quotaGroups": [GROUP, GROUP]}}, r"quotaGroups\[1\].name: g is declared twice"),
        ({**MINIMAL, "networkPolicy": {"metricsFrom": [{"namespace": "m"}]}}, "/networkPolicy/metricsFrom/0"),
        ({**MINIMAL, "admissionPolicy": {"endpoints": ["http://plain"]}}, "/admissionPolicy/endpoints/0"),
        ({"store": {"root": "s3://b", "s3": {"endpointUrl": "minio:9000"}}}, "/store/s3/endpointUrl"),
        # What contradicts itself would install, and fail at the first run.
        ({"store": {"root": "file:///artifacts"}}, "store.claim.name"),
        ({"store": {"root": "s3://b", "claim": {"name": "c"}}}, "store.claim.name"),
        ({**MINIMAL, "workers": {"modelCache": {"claim": "c", "hostPath": "/m"}}}, "not both"),
        ({**MINIMAL, "statusServer": {"tls": {"secretName": "x"}}}, "tls.mode to secret"),  # pragma: allowlist secret
        ({**MINIMAL, "namespaces": [{"name": "a"}, {"name": "a"}]}, r"namespaces\[1\].name: a is named twice"),
        ({**MINIMAL, "watch": {"namespace": "a"}, "namespaces": [{"name": "b"}]}, r"namespaces\[0\].name: b"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_a_wrong_value_is_refused_by_its_name(values: dict[str, Any], words: str) -> None:
    with pytest.raises(helm.HelmError, match=words):
        render(values)


def notes(values: dict[str, Any]) -> str:
    return next(text for name, text in render(values).items() if name.endswith("NOTES.txt"))


def test_what_is_said_after_an_install_names_the_namespace_with_runs() -> None:
    said = notes(values_of("eks"))
    assert "kubectl -n narration apply" in said
    assert "a small build in narration" in said
    assert "kubectl -n stories apply" in notes(values_of("namespaced"))
    assert "`namespaces` is empty" in notes(MINIMAL)
    assert 'the Secret "keys"' in notes({**MINIMAL, "workers": {"secretName": "keys"}})  # pragma: allowlist secret


@pytest.mark.parametrize("made", ["serviceAccount", "artifactClaim", "modelClaim"])
def test_what_the_chart_makes_and_no_run_uses_is_said(made: str) -> None:
    values = {**MINIMAL, "namespaces": [{"name": "a", made: {"name": "mine"}}]}
    assert f"WARNING: namespaces[0].{made} is called mine" in notes(values)
    used = {
        "serviceAccount": {**values, "workers": {"serviceAccountName": "mine"}},
        "artifactClaim": {**values, "store": {"root": "file:///a", "claim": {"name": "mine"}}},
        "modelClaim": {**values, "workers": {"modelCache": {"claim": "mine"}}},
    }
    assert "WARNING" not in notes(used[made])


def test_alerts_about_an_operator_that_nobody_scrapes_are_warned_of() -> None:
    warning = "Service fabula-metrics by itself"
    assert warning in notes({**MINIMAL, "monitoring": {"rules": {"enabled": True}}})
    assert warning not in notes(
        {**MINIMAL, "monitoring": {"rules": {"enabled": True}, "serviceMonitor": {"enabled": True}}}
    )
    assert warning not in notes(MINIMAL)


def test_the_crds_are_those_that_the_models_make_and_stay_when_the_release_goes() -> None:
    from fabula_api.crd import crds

    found = by_kind(objects(MINIMAL), "CustomResourceDefinition")
    for one in found:
        assert one["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
    assert sorted(found, key=str) == sorted(crds(), key=str)
    assert by_kind(objects({**MINIMAL, "crds": {"enabled": False}}), "CustomResourceDefinition") == []
    left = by_kind(objects({**MINIMAL, "crds": {"keep": False}}), "CustomResourceDefinition")
    assert all("annotations" not in one["metadata"] for one in left)


@pytest.mark.parametrize("installation", INSTALLATIONS)
def test_every_pod_meets_the_restricted_standard(installation: str) -> None:
    """Pod Security Standards, level restricted (kubernetes.io/docs/concepts/security/pod-security-standards)."""
    found = pods(objects(values_of(installation)))
    assert found
    for pod in found:
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not pod.get("hostNetwork")
        assert not pod.get("hostPID")
        assert all("hostPath" not in volume for volume in pod["volumes"])
        for container in [*pod["containers"], *pod.get("initContainers", [])]:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert context["readOnlyRootFilesystem"] is True
            assert container["resources"]["requests"]
            assert container["resources"]["limits"]["memory"]


@pytest.mark.parametrize("installation", INSTALLATIONS)
def test_the_operator_takes_the_options_it_is_given(installation: str, tmp_path: Path) -> None:
    found = objects(values_of(installation))
    (operator,) = by_kind(found, "Deployment")
    arguments = operator["spec"]["template"]["spec"]["containers"][0]["args"]
    (files,) = (one for one in by_kind(found, "ConfigMap") if one["metadata"]["name"] == "fabula-settings")
    for name, text in files["data"].items():
        (tmp_path / name).write_text(text)
    settings = read([one.replace("/etc/fabula", str(tmp_path)) for one in arguments], {})
    assert settings.worker.defaults == read_defaults(tmp_path / "workers.yaml")
    declared = values_of(installation).get("isolation", {}).get("quotaGroups", [])
    assert [one.name for one in settings.quota_groups] == [one["name"] for one in declared]
    assert settings.worker.artifact_root == values_of(installation)["store"]["root"]
    assert settings.namespace == values_of(installation).get("watch", {}).get("namespace")


def test_one_namespace_needs_no_cluster_wide_right_but_the_review_of_tokens() -> None:
    found = objects(values_of("namespaced"))
    (role,) = by_kind(found, "ClusterRole")
    assert role["rules"] == [
        {"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]}
    ]
    assert {one["metadata"]["namespace"] for one in by_kind(found, "Role")} == {"stories", "fabula-system"}


def test_the_reference_names_every_value() -> None:
    """A value that the README does not list is one that nobody finds."""

    def paths(node: Any, path: str = "") -> list[str]:
        if not isinstance(node, dict) or not node:
            return [path]
        return [one for key, value in node.items() for one in paths(value, f"{path}.{key}" if path else key)]

    text = (CHART / "README.md").read_text()
    with helm.Chart.load(CHART) as chart:
        known = [path for path in paths(chart.values) if not path.startswith(("operator.resources", "monitoring.dash"))]
    assert len(known) > 40
    assert [path for path in known if f"`{path}`" not in text] == []


def test_the_admission_policy_is_the_one_that_was_tried_and_can_be_left_out() -> None:
    from fabula_api.admission import policy

    found = objects({**MINIMAL, "admissionPolicy": {"priorityClasses": ["a", "b"]}})
    (shipped,) = by_kind(found, "ValidatingAdmissionPolicy")
    assert shipped["spec"] == policy()["spec"]
    (lists,) = (one for one in by_kind(found, "ConfigMap") if one["metadata"]["name"] == "fabula-admission")
    assert lists["data"] == {"endpoints": "", "priorityClasses": "a\nb"}
    without = objects({**MINIMAL, "admissionPolicy": {"enabled": False}})
    assert not [one for one in without if "Admission" in one["kind"] or one["metadata"]["name"] == "fabula-admission"]


@pytest.mark.parametrize(
    ("cache", "source"),
    [
        ({}, None),
        ({"claim": "models"}, {"persistentVolumeClaim": {"claimName": "models"}}),
        ({"hostPath": "/mnt/models"}, {"hostPath": {"path": "/mnt/models", "type": "DirectoryOrCreate"}}),
    ],
)
def test_the_cache_of_models_reaches_the_operator(
    cache: dict[str, str], source: dict[str, Any] | None, tmp_path: Path
) -> None:
    (settings,) = [
        one["data"]["workers.yaml"]
        for one in by_kind(objects(MINIMAL | {"workers": {"modelCache": cache}}), "ConfigMap")
        if "workers.yaml" in one.get("data", {})
    ]
    (tmp_path / "workers.yaml").write_text(settings)
    read = read_defaults(tmp_path / "workers.yaml").model_cache
    assert (read.source if read else None) == source


def test_models_are_fetched_by_a_job_that_is_another_one_for_other_models() -> None:
    def jobs(models: list[str]) -> list[dict[str, Any]]:
        cache = {"claim": "fabula-models", "models": models}
        tenants = [{"name": name, "modelClaim": {"size": "1Ti"}} for name in ("narration", "podcasts")]
        workers = {"modelCache": cache, "secretName": HUB, "serviceAccountName": "fabula-worker"}
        found = objects({**MINIMAL, "workers": workers, "namespaces": tenants})
        claims = {
            (one["metadata"]["namespace"], one["metadata"]["name"]) for one in by_kind(found, "PersistentVolumeClaim")
        }
        assert claims == {(name, "fabula-models") for name in ("narration", "podcasts")}
        return [one for one in by_kind(found, "Job") if "-models-" in one["metadata"]["name"]]

    one, other = jobs(["Qwen/Qwen3-VL-8B-Instruct"]), jobs(["Qwen/Qwen3-VL-8B-Instruct", "openai/clip@v1"])
    assert [job["metadata"]["namespace"] for job in one] == ["narration", "podcasts"]
    assert one[0]["metadata"]["name"] != other[0]["metadata"]["name"]
    (container,) = other[0]["spec"]["template"]["spec"]["containers"]
    assert container["command"] + container["args"] == ["fabula-models", "Qwen/Qwen3-VL-8B-Instruct", "openai/clip@v1"]
    assert container["envFrom"] == [{"secretRef": {"name": HUB}}]
    assert {"name": "FABULA_MODEL_CACHE", "value": "/models"} in container["env"]
