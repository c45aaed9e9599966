"""`fabula doctor`: what a cluster has of what runs need; with `--first-run`, what of it works."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Console

from fabula_cli.access import Access, Context, Kubeconfig, Namespace, access
from fabula_cli.checks import Check, State, Unseen
from fabula_cli.diagnosis import PRODUCT, Facts, gpus_of, judge
from fabula_cli.display import shown
from fabula_cli.exits import CommandFailed, Exit, told
from fabula_cli.output import Output
from fabula_cli.store import ArtifactRoot, artifact_root
from fabula_operator.render import WorkerSettings

COLOURS: dict[State, str] = {"OK": "green", "MISSING": "red", "DIFFERS": "red", "NOTE": "yellow"}
TRAINER = "pytorchjobs.kubeflow.org"


def doctor(
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    namespace: Namespace = None,
    root: ArtifactRoot = None,
    first_run: Annotated[
        bool, typer.Option("--first-run", help="Also try it: small pods in the namespace, gone in the end.")
    ] = False,
    gpus: Annotated[int, typer.Option(min=1, help="With --first-run: GPUs of a pod that tries them.")] = 1,
    bedrock_model: Annotated[
        str | None, typer.Option(help="With --first-run: one call of some 30 tokens to it, from a pod. It is paid for.")
    ] = None,
    bedrock_region: Annotated[str | None, typer.Option(help="Default: the workers' AWS_REGION.")] = None,
    bedrock_endpoint: Annotated[str | None, typer.Option(help="Another address than AWS's.")] = None,
    limit: Annotated[float, typer.Option(min=1, help="With --first-run: seconds that a pod may take.")] = 600,
    keep: Annotated[
        bool, typer.Option("--keep", help="With --first-run: leave what was made, to be looked at.")
    ] = False,
    output: Output = "text",
) -> None:
    """Look at what runs need of a cluster: each line is OK, a NOTE, or MISSING with what to do; with --first-run also
    DIFFERS, where something is not as Fabula takes it to be. Exit 1 when something is missing or differs. Without
    --first-run it changes nothing, but for a probe of the store, which it removes."""
    from fabula_cli.examination import examine

    with told():
        reach = access(kubeconfig, context, namespace)
        facts = examine(reach, artifact_root(reach, root))
        checks = judge(facts, datetime.now(UTC))
        show = _tell if output == "text" else _nothing
        show(checks)
        if first_run:
            bedrock = [
                f"{option}={value}"
                for option, value in (
                    ("--bedrock-model", bedrock_model), ("--bedrock-region", bedrock_region),
                    ("--bedrock-endpoint", bedrock_endpoint),
                )
                if value and bedrock_model
            ]  # fmt: skip
            for tried in _tried(reach, facts, gpus, bedrock, limit, keep):
                show(tried)
                checks += tried
        if output == "json":
            typer.echo(json.dumps([asdict(check) for check in checks], indent=2))
        if any(check.state in ("MISSING", "DIFFERS") for check in checks):
            raise typer.Exit(Exit.BAD)


def _tried(reach: Access, facts: Facts, gpus: int, bedrock: Sequence[str], limit: float, keep: bool) -> Any:
    """Lines about each trial, as they come."""
    from fabula_cli.first_run.manifests import trials
    from fabula_cli.first_run.outcome import judge as judge_outcome
    from fabula_cli.first_run.trying import all_of

    settings = _settings(facts)
    products = [(node["metadata"].get("labels") or {}).get(PRODUCT) for node in gpus_of(facts)]
    there = not isinstance(facts.crds, Unseen) and TRAINER in facts.crds
    queues = () if isinstance(facts.local_queues, Unseen) else facts.local_queues
    wanted = trials(products, there, queues, gpus, bedrock)
    stderr = Console(stderr=True, soft_wrap=True)
    for outcome in all_of(
        reach, wanted, settings, limit, lambda line: stderr.print(shown(line, "dim"), highlight=False), keep
    ):
        yield judge_outcome(outcome)


def _settings(facts: Facts) -> WorkerSettings:
    """The installation's; on a laptop, which has no Deployment, no more than where artifacts lie."""
    if facts.worker is not None:
        return facts.worker
    if facts.root is None:
        words = "where artifacts lie was not found out, so no pod could try it: give --artifact-root"
        raise CommandFailed(Exit.USAGE, words)
    return replace(WorkerSettings(artifact_root=facts.root, status_url="https://unknown.invalid"), metrics_port=None)


def _tell(checks: Sequence[Check]) -> None:
    console = Console(soft_wrap=True)
    for check in checks:
        line = shown(f"{check.state:8}", COLOURS[check.state]).append_text(shown(f"{check.about:18} {check.said}"))
        console.print(line, highlight=False)


def _nothing(checks: Sequence[Check]) -> None:
    """Lines come as JSON in the end."""
