"""podFailurePolicy of a Job: what a failed pod means. Pure; the rules are those of batch/v1."""

from dataclasses import dataclass
from typing import Literal

from fabula_local.kinds import Obj

from .pods import terminated

Action = Literal["Count", "Ignore", "FailJob", "FailIndex"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do about one failed pod."""

    action: Action
    message: str = ""
    """Why, for FailJob; the wording of Kubernetes."""

    @property
    def counts(self) -> bool:
        """Whether the failure counts towards backoffLimit."""
        return self.action != "Ignore"


COUNT = Verdict("Count")


def judge(policy: Obj | None, pod: Obj) -> Verdict:
    """The first rule that matches the failed pod decides; without one the failure counts."""
    for number, rule in enumerate((policy or {}).get("rules") or ()):
        name = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        requirement = rule.get("onExitCodes")
        if requirement:
            hit = _exit_code(requirement, pod)
            if hit is not None:
                container, code = hit
                message = (
                    f"Container {container} for pod {name} failed with exit code {code} "
                    f"matching {rule['action']} rule at index {number}"
                )
                return Verdict(rule["action"], message)
        elif (kind := _condition(rule.get("onPodConditions") or (), pod)) is not None:
            message = f"Pod {name} has condition {kind} matching {rule['action']} rule at index {number}"
            return Verdict(rule["action"], message)
    return COUNT


def _exit_code(requirement: Obj, pod: Obj) -> tuple[str, int] | None:
    values = {int(value) for value in requirement.get("values") or ()}
    wanted = requirement.get("containerName")
    for container, code in terminated(pod):
        # Exit code 0 is never a failure, also not for NotIn.
        if code == 0 or (wanted and container != wanted):
            continue
        if (code in values) == (requirement["operator"] == "In"):
            return container, code
    return None


def _condition(patterns: list[Obj] | tuple[()], pod: Obj) -> str | None:
    for condition in (pod.get("status") or {}).get("conditions") or ():
        for pattern in patterns:
            if condition["type"] == pattern["type"] and condition["status"] == pattern.get("status", "True"):
                return str(condition["type"])
    return None
