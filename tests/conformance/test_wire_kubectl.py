"""The kubectl calls that people use, with the real kubectl."""

import json
import subprocess
import sys
from pathlib import Path

import yaml
from tests.conformance.conftest import Kubectl
from tests.support.patience import SECONDS, until
from tests.support.wire import Wire


def manifest(group: str, **spec: object) -> str:
    obj = {"apiVersion": f"{group}/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": {"size": 3, **spec}}
    return yaml.safe_dump(obj)


def test_apply_twice_changes_nothing(kubectl: Kubectl, namespace: str, widget_group: str) -> None:
    place = ("-n", namespace)
    assert "created" in kubectl("apply", *place, "-f", "-", given=manifest(widget_group)).stdout
    assert "unchanged" in kubectl("apply", *place, "-f", "-", given=manifest(widget_group)).stdout
    assert "configured" in kubectl("apply", *place, "-f", "-", given=manifest(widget_group, color="green")).stdout
    shown = kubectl("get", "widgets." + widget_group, *place).stdout.splitlines()
    assert shown[0].split() == ["NAME", "SIZE", "AGE"]
    assert shown[1].split()[:2] == ["w", "3"]


def test_mistakes_are_named(kubectl: Kubectl, namespace: str, widget_group: str) -> None:
    bound = kubectl("apply", "-n", namespace, "-f", "-", given=manifest(widget_group, size=11), fails=True)
    assert "spec.size: Invalid value: 11: spec.size in body should be less than or equal to 10" in bound.stderr
    odd = kubectl("apply", "-n", namespace, "-f", "-", given=manifest(widget_group, colour="red"), fails=True)
    assert 'strict decoding error: unknown field "spec.colour"' in odd.stderr
    foreign = manifest("nobody.example.com")
    missing = kubectl("apply", "-n", namespace, "-f", "-", given=foreign, fails=True)
    assert 'no matches for kind "Widget" in version "nobody.example.com/v1"' in missing.stderr


def test_server_side_apply(kubectl: Kubectl, namespace: str, widget_group: str) -> None:
    arguments = ("apply", "--server-side", "-n", namespace, "-f", "-")
    assert "serverside-applied" in kubectl(*arguments, given=manifest(widget_group)).stdout
    other = kubectl(*arguments, "--field-manager", "other", given=manifest(widget_group, size=4), fails=True)
    assert "conflict" in other.stderr
    assert ".spec.size" in other.stderr


def test_client_side_apply_after_server_side_apply(kubectl: Kubectl, namespace: str, widget_group: str) -> None:
    """The server writes the last configuration down in its own way, so that kubectl sees a difference."""
    arguments = ("-n", namespace, "-f", "-")
    kubectl("apply", *arguments, given=manifest(widget_group))
    kubectl("apply", "--server-side", "--force-conflicts", *arguments, given=manifest(widget_group))
    assert "configured" in kubectl("apply", *arguments, given=manifest(widget_group)).stdout
    assert "unchanged" in kubectl("apply", *arguments, given=manifest(widget_group)).stdout


def test_label_annotate_patch_and_describe(kubectl: Kubectl, namespace: str, widget_group: str) -> None:
    place, name = ("-n", namespace), f"widgets.{widget_group}/w"
    kubectl("create", *place, "-f", "-", given=manifest(widget_group))
    kubectl("label", *place, name, "team=vision")
    kubectl("annotate", *place, name, "note=first")
    kubectl("patch", *place, name, "--type", "merge", "-p", '{"spec":{"size":7}}')
    described = kubectl("describe", *place, name).stdout
    assert "team=vision" in described
    assert "note: first" in described
    assert kubectl("get", *place, name, "-o", "jsonpath={.spec.size}").stdout == "7"
    assert kubectl("get", *place, "widgets." + widget_group, "-l", "team=vision", "-o", "name").stdout.strip()


def test_explain_tells_the_schema(kubectl: Kubectl, widget_group: str) -> None:
    told = kubectl("explain", "widgets", "--api-version", f"{widget_group}/v1", "--recursive").stdout
    assert "size\t<integer> -required-" in told
    assert "How large it is." in kubectl("explain", "widgets.spec.size", "--api-version", f"{widget_group}/v1").stdout
    assert "backoffLimit" in kubectl("explain", "job.spec").stdout


def test_wait_ends_on_condition_and_on_deletion(
    kubectl: Kubectl, wire: Wire, namespace: str, kubeconfig: Path, widgets: str, widget_group: str
) -> None:
    place, name = ("-n", namespace), f"widgets.{widget_group}/w"
    kubectl("create", *place, "-f", "-", given=manifest(widget_group))
    wire.ok("PATCH", f"{widgets}/w/status", {"status": {"phase": "Ready"}}, media="application/merge-patch+json")
    kubectl("wait", *place, name, "--for=jsonpath={.status.phase}=Ready", f"--timeout={SECONDS:.0f}s")
    kubectl("delete", *place, name)
    kubectl("wait", *place, name, "--for=delete", f"--timeout={SECONDS:.0f}s")


def test_get_watch_prints_each_change(
    kubectl: Kubectl, namespace: str, kubeconfig: Path, widget_group: str, tmp_path: Path
) -> None:
    place, name = ("-n", namespace), f"widgets.{widget_group}/w"
    kubectl("create", *place, "-f", "-", given=manifest(widget_group))
    seen = tmp_path / "seen"
    program = Path(sys.executable).parent / "kubectl"
    with seen.open("w") as out:
        watcher = subprocess.Popen(
            [str(program), "--kubeconfig", str(kubeconfig), "get", *place, f"widgets.{widget_group}", "-w"], stdout=out
        )
        try:
            wait_for(seen, "w      3")
            kubectl("patch", *place, name, "--type", "merge", "-p", '{"spec":{"size":8}}')
            wait_for(seen, "w      8")
        finally:
            watcher.terminate()
            watcher.wait()
    assert seen.read_text().count("NAME") == 1


def wait_for(path: Path, text: str) -> None:
    until(lambda: text in path.read_text(), lambda: f"{text!r} in {path.read_text()!r}")


def test_typed_commands(kubectl: Kubectl, namespace: str) -> None:
    place = ("-n", namespace)
    kubectl("create", "configmap", "c", *place, "--from-literal=a=b")
    assert json.loads(kubectl("get", "configmap", "c", *place, "-o", "json").stdout)["data"] == {"a": "b"}
    kubectl("create", "serviceaccount", "bot", *place)
    assert kubectl("create", "token", "bot", *place).stdout.count(".") == 2
    assert kubectl("auth", "can-i", "create", "jobs", *place).stdout.strip() == "yes"
    bot = f"system:serviceaccount:{namespace}:bot"
    refused = kubectl("auth", "can-i", "create", "jobs", *place, "--as", bot, fails=True)
    assert refused.stdout.strip() == "no"


def test_api_resources_and_namespace_deletion(kubectl: Kubectl, widget_group: str) -> None:
    assert "widgets" in kubectl("api-resources", "--api-group", widget_group).stdout
    name = f"gone-{widget_group.split('.')[0]}"
    kubectl("create", "namespace", name)
    kubectl("create", "configmap", "c", "-n", name)
    kubectl("delete", "namespace", name, f"--timeout={SECONDS:.0f}s")
    assert "not found" in kubectl("get", "namespace", name, fails=True).stderr
