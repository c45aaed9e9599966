"""Jobs: defaults, the generated selector and labels, and what must not change.

Rules: k8s.io/kubernetes/pkg/apis/batch/v1/defaults.go, pkg/registry/batch/job/strategy.go, pkg/apis/batch/validation.
"""

from fabula_local.apiserver.strategies.base import Cluster, Object, Strategy, immutable
from fabula_local.apiserver.strategies.pod_spec import default_template
from fabula_local.schema.errors import FieldError, invalid, required

_UNLIMITED = 2147483647
_FIXED = ("selector", "completionMode", "podFailurePolicy", "successPolicy", "backoffLimitPerIndex", "managedBy")


class JobStrategy(Strategy):
    """batch/v1 Job."""

    def __init__(self) -> None:
        super().__init__(counts_generation=True)

    def default(self, obj: Object) -> None:
        """Job defaults, those of its pod template included."""
        if isinstance(spec := obj.get("spec"), dict):
            default_job_spec(spec)

    def prepare_create(self, obj: Object, cluster: Cluster) -> None:
        """Make the job's pods its own: a selector on its uid, and the labels that go with it."""
        spec, metadata = obj.get("spec") or {}, obj["metadata"]
        obj["status"] = {}
        template = spec.get("template")
        if not isinstance(template, dict):
            return
        if not spec.get("manualSelector"):
            labels = template.setdefault("metadata", {}).setdefault("labels", {})
            labels["batch.kubernetes.io/controller-uid"] = labels["controller-uid"] = metadata["uid"]
            labels["batch.kubernetes.io/job-name"] = labels["job-name"] = metadata["name"]
            selector = spec.setdefault("selector", {})
            selector.setdefault("matchLabels", {})["batch.kubernetes.io/controller-uid"] = metadata["uid"]
        if not metadata.get("labels"):
            metadata["labels"] = dict(template["metadata"].get("labels") or {})

    def validate(self, obj: Object) -> list[FieldError]:
        """Restart policy, bounds, and what Indexed jobs need."""
        spec = obj.get("spec") or {}
        errors = []
        policy = ((spec.get("template") or {}).get("spec") or {}).get("restartPolicy")
        if policy not in ("Never", "OnFailure"):
            errors.append(required("spec.template.spec.restartPolicy", 'valid values: "OnFailure", "Never"'))
        if spec.get("podFailurePolicy") and policy != "Never":
            errors.append(
                invalid(
                    "spec.template.spec.restartPolicy",
                    policy,
                    'only "Never" is supported when podFailurePolicy is specified',
                )
            )
        for key in ("completions", "parallelism", "backoffLimit", "backoffLimitPerIndex", "activeDeadlineSeconds"):
            if isinstance(value := spec.get(key), int) and value < 0:
                errors.append(invalid(f"spec.{key}", value, "must be greater than or equal to 0"))
        indexed = spec.get("completionMode") == "Indexed"
        if indexed and spec.get("completions") is None:
            errors.append(required("spec.completions", "when completion mode is Indexed"))
        if not indexed and spec.get("backoffLimitPerIndex") is not None:
            errors.append(
                invalid("spec.backoffLimitPerIndex", spec["backoffLimitPerIndex"], "requires indexed completion mode")
            )
        return errors

    def validate_update(self, new: Object, old: Object) -> list[FieldError]:
        """Identity and template are fixed; an unstarted suspended job may still be steered to other nodes."""
        after, before = new["spec"], old["spec"]
        errors = [error for key in _FIXED for error in immutable(f"spec.{key}", after.get(key), before.get(key))]
        resized = after.get("completionMode") == "Indexed" and after.get("completions") == after.get("parallelism")
        if not resized:
            errors += immutable("spec.completions", after.get("completions"), before.get("completions"))
        unstarted = before.get("suspend") and not (old.get("status") or {}).get("startTime")
        if not unstarted:
            errors += immutable("spec.template", after.get("template"), before.get("template"))
        return errors


class CronJobStrategy(Strategy):
    """batch/v1 CronJob."""

    def __init__(self) -> None:
        super().__init__(counts_generation=True)

    def default(self, obj: Object) -> None:
        """CronJob defaults."""
        spec = obj.get("spec") or {}
        for key, value in (
            ("concurrencyPolicy", "Allow"),
            ("suspend", False),
            ("successfulJobsHistoryLimit", 3),
            ("failedJobsHistoryLimit", 1),
        ):
            spec.setdefault(key, value)
        default_template(((spec.get("jobTemplate") or {}).get("spec") or {}).get("template"))


def default_job_spec(spec: Object) -> None:
    """Fill in the defaults of a JobSpec, in place."""
    if spec.get("completions") is None and spec.get("parallelism") is None:
        spec["completions"] = spec["parallelism"] = 1
    if spec.get("parallelism") is None:
        spec["parallelism"] = 1
    per_index = spec.get("backoffLimitPerIndex") is not None
    if spec.get("backoffLimit") is None:
        spec["backoffLimit"] = _UNLIMITED if per_index else 6
    spec.setdefault("completionMode", "NonIndexed")
    spec.setdefault("suspend", False)
    spec.setdefault("manualSelector", False)
    rules = (spec.get("podFailurePolicy") or {}).get("rules") or ()
    spec.setdefault("podReplacementPolicy", "Failed" if spec.get("podFailurePolicy") else "TerminatingOrFailed")
    for rule in rules:
        for pattern in rule.get("onPodConditions") or ():
            pattern.setdefault("status", "True")
    default_template(spec.get("template"))
