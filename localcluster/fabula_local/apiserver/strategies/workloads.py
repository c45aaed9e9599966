"""Deployments and ReplicaSets: defaults, and a selector that must match and stay.

Rules: k8s.io/kubernetes/pkg/apis/apps/v1/defaults.go and pkg/apis/apps/validation.
"""

from typing import Any

from fabula_local.apiserver.strategies.base import Cluster, Object, Strategy, immutable
from fabula_local.apiserver.strategies.pod_spec import default_template
from fabula_local.apiserver.strategies.rules.numbers import nonnegative
from fabula_local.apiserver.strategies.rules.pods import template_rules
from fabula_local.apiserver.strategies.rules.scheduling import label_selector_rules
from fabula_local.schema.errors import FieldError, invalid, not_supported, required
from fabula_local.schema.selectors import match_label_selector


class _TemplatedStrategy(Strategy):
    """A kind that keeps pods from a template."""

    counts: tuple[str, ...] = ("replicas", "minReadySeconds")
    """Fields of the spec that are not below zero."""

    def __init__(self) -> None:
        super().__init__(counts_generation=True)

    def default(self, obj: Object) -> None:
        """One replica, and the template's defaults."""
        if not isinstance(spec := obj.get("spec"), dict):
            return
        if spec.get("replicas") is None:
            spec["replicas"] = 1
        default_template(spec.get("template"))

    def prepare_create(self, obj: Object, cluster: Cluster) -> None:
        """Start with an empty status."""
        obj["status"] = {}

    def validate(self, obj: Object) -> list[FieldError]:
        """A selector that selects the template's pods, which always restart and can run."""
        spec = obj.get("spec") or {}
        template = spec.get("template") or {}
        errors = list(nonnegative(spec, "spec", *self.counts))
        selector = spec.get("selector")
        labels = (template.get("metadata") or {}).get("labels") or {}
        if not selector:
            errors.append(required("spec.selector"))
        elif wrong := list(label_selector_rules(selector, "spec.selector")):
            errors += wrong
        elif not match_label_selector(selector)(labels):
            errors.append(
                invalid("spec.template.metadata.labels", labels, "`selector` does not match template `labels`")
            )
        errors += template_rules(template, "spec.template")
        policy = (template.get("spec") or {}).get("restartPolicy", "Always")
        if policy != "Always":
            errors.append(not_supported("spec.template.spec.restartPolicy", policy, ["Always"]))
        return errors

    def validate_update(self, new: Object, old: Object) -> list[FieldError]:
        """The selector is fixed."""
        return immutable("spec.selector", new["spec"].get("selector"), old["spec"].get("selector"))


class DeploymentStrategy(_TemplatedStrategy):
    """apps/v1 Deployment."""

    counts = ("replicas", "minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds")

    def default(self, obj: Object) -> None:
        """Rolling update by a quarter, ten old ReplicaSets, ten minutes to progress."""
        super().default(obj)
        if not isinstance(spec := obj.get("spec"), dict):
            return
        spec.setdefault("revisionHistoryLimit", 10)
        spec.setdefault("progressDeadlineSeconds", 600)
        strategy: dict[str, Any] = spec.setdefault("strategy", {})
        if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
            rolling = strategy.setdefault("rollingUpdate", {})
            rolling.setdefault("maxUnavailable", "25%")
            rolling.setdefault("maxSurge", "25%")


class ReplicaSetStrategy(_TemplatedStrategy):
    """apps/v1 ReplicaSet."""

    def default(self, obj: Object) -> None:
        """Labels are those of the template where none are given."""
        super().default(obj)
        template = (obj.get("spec") or {}).get("template") or {}
        labels = (template.get("metadata") or {}).get("labels")
        if labels and not obj["metadata"].get("labels"):
            obj["metadata"]["labels"] = dict(labels)

    def prepare_create(self, obj: Object, cluster: Cluster) -> None:
        """Start with no replicas."""
        obj["status"] = {"replicas": 0}
