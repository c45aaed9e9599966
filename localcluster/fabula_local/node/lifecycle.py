"""The life of a pod: which container starts when, when it starts again, when it is over. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from fabula_local.kinds import Obj
from fabula_local.node.records import Attempt

LONGEST_CRASH_LOOP_SECONDS = 300.0
FORGIVEN_AFTER_SECONDS = 600.0
"""A container that ran this long starts again without a growing pause."""

Attempts = Mapping[str, Sequence[Attempt]]


@dataclass(slots=True)
class Step:
    """What to do now."""

    start: list[tuple[Obj, int]] = field(default_factory=list)
    """(container, attempt number) to start."""
    stop: list[str] = field(default_factory=list)
    """Sidecars to end, because the pod's work is done."""
    waiting: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Container -> (reason, message) of its waiting state."""
    again_seconds: float | None = None
    phase: str = "Pending"
    initialized: bool = False


def is_sidecar(container: Obj) -> bool:
    """Whether an init container runs beside the main ones."""
    return bool(container.get("restartPolicy") == "Always")


def next_step(pod: Obj, attempts: Attempts, now: datetime, *, ending: bool, crash_loop_seconds: float) -> Step:
    """The next step of a pod on its node. With `ending` nothing is started any more."""
    step = Step()
    spec = pod["spec"]
    policy = spec.get("restartPolicy", "Always")
    if not _initialize(step, pod, attempts, now, policy, crash_loop_seconds, ending):
        if ending and not _any_running(attempts):
            step.phase = "Failed"
        return step
    step.initialized = True
    step.phase = "Running" if any(attempts.get(entry["name"]) for entry in spec["containers"]) else "Pending"
    ends: list[int] = []
    for container in spec["containers"]:
        tries = attempts.get(container["name"]) or ()
        latest = tries[-1] if tries else None
        if latest is not None and latest.running:
            continue
        if latest is None:
            if not ending:
                step.start.append((container, 0))
            continue
        if not ending and _restarts(policy, latest):
            _again(step, pod, container, tries, now, crash_loop_seconds)
        else:
            ends.append(latest.exit_code or 0)
    running = _any_running({entry["name"]: attempts.get(entry["name"]) or () for entry in spec["containers"]})
    if len(ends) == len(spec["containers"]) or (ending and not running):
        all_well = len(ends) == len(spec["containers"]) and not any(ends)
        sidecars = [entry["name"] for entry in spec.get("initContainers") or () if is_sidecar(entry)]
        step.stop = [name for name in sidecars if _any_running({name: attempts.get(name) or ()})]
        if not step.stop:
            step.phase = "Succeeded" if all_well else "Failed"
    return step


def _initialize(
    step: Step, pod: Obj, attempts: Attempts, now: datetime, policy: str, base: float, ending: bool
) -> bool:
    """Work through the init containers; True when the main ones may start."""
    for container in pod["spec"].get("initContainers") or ():
        tries = attempts.get(container["name"]) or ()
        latest = tries[-1] if tries else None
        if latest is None:
            if not ending:
                step.start.append((container, 0))
            if not is_sidecar(container):
                return False
        elif is_sidecar(container):
            if not latest.running and not ending and not _mains_done(pod, attempts, policy):
                _again(step, pod, container, tries, now, base)
        elif latest.running:
            return False
        elif latest.failed:
            if policy == "Never":
                step.phase = "Failed"
            elif not ending:
                _again(step, pod, container, tries, now, base)
            return False
    return True


def _mains_done(pod: Obj, attempts: Attempts, policy: str) -> bool:
    latest = [(attempts.get(entry["name"]) or (None,))[-1] for entry in pod["spec"]["containers"]]
    return all(entry is not None and not entry.running and not _restarts(policy, entry) for entry in latest)


def _restarts(policy: str, attempt: Attempt) -> bool:
    return policy == "Always" or (policy == "OnFailure" and attempt.failed)


def _any_running(attempts: Attempts) -> bool:
    return any(entry.running for history in attempts.values() for entry in history)


def _again(step: Step, pod: Obj, container: Obj, tries: Sequence[Attempt], now: datetime, base: float) -> None:
    """Start the container again, after a pause that doubles with each quick end."""
    latest = tries[-1]
    ended = latest.finished_at or now
    lasted = (ended - (latest.started_at or ended)).total_seconds()
    # The first restart is immediate, as the kubelet does it.
    pause = 0.0
    if latest.number > 0 and lasted < FORGIVEN_AFTER_SECONDS:
        pause = float(min(base * 2 ** min(latest.number - 1, 20), LONGEST_CRASH_LOOP_SECONDS))
    left = (ended + timedelta(seconds=pause) - now).total_seconds()
    if left <= 0:
        step.start.append((container, latest.number + 1))
        return
    meta = pod["metadata"]
    step.waiting[container["name"]] = (
        "CrashLoopBackOff",
        f"back-off {pause:g}s restarting failed container={container['name']} "
        f"pod={meta['name']}_{meta['namespace']}({meta['uid']})",
    )
    step.again_seconds = left if step.again_seconds is None else min(step.again_seconds, left)
