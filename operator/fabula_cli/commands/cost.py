"""`fabula cost`: what runs have cost so far, in GPU hours, calls, tokens and dollars."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import typer
from rich.console import Console

from fabula_api.bills import Billed
from fabula_api.dataset_build import DatasetBuildStatus
from fabula_api.eval_run import EvalRunStatus
from fabula_api.fine_tune_status import FineTuneRunStatus
from fabula_cli.access import Context, Everywhere, Kubeconfig, Namespace, Runs, access
from fabula_cli.display import Figures
from fabula_cli.exits import told
from fabula_cli.output import Output
from fabula_cli.runs import title
from fabula_operator.plan.seen.observed import Run


@dataclass(frozen=True, slots=True)
class Cost:
    """What one run has cost. None is not known, which is not nothing."""

    run: str
    namespace: str
    usd: float | None = None
    """Dollars for paid calls, or for GPU hours where the installation knows their price."""
    at_risk_usd: float | None = None
    """Dollars at most of calls that may have been paid for although no answer came; not in `usd`."""
    estimated_usd: float | None = None
    """What the last dry run found."""
    gpu_hours: float | None = None
    wasted_gpu_hours: float | None = None
    calls: int | None = None
    tokens: int | None = None


def cost_of(run: Run) -> Cost:
    """The figures of one run's status."""
    match run.status:
        case FineTuneRunStatus(gpu_hours=hours, cost_usd=usd):
            used, wasted = (hours.used, hours.wasted) if hours else (None, None)
            return Cost(title(run), run.identity.namespace, usd, gpu_hours=used, wasted_gpu_hours=wasted)
        case DatasetBuildStatus(estimate=estimate) as status:
            return _of_calls(run, status, estimate.usd if estimate else None)
        case EvalRunStatus(judges=judges) as status:
            known = [judge.planned_usd for judge in judges if judge.planned_usd is not None]
            return _of_calls(run, status, sum(known) if known and len(known) == len(judges) else None)
    return Cost(title(run), run.identity.namespace)


def _of_calls(run: Run, status: Billed, estimated_usd: float | None) -> Cost:
    """Of a run that pays providers."""
    return Cost(
        title(run), run.identity.namespace, status.cost_usd,
        at_risk_usd=sum(bill.lost_usd for bill in status.bills) or None,
        estimated_usd=estimated_usd,
        calls=status.calls.paid if status.calls else None,
        tokens=status.tokens.input + status.tokens.output if status.tokens else None,
    )  # fmt: skip


def total(costs: Sequence[Cost]) -> Cost:
    """The sum of what is known."""

    def added(field: str) -> float | None:
        known = [figure for run_cost in costs if (figure := getattr(run_cost, field)) is not None]
        return sum(known) if known else None

    calls, tokens = added("calls"), added("tokens")
    return Cost(
        "total", "", added("usd"), added("at_risk_usd"), added("estimated_usd"), added("gpu_hours"),
        added("wasted_gpu_hours"), None if calls is None else int(calls), None if tokens is None else int(tokens),
    )  # fmt: skip


HEADINGS = ("RUN", "DOLLARS", "AT RISK", "ESTIMATED", "GPU HOURS", "WASTED", "CALLS", "TOKENS")


def line(cost: Cost, everywhere: bool = False) -> tuple[str, ...]:
    """The cells of a run; `-` is not known."""

    def money(value: float | None) -> str:
        return "-" if value is None else f"{value:.2f}"

    def count(value: int | None) -> str:
        return "-" if value is None else f"{value:,}"

    name = f"{cost.namespace}/{cost.run}" if everywhere and cost.namespace else cost.run
    figures = (cost.usd, cost.at_risk_usd, cost.estimated_usd, cost.gpu_hours, cost.wasted_gpu_hours)
    return (name, *map(money, figures), count(cost.calls), count(cost.tokens))


def cost(
    runs: Runs = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    namespace: Namespace = None,
    everywhere: Everywhere = False,
    output: Output = "text",
) -> None:
    """Show what runs have cost so far, and the sum. `-` is not known; a GPU hour's price is the installation's."""
    with told():
        costs = [cost_of(run) for run in access(kubeconfig, context, namespace, everywhere).runs(runs or ())]
        if output == "json":
            document = {"runs": [asdict(run_cost) for run_cost in costs], "total": asdict(total(costs))}
            typer.echo(json.dumps(document, indent=2))
            return
        lines = [line(run_cost, everywhere) for run_cost in (*costs, total(costs))]
        Console().print(Figures([HEADINGS, *lines], ruled=False))
