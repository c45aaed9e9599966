"""The dashboard of who operates: is it alive, is it fast, what does it ask of the API server, who pays what."""

from __future__ import annotations

from fabula_chart.monitoring.panels import RUN, Board, Panel, Query, Row, panel
from fabula_chart.monitoring.series import told

OPERATORS = "and on (job, instance) fabula_leader"
"""Of operators, those that wait too, whatever the release is called; workers tell of their processes as well."""

OPERATIONS = Board(
    "fabula-operator",
    "Fabula: operator",
    "Health, latency and errors of the operator; calls, quotas and throttles of providers.",
    (
        Row(
            "Health",
            (
                panel("Leaders", "sum by (lease) (fabula_leader)", "{{lease}}",
                      "One for each release, always; none for longer than a takeover is an outage.",
                      shape="number", width=4, height=4),
                panel("Version", "max by (version) (fabula_build_info)", "{{version}}", "What runs.", shape="table",
                      width=8, height=4),
                panel("Memory", f"process_resident_memory_bytes {OPERATORS}", "{{instance}}",
                      "Grows with the number of runs.", "bytes", width=6, height=4),
                panel("CPU", f"rate(process_cpu_seconds_total[5m]) {OPERATORS}", "{{instance}}", "Cores.",
                      width=6, height=4),
                panel("Certificate ends in", "min by (job) (fabula_certificate_expiry_timestamp_seconds) - time()", "{{job}}",
                      "A helm upgrade renews it.", "s", shape="number", width=4, height=4),
                panel("Runs due for a look", "sum(fabula_work_queue_depth)", "depth", "Falls to 0 between bursts."),
                panel("Oldest in the queue", "max(fabula_work_queue_oldest_seconds)", "age",
                      "How long the next one has waited.", "s"),
            ),
        ),
        Row(
            "Looks",
            (
                panel("Looks a second", "sum by (kind, result) (rate(fabula_reconciles_total[5m]))",
                      "{{kind}} {{result}}", "Anything but ok is told in the operator's log.", "ops"),
                Panel("Duration of a look", tuple(
                    Query(f"histogram_quantile({share}, sum by (le) (rate(fabula_reconcile_seconds_bucket[5m])))", legend)
                    for share, legend in ((0.5, "p50"), (0.99, "p99"))),
                    "A slow API server shows here first.", "s"),
                panel("Since a watch last told a change",
                      "time() - max by (kind) (fabula_watch_last_event_timestamp_seconds"
                      " and on (job, instance) (fabula_leader == 1))", "{{kind}}",
                      "Grows while nothing happens; a value that falls shows that the watch delivers.", "s"),
                panel("Changes that only a list told", "sum by (kind) (rate(fabula_watch_missed_total[10m]))", "{{kind}}",
                      "Above 0 for long: the watch is frozen, for example behind a proxy.", "ops"),
            ),
        ),
        Row(
            "API server",
            (
                panel("Requests", "sum by (verb, resource) (rate(fabula_api_requests_total[5m]))", "{{verb}} {{resource}}",
                      "A quiet cluster sees Leases and lists only.", "reqps", width=12),
                panel("Errors", 'sum by (verb, resource, code) (rate(fabula_api_requests_total{code=~"4..|5.."}[5m]))'
                      " or vector(0)", "{{verb}} {{resource}} {{code}}",
                      "403: a right is missing; 409: two write one object; 429 and 5..: the API server is in need.",
                      "reqps", width=12),
            ),
        ),
        Row(
            "Workers and providers",
            (
                panel("Reports", "sum by (code) (rate(fabula_status_reports_total[5m]))", "{{code}}",
                      "401 and 403: a token that does not fit; 429: a pod that talks too much.", "reqps"),
                panel("Calls to providers", f"sum by (stage, outcome) (rate(fabula_provider_calls_total{{{RUN}}}[5m]))",
                      "{{stage}} {{outcome}}", "Lost ones may have been paid for without an answer.", "ops"),
                panel("Tokens", f"sum by (stage, direction) (rate(fabula_provider_tokens_total{{{RUN}}}[5m]))",
                      "{{stage}} {{direction}}", "Against the account's quota a minute."),
                panel("Calls turned away", f"sum by (stage) (rate(fabula_provider_throttles_total{{{RUN}}}[5m]))", "{{stage}}",
                      "Above 0 for long: somebody else uses the quota, or it is less than the specs say.", "ops"),
                panel("Time until an answer",
                      f"sum by (stage) (rate(fabula_provider_wait_seconds_total{{{RUN}}}[5m]))"
                      f' / sum by (stage) (rate(fabula_provider_calls_total{{{RUN},outcome="paid"}}[5m]))', "{{stage}}",
                      "Mean of the calls that were answered.", "s"),
                panel("Quota held", told("fabula_provider_quota_share", RUN), "{{namespace}}/{{name}} {{stage}}",
                      "Of a group's quota, all runs together hold 1 at most.", "percentunit"),
            ),
        ),
        Row(
            "Queues",
            (
                panel("Kueue: waiting", "sum by (cluster_queue, status) (kueue_pending_workloads)",
                      "{{cluster_queue}} {{status}}", "Of Kueue.", foreign=True, width=12),
                panel("Kueue: admitted", "sum by (cluster_queue) (kueue_admitted_active_workloads)", "{{cluster_queue}}",
                      "Of Kueue.", foreign=True, width=12),
            ),
        ),
    ),
)  # fmt: skip
