"""The alerts, each with its runbook: the PrometheusRule and `docs/runbooks` are made of these records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fabula_chart.monitoring.series import told

PER_RUN = "{{ $labels.kind }} {{ $labels.namespace }}/{{ $labels.name }}"
RUNNING = 'state="Running"'
LEASE = "@LEASE@"
"""Stands for the Lease of the release whose alert it is, as `namespace/name`: no other release may lead in its place."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert."""

    name: str
    expr: str
    wait: str
    """How long it must hold: Prometheus' `for`."""
    severity: Literal["critical", "warning"]
    summary: str
    means: str
    """What has happened, and what it costs to leave it."""
    look: tuple[str, ...]
    """What to look at, the likeliest first."""
    do: tuple[str, ...]
    """What to do."""

    @property
    def page(self) -> str:
        """File name of its runbook."""
        return f"{self.name}.md"


ALERTS: tuple[Alert, ...] = (
    Alert(
        "FabulaRunStalled",
        told("fabula_run_stalled") + " == 1",
        "10m",
        "warning",
        PER_RUN + " waits for somebody to mend something",
        "The run cannot go on by itself: what it names is missing or failed, or the cluster refuses its pods. Waiting does"
        " not help. Nothing is lost; it goes on as soon as the cause is gone.",
        (
            "`kubectl get dsb,ftr,evr -A -o wide`: the reason stands in the last columns.",
            "`kubectl describe` of the run: the message of the condition `Stalled`, and its events.",
        ),
        (
            'Do what the message says; the reasons are listed in `docs/operator.md`, "Reasons a person may meet".',
            "A run that is not wanted any more: delete it. What it finished stays in the store and is found again.",
        ),
    ),
    Alert(
        "FabulaTrainingUnhealthy",
        told("fabula_training_unhealthy") + " == 1",
        "5m",
        "warning",
        "{{ $labels.namespace }}/{{ $labels.name }}: {{ $labels.reason }}",
        "The watchdog objects to a training: NaN or infinite loss or gradients, a loss that jumped, no step for long, or"
        " half the usual speed. With `watchdog.policy: tell` the GPUs go on burning.",
        (
            "The reason: `LossNotFinite`, `GradientNotFinite`, `LossSpike`, `StepStalled`, `ThroughputFell`.",
            'Loss, gradient norm and learning rate on the dashboard "Fabula: runs", just before it began.',
            "`kubectl logs` of rank 0; for a stall, of all ranks: the one that is silent is the cause.",
        ),
        (
            "NaN: set `precision: bf16` and `maxGradNorm`, lower `learningRate`, leave out the samples of that step.",
            "A stall: see the node's GPU errors (Xid in its kernel log) and the network between nodes; suspend and resume the"
            " run to take other nodes.",
            "Let it act by itself: `spec.watchdog.policy: restart` goes on from the last checkpoint.",
        ),
    ),
    Alert(
        "FabulaRetriesSpent",
        told("fabula_run_info", 'kind="FineTuneRun"', 'state="Failed"')
        + f" == 1 and on (kind, namespace, name) {told('fabula_training_attempts')} > 1",
        "0m",
        "warning",
        "{{ $labels.namespace }}/{{ $labels.name }} failed after all its attempts: {{ $labels.reason }}",
        "A training was started again as often as `spec.retries` allows and failed each time. Its last checkpoint stays.",
        (
            "`kubectl get ftr NAME -o yaml`: `status.attempts` says how each one ended, `status.failure` has the log's end.",
            "Whether all ended alike (a mistake of the spec or the data) or each otherwise (nodes).",
        ),
        (
            "Mend the cause, then edit the spec (or `kubectl fabula retry`): it goes on from the last checkpoint with fresh"
            " budgets.",
            "Nodes that come and go: raise `retries.infrastructure`, shorten `checkpoints.everySteps`.",
        ),
    ),
    Alert(
        "FabulaCheckpointTooOld",
        f"time() - {told('fabula_training_unsaved_timestamp_seconds')} > 7200",
        "10m",
        "warning",
        "{{ $labels.namespace }}/{{ $labels.name }}: no checkpoint for {{ $value | humanizeDuration }}",
        "If a node is lost now, all GPU hours since its last checkpoint, or since its start, are wasted.",
        (
            "Whether steps still go on (dashboard: step, tokens a second): if not, see FabulaTrainingUnhealthy.",
            "Seconds a step times `checkpoints.everySteps`: it may just be set so.",
            "The rank's log for uploads that are tried again: store slow, full or refused.",
        ),
        ("Lower `checkpoints.everySteps`.", "Make the store reachable: `kubectl fabula doctor`."),
    ),
    Alert(
        "FabulaProviderCallsLost",
        'sum by (kind, namespace, name) (rate(fabula_provider_calls_total{outcome="lost"}[15m]))'
        ' > 0.1 * sum by (kind, namespace, name) (rate(fabula_provider_calls_total{outcome="paid"}[15m]))',
        "15m",
        "warning",
        PER_RUN + ": more than a tenth of the paid calls end without an answer",
        "Calls to the provider are cut off or throttled for long; each lost one may have been paid for.",
        (
            "The provider's status page and the account's quota for that model and region.",
            "Whether other programs use the same quota: Fabula keeps to the `quota` of its specs only.",
            "Proxies between the pods and the provider that cut long replies.",
        ),
        (
            "Lower `quota` to what is really free, or put all builds of the account into one `quota.group`.",
            "Ask the provider for more; suspend the run meanwhile: nothing is paid twice when it goes on.",
        ),
    ),
    Alert(
        "FabulaQuotaThrottled",
        "sum by (kind, namespace, name, stage) (increase(fabula_provider_throttles_total[15m])) > 10",
        "15m",
        "warning",
        PER_RUN + ": the provider turns calls of {{ $labels.stage }} away",
        "The account's quota is less than `quota` says, or somebody else uses it. Nothing is lost or paid twice, but the"
        " build takes longer than it should, and so does whoever shares the account.",
        (
            'The dashboard "Fabula: operator": calls, tokens, quota held, and the time until an answer.',
            "The account's quota for that model and region, and what else draws on it.",
        ),
        (
            "Lower `quota` to what is really free: a call that waits for its turn is not turned away.",
            "Put all builds of the account into one `quota.group`, so that they share it.",
            "Ask the provider for more.",
        ),
    ),
    Alert(
        "FabulaBudgetNearlySpent",
        f"{told('fabula_run_cost_usd')} / ({told('fabula_run_budget_usd')} > 0) > 0.9"
        f" and on (kind, namespace, name) {told('fabula_run_info', RUNNING)} == 1",
        "0m",
        "warning",
        PER_RUN + " has spent {{ $value | humanizePercentage }} of its budget",
        "The build will end with `BudgetReached` before it has all it wants. What it has is assembled and used.",
        ("`status.costUsd`, `status.bills` and the dashboard: what the dollars went for.",),
        ("Raise `spec.budget.usd`: the build goes on where it stopped.", "Or let it end: the dataset is smaller."),
    ),
    Alert(
        "FabulaOperatorWithoutLeader",
        f'(sum(fabula_leader{{lease="{LEASE}"}}) or vector(0)) < 1',
        "2m",
        "critical",
        f"No operator leads: nobody holds the Lease {LEASE}",
        "Nothing is started, restarted or written to statuses. Pods that run go on, and what they finish is found later.",
        (
            "`kubectl -n fabula-system get pods`: whether any operator runs; its log says why it ended.",
            "`kubectl -n fabula-system get lease`: who holds it, and since when it was not renewed.",
            "Whether Prometheus scrapes each of its pods (`monitoring.serviceMonitor`; network policy:"
            " `networkPolicy.metricsFrom`).",
        ),
        (
            "Crash at the start: see the first lines of the log; a value of the chart is most often the cause.",
            "Two that fight: give each release its own Lease; never run two releases over the same namespaces.",
        ),
    ),
    Alert(
        "FabulaWatchFrozen",
        # Of each process: the watches of one that waits for the lease are well, whatever happens to those of the leader.
        "increase(fabula_watch_missed_total[15m]) > 5"
        " unless increase(fabula_watch_events_total[15m]) >= increase(fabula_watch_missed_total[15m])",
        "15m",
        "warning",
        "Changes of {{ $labels.kind }} are seen only by the periodic list",
        "The API server's watch no longer delivers: runs react up to a minute late.",
        (
            "A proxy or load balancer between the operator and the API server that holds back streams.",
            "The operator's log for watches that end and start again.",
        ),
        ("Restart the operator: `kubectl -n fabula-system rollout restart deployment`.", "Let the proxy pass streams."),
    ),
    Alert(
        "FabulaApiErrors",
        # A missing right shows at each resync only, once a minute; what a ResourceQuota refuses is a 403 of a creation.
        'sum by (namespace, job, verb, resource, code) (rate(fabula_api_requests_total{code=~"403|422|429|5.."}[5m])) > 0.1'
        ' or sum by (namespace, job, verb, resource, code) (rate(fabula_api_requests_total{code="403",verb!="create"}[5m])) > 0',
        "10m",
        "warning",
        "{{ $labels.verb }} of {{ $labels.resource }} is answered with {{ $labels.code }}",
        "The API server refuses what the operator asks for. Runs may stand still.",
        (
            "403: compare the ClusterRole with the chart's; somebody removed a right, or the chart is older than the image.",
            "422: CRDs older than the operator: `crds.enabled=false` and not upgraded by hand?",
            "429 and 5..: the API server's own health.",
        ),
        (
            "`helm upgrade` with the chart of the operator's version.",
            "`kubectl fabula doctor` names the missing right.",
        ),
    ),
    Alert(
        "FabulaCertificateEnds",
        "min by (namespace, job) (fabula_certificate_expiry_timestamp_seconds) - time() < 14 * 86400",
        "1h",
        "warning",
        "{{ $labels.job }}: the status server's certificate ends in {{ $value | humanizeDuration }}",
        "From then on workers cannot report. Their work goes on and is found at its end, but progress, quotas and budgets"
        " stand still.",
        ("Who makes it: `statusServer.tls.mode` of the release.",),
        (
            "`job`: `helm upgrade` renews it. `certManager`: `kubectl describe certificate`. `secret`: renew yours; the"
            " operator takes it without a restart.",
        ),
    ),
)
