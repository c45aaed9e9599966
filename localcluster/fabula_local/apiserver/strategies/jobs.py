"""Jobs: defaults, the generated selector and labels, and what must not change.

Rules: k8s.io/kubernetes/pkg/apis/batch/v1/defaults.go, pkg/registry/batch/job/strategy.go, pkg/apis/batch/validation.
"""

from fabula_local.apiserver.strategies.base import Cluster, Object, Strategy, immutable
from fabula_local.apiserver.strategies.pod_spec import default_template
from fabula_local.apiserver.strategies.rules.job_status import job_status_rules
from fabula_local.apiserver.strategies.rules.jobs import job_rules, steered_template
from fabula_local.schema.errors import FieldError, invalid

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

    def settle(self, obj: Object) -> None:
        """Labels are those of the template where none are given."""
        template = obj["spec"].get("template") or {}
        if not obj["metadata"].get("labels") and (labels := (template.get("metadata") or {}).get("labels")):
            obj["metadata"]["labels"] = dict(labels)

    def validate(self, obj: Object) -> list[FieldError]:
        """A Job that can make its pods, and pods that can run."""
        return list(job_rules(obj))

    def validate_status(self, new: Object, old: Object) -> list[FieldError]:
        """A status that says what can be true, and takes no end back."""
        return list(job_status_rules(new, old))

    def validate_update(self, new: Object, old: Object) -> list[FieldError]:
        """Identity and template are fixed; an unstarted suspended job may still be steered to other nodes."""
        after, before = new["spec"], old["spec"]
        errors = [error for key in _FIXED for error in immutable(f"spec.{key}", after.get(key), before.get(key))]
        errors += _completions(after, before)
        was, wanted = before.get("template") or {}, after.get("template") or {}
        if before.get("suspend") and not (old.get("status") or {}).get("startTime"):
            was = steered_template(wanted, was)
        for part in ("metadata", "spec"):
            errors += immutable(f"spec.template.{part}", wanted.get(part) or {}, was.get(part) or {})
        return errors


def _completions(after: Object, before: Object) -> list[FieldError]:
    """The number of completions is fixed, except that of an Indexed Job together with its parallelism."""
    number = after.get("completions")
    if after.get("completionMode") != "Indexed":
        return immutable("spec.completions", number, before.get("completions"))
    if number in (None, before.get("completions"), after.get("parallelism")):
        return []
    return [invalid("spec.completions", number, "can only be modified in tandem with spec.parallelism")]


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
