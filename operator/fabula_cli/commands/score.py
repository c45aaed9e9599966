"""`fabula score` and `fabula compare`: the metrics and statistics of an evaluation, on files that exist already."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from fabula_api.shared_spec import RunSpec
from fabula_cli.display import Figures
from fabula_cli.exits import CommandFailed, Exit, told
from fabula_cli.output import Output

if TYPE_CHECKING:
    from fabula_workloads.scoring.compare import Line
    from fabula_workloads.scoring.score import Scored

ProfileOption = Annotated[
    Literal["v2", "paper-v1"],
    typer.Option(help="Definitions: `v2`, or `paper-v1` as published, whose table has the published columns."),
]
RecipeOption = Annotated[str, typer.Option(help="Whose answers they are: its metrics, and how its answers are read.")]
BaselineOption = Annotated[str | None, typer.Option(help="Arm that the others are compared with. Default: the first.")]
_RECIPE: str = RunSpec.model_fields["recipe"].default


def score(
    folders: Annotated[
        list[Path],
        typer.Argument(
            help="Folders with answers: `<sample>.txt` files of one arm each, or the published layout, a folder for "
            "each sample with `transcript_<arm>.txt` and its pictures. Of audio-description: a file with references, "
            "then one of each arm. Of visual-instruction: the annotations' folder, then each arm's predictions'."
        ),
    ],
    profile: ProfileOption = "v2",
    recipe: RecipeOption = _RECIPE,
    metric: Annotated[list[str] | None, typer.Option(help="Metric to compute; may be repeated. Default: all.")] = None,
    baseline: BaselineOption = None,
    pictures: Annotated[
        Path | None, typer.Option(help="Folder with a folder of pictures for each sample.", exists=True)
    ] = None,
    clip_model: Annotated[Path | None, typer.Option(help="Folder with the model of clip-score.", exists=True)] = None,
    embedding_model: Annotated[
        Path | None, typer.Option(help="Folder with the sentence-embedding model of coherence.", exists=True)
    ] = None,
    training_set: Annotated[
        Path | None, typer.Option(help="`train.jsonl` that the arms were tuned on, for training-overlap.", exists=True)
    ] = None,
    out: Annotated[Path, typer.Option(help="Where report and tables go.")] = Path("fabula-score"),
    output: Output = "text",
) -> None:
    """Measure answers that lie in folders, one folder an arm, and compare them; no cluster, and no model for texts."""
    with told(), _needed():
        from fabula_workloads.runtime.failures import WorkerError
        from fabula_workloads.scoring.score import Wishes, files_of
        from fabula_workloads.scoring.score import score as scored_of

        wishes = Wishes(
            recipe, (profile,), tuple(metric or ()), baseline, pictures, clip_model, embedding_model, training_set
        )
        try:
            scored = scored_of(folders, wishes)
        except (ValueError, OSError, WorkerError) as error:
            raise CommandFailed(Exit.BAD, str(error)) from error
        out.mkdir(parents=True, exist_ok=True)
        files = dict(files_of(scored, out.resolve().name))
        for name, content in files.items():
            (out / name).write_text(content, encoding="utf-8")
        if output == "json":
            typer.echo(files["report.json"])
            return
        console = Console(soft_wrap=True)
        console.print(_scores(scored))
        console.print(f"report, tables and figures are in {out}/: report.html, samples.csv, summary.csv, results.csv")


def compare(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="CSV tables with a column `sample`, such as a report's samples.csv; or folders, as for `fabula score`."
        ),
    ],
    profile: ProfileOption = "v2",
    recipe: RecipeOption = _RECIPE,
    baseline: BaselineOption = None,
    output: Output = "text",
) -> None:
    """Compare arms by pairs of samples: differences with intervals, p-values, effect sizes, samples that are needed."""
    with told(), _needed():
        from fabula_workloads.runtime.failures import WorkerError
        from fabula_workloads.scoring.compare import compared, merged, read_table
        from fabula_workloads.scoring.score import Wishes, score, table_of

        try:
            folders = [path for path in files if path.is_dir()]
            tables = [(str(path), read_table(path)) for path in files if path not in folders]
            if folders:
                tables.append((str(folders[0]), table_of(score(folders, Wishes(recipe, (profile,))))))
            lines = compared(merged(tables), baseline)
        except (ValueError, OSError, WorkerError) as error:
            raise CommandFailed(Exit.BAD, str(error)) from error
        if output == "json":
            typer.echo(json.dumps([_finite(asdict(line)) for line in lines], indent=2))
            return
        console = Console(soft_wrap=True)
        for arm, versus in dict.fromkeys((line.arm, line.versus) for line in lines):
            console.print(_pairs([line for line in lines if (line.arm, line.versus) == (arm, versus)]), markup=False)


def _pairs(lines: Sequence[Line]) -> Table:
    """One arm against another, narrow enough for 80 columns: a number and, below it, what it is to be read with."""
    arm, versus = lines[0].arm, lines[0].versus
    most = max(line.paired.estimate.count for line in lines)
    title = f"{arm} against {versus}, {most} pair{'' if most == 1 else 's'}"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("Figure", arm, versus, "Difference\n95 % interval", "p\nHolm's", "d\nneeded"):
        table.add_column(name, no_wrap=True, overflow="fold")
    for line in lines:
        paired, (ours, theirs) = line.paired, line.means
        estimate, fewer = paired.estimate, f", {line.left_out} left out" if line.left_out else ""
        adjusted, needed = _p_value(paired.adjusted), None if paired.seen else paired.needed
        table.add_row(
            _stacked(line.column, f"{estimate.count} pairs{fewer}" if fewer or estimate.count < most else ""),
            _number(ours),
            _number(theirs),
            _stacked(
                _number(estimate.mean),
                "" if estimate.low is None else f"{_number(estimate.low)} to {_number(estimate.high)}",
            ),
            _stacked(_p_value(paired.p_value), adjusted),
            _stacked("" if paired.effect is None else f"{paired.effect:.2f}", "" if needed is None else f"{needed:,}"),
        )
    return table


def _stacked(first: str, second: str) -> str:
    return f"{first}\n{second}" if second else first


@contextmanager
def _needed() -> Iterator[None]:
    """Say which packages a bare command lacks."""
    try:
        yield
    except ModuleNotFoundError as error:
        needs = "pip install '.[worker]' in the checkout, and [train] for metrics by models"
        words = f"this needs {error.name or error}: {needs}"
        raise CommandFailed(Exit.BAD, words) from error


def _scores(scored: Scored) -> Figures:
    """Means, and the differences from the baseline."""
    evaluation = scored.evaluation
    others = [arm for arm in evaluation.arms if arm.name != evaluation.baseline]
    profile = evaluation.profile
    differences = [name for arm in others for name in (f"{arm.name} - {evaluation.baseline}", "p (Holm)")]
    rows = [["Metric", *(arm.name for arm in evaluation.arms), *differences]]
    for metric in evaluation.metrics_under(profile):
        means = [arm.means[profile, metric.name] for arm in evaluation.arms]
        if not any(mean.count for mean in means):
            continue
        cells = ["-" if mean.mean is None else format(mean.mean, metric.shown) for mean in means]
        for arm in others:
            difference = evaluation.difference(profile, arm.name, metric.name)
            if difference is None or difference.estimate.mean is None:
                cells += [f"- ({difference.reason})" if difference else "-", ""]
                continue
            estimate, shown = difference.estimate, f"+{metric.shown}"
            interval = "" if estimate.low is None or estimate.high is None else (
                f" [{format(estimate.low, shown)}, {format(estimate.high, shown)}]"
            )  # fmt: skip
            cells += [format(estimate.mean, shown) + interval, _p_value(difference.paired.adjusted)]
        rows.append([metric.name, *cells])
    unread = [f"{arm.unparseable[profile]} of {arm.done}" for arm in evaluation.arms]
    rows.append(["unparseable", *unread, *([""] * 2 * len(others))])
    return Figures(rows)


def _finite(value: Any) -> Any:
    """The same with null where a number is none: JSON has no word for that."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _p_value(value: float | None) -> str:
    return "" if value is None else "<0.001" if value < 0.001 else f"{value:.3f}"


def _number(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
