"""The dashboard of who trains: what runs, what it waits for, curves, throughput, cost, and the chain to the score."""

from __future__ import annotations

from fabula_chart.monitoring.panels import NS, RUN, Board, Panel, Query, Row, panel
from fabula_chart.monitoring.series import told

PER_RUN = "{{namespace}}/{{name}}"


def _sum(name: str, *where: str, per: str = "1") -> str:
    """One number for all that is chosen; 0 where there is nothing."""
    share = "" if per == "1" else f" / {per}"
    return f"sum({told(name, *where)}){share} or vector(0)"


ENGINEER = Board(
    "fabula-runs",
    "Fabula: runs",
    "Datasets, trainings and evaluations: where they are, what they wait for, how good they are and what they cost.",
    (
        Row(
            "What there is",
            (
                panel("Running", _sum("fabula_runs", NS, 'state="Running"'), "", "Runs at work.",
                      shape="number", width=4, height=4),
                panel("Waiting", _sum("fabula_runs", NS, 'state="Pending"'), "", "Runs that wait.",
                      shape="number", width=4, height=4),
                panel("Failed", _sum("fabula_runs", NS, 'state="Failed"'), "", "Runs that failed.",
                      shape="number", width=4, height=4),
                panel("Dollars", _sum("fabula_run_cost_usd", RUN), "", "Spent by the chosen runs.",
                      "currencyUSD", shape="number", width=4, height=4),
                panel("GPU hours wasted", _sum("fabula_training_gpu_seconds", RUN, 'share="wasted"', per="3600"), "",
                      "Work done again after a restart: long gaps between checkpoints make it grow.",
                      "h", shape="number", width=4, height=4),
                panel("Somebody must act", _sum("fabula_run_stalled", RUN), "",
                      "Runs that no waiting helps; the table says why.", shape="number", width=4, height=4),
                panel("What each run does or waits for", told("fabula_run_info", RUN), "",
                      "State, and the reason in one word; `kubectl get -o wide` says it in a sentence.",
                      shape="table", width=16),
                panel("Progress", told("fabula_run_progress_ratio", RUN), "{{kind}} " + PER_RUN, "Of the whole run.",
                      "percentunit"),
                Panel("Dollars and budget", (Query(told("fabula_run_cost_usd", RUN), "{{kind}} " + PER_RUN),
                                             Query(told("fabula_run_budget_usd", RUN), "{{kind}} " + PER_RUN + " budget")),
                      "No call is made that could pass the budget.", "currencyUSD", width=12),
                panel("How long it took", told("fabula_run_finished_timestamp_seconds", RUN) + " - "
                      + told("fabula_run_started_timestamp_seconds", RUN), "{{kind}} " + PER_RUN,
                      "From the first pod to the end, of runs that have ended.", "s", width=12),
            ),
        ),
        Row(
            "Training",
            (
                Panel("Loss", (Query(told("fabula_training_loss", RUN), PER_RUN),
                               Query(told("fabula_training_validation_loss", RUN), PER_RUN + " validation")),
                      "A jump that stays means a rate too high or bad samples; a validation loss that rises, too long."),
                panel("Gradient norm", told("fabula_training_grad_norm", RUN), PER_RUN, "Before clipping."),
                panel("Learning rate", told("fabula_training_learning_rate", RUN), PER_RUN, "As scheduled.", "sci"),
                panel("Tokens a second and GPU", told("fabula_training_tokens_per_second_per_gpu", RUN), PER_RUN,
                      "Picture tokens count."),
                panel("Model FLOPs utilisation", told("fabula_training_mfu_ratio", RUN), PER_RUN,
                      "Share of the card's peak.", "percentunit"),
                Panel("Steps", (Query(told("fabula_training_step", RUN), PER_RUN),
                                Query(told("fabula_training_steps", RUN), PER_RUN + " in all")),
                      "A line that falls back is a restart: the steps since the checkpoint are made again."),
                panel("Seconds of a step", told("fabula_training_step_seconds", RUN), PER_RUN,
                      "`status.estimate` says what is expected.", "s"),
                panel("Waiting for data", told("fabula_training_data_wait_ratio", RUN), PER_RUN,
                      "Above a few per cent: more loader workers, or a nearer store.", "percentunit"),
                panel("GPU hours", told("fabula_training_gpu_seconds", RUN) + " / 3600", PER_RUN + " {{share}}", "Used and wasted.", "h"),
                panel("Age of the newest checkpoint",
                      "time() - " + told("fabula_training_unsaved_timestamp_seconds", RUN), PER_RUN,
                      "While a training is at work: what a lost node would cost.", "s"),
                panel("Attempts", told("fabula_training_attempts", RUN), PER_RUN, "More than one: see the run's attempts."),
                panel("GPU utilisation", 'avg by (Hostname, gpu) (DCGM_FI_DEV_GPU_UTIL)', "{{Hostname}} {{gpu}}",
                      "Of DCGM's exporter.", "percent", foreign=True, width=12),
                panel("GPU memory", 'avg by (Hostname, gpu) (DCGM_FI_DEV_FB_USED) * 1048576', "{{Hostname}} {{gpu}}",
                      "Of DCGM's exporter.", "bytes", foreign=True, width=12),
            ),
        ),
        Row(
            "Datasets",
            (
                panel("Items of each stage", told("fabula_stage_items", RUN, 'kind="DatasetBuild"', 'outcome="done"'),
                      PER_RUN + " {{stage}}", "Done so far."),
                panel("What was counted", told("fabula_dataset_items", RUN), "{{item}} {{outcome}} {{reason}}",
                      "Items by outcome: a reason that grows tells what the source lacks."),
                panel("Samples", told("fabula_dataset_samples", RUN), PER_RUN, "In the committed dataset."),
                panel("Figures of the recipe", told("fabula_run_figure", RUN), PER_RUN + " {{figure}}",
                      "What a recipe counts of its own: `status.figures`."),
            ),
        ),
        Row(
            "Evaluation",
            (
                panel("Metrics", told("fabula_eval_metric", RUN), "{{name}} {{arm}} {{metric}}",
                      "Means; the report has the intervals."),
                panel("Answers", told("fabula_eval_answers", RUN), "{{name}} {{arm}} {{outcome}}",
                      "Unparseable answers have no score: compare arms only where both have one."),
                panel("Gates kept", told("fabula_eval_gates_passed", RUN), "{{namespace}}/{{name}}",
                      "1 where all gates are kept.", "bool_yes_no"),
                panel("Won before a judge", told("fabula_eval_win_rate", RUN), "{{name}} {{judge}}: {{arm}} against {{versus}}",
                      "Share of the samples, ties as a half; the report has the intervals.", "percentunit"),
                panel("Judges trusted", told("fabula_eval_judges_trusted", RUN), PER_RUN,
                      "0 where a judge failed its self-test: what it says decides nothing.", "bool_yes_no"),
            ),
        ),
    ),
)  # fmt: skip
