"""The `fabula` command."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import shlex
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from typer._completion_shared import _completion_scripts

from fabula_api.recipes import RecipesBroken
from fabula_cli.choice import ChoiceError, choose, real_clusters
from fabula_cli.display import shown
from fabula_cli.exits import Exit
from fabula_cli.home import Home, NotRunning, default_home
from fabula_cli.later import Later, group_of
from fabula_cli.output import Output

_RUNS, _LAPTOP = "Runs, on any cluster", "The laptop's own cluster"
_FILES = "Without a cluster"
LATERS = (
    *(
        Later(function, _RUNS)
        for function in (
            "status:status", "watch:watch", "logs:logs", "report:report", "cost:cost", "init:init", "validate:validate",
            "hold:suspend", "hold:resume", "hold:retry", "doctor:doctor",
        )
    ),
    *(Later(function, _FILES) for function in ("tell:tell", "score:score", "score:compare")),
)  # fmt: skip
app = typer.Typer(
    name="fabula",
    cls=group_of(LATERS),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Datasets, fine-tuning and evaluation of models that tell stories. Also `kubectl fabula`.",
)
_console = Console(soft_wrap=True)
# As typer installs it, zsh only defines the function when it loads it: the first TAB of a session would do nothing.
_completion_scripts["zsh"] += '[[ $zsh_eval_context[-1] != loadautofunc ]] || %(complete_func)s "$@"\n'

HomeOption = Annotated[
    Path | None, typer.Option("--home", help="State folder. Default: $FABULA_HOME, else .fabula in the checkout.")
]
KubeconfigOption = Annotated[
    Path | None,
    typer.Option("--kubeconfig", help="Use this cluster: only the operator and the process node run here."),
]


def _home(home: Path | None) -> Home:
    return Home((home or default_home()).resolve())


def _fail(error: Exception, code: Exit = Exit.BAD) -> typer.Exit:
    Console(stderr=True).print(shown(f"fabula: {error}", "red"), highlight=False, soft_wrap=True)
    codes = {NotRunning: Exit.CLUSTER, ChoiceError: Exit.USAGE}
    return typer.Exit(next((known for kind, known in codes.items() if isinstance(error, kind)), code))


@app.command(
    rich_help_panel=_LAPTOP,
    epilog="A real cluster is better where there is one; the laptop's own is for a machine that has nothing. "
    + real_clusters(),
)
def up(
    home: HomeOption = None,
    kubeconfig: KubeconfigOption = None,
    control_plane: Annotated[
        str | None,
        typer.Option(
            help="`laptop`: our own API; `assets`: the real kube-apiserver and etcd in $KUBEBUILDER_ASSETS. "
            "Default: as this state folder ran last, at first `laptop`."
        ),
    ] = None,
    gpus: Annotated[int, typer.Option(min=0, help="GPUs that the node offers to pods.")] = 0,
    artifact_root: Annotated[
        str | None, typer.Option(help="Where artifacts go, file:// or s3://. Default: below the state folder.")
    ] = None,
) -> None:
    """Start the laptop cluster and the operator in the background, and wait until they are ready."""
    from fabula_cli import laptop

    place = _home(home)
    try:
        laptop.start(
            place, choice=choose(place, control_plane, kubeconfig), gpus=gpus, artifact_root=artifact_root,
            tell=lambda line: _console.print(line, markup=False, highlight=False),
        )  # fmt: skip
    except (laptop.UpFailed, ChoiceError) as error:
        raise _fail(error) from None
    _console.print('up. In any terminal: eval "$(fabula env)", then kubectl get dsb,ftr,evr', highlight=False)


@app.command(rich_help_panel=_LAPTOP)
def down(home: HomeOption = None) -> None:
    """End the laptop cluster, the operator and every pod's processes. State and artifacts stay."""
    from fabula_cli import laptop

    try:
        _console.print("down" if laptop.stop(_home(home)) else "nothing was up")
    except laptop.UpFailed as error:
        raise _fail(error) from None


@app.command("laptop", rich_help_panel=_LAPTOP)
def laptop_parts(home: HomeOption = None, output: Output = "text") -> None:
    """Show the parts of the laptop's cluster with their process ids and logs, and all runs."""
    from fabula_cli import laptop, runs

    place = _home(home)
    try:
        state = place.read_state()
    except NotRunning as error:
        raise _fail(error) from None
    ready, listed = laptop.operator_ready(place), []
    problem: tuple[Exception, Exit] | None = None
    try:
        listed = runs.read_all(place.kubeconfig) if ready else []
    except Exception as error:
        problem = error, Exit.CLUSTER
    if output == "json":
        cluster = {name: state.get(name) for name in ("kubeconfig", "artifactRoot", "problem", "parts")}
        told = [
            {
                "kind": run.identity.kind,
                "name": f"{run.identity.namespace}/{run.identity.name}",
                "status": run.status.model_dump(mode="json", by_alias=True, exclude_unset=True),
            }
            for run in listed
        ]
        typer.echo(json.dumps({"home": str(place.root), "ready": ready, **cluster, "runs": told}, indent=2))
    else:
        _console.print(f"home           {place.root}", markup=False, highlight=False)
        _console.print(f"kubeconfig     {state.get('kubeconfig')}", markup=False, highlight=False)
        _console.print(f"artifact root  {state.get('artifactRoot')}", markup=False, highlight=False)
        parts: dict[str, Any] = state.get("parts", {})
        for name, part in parts.items():
            alive = f"pid {part['pid']}" if part.get("pid") else f"not running (exit code {part.get('lastExit')})"
            again = f", started {part['starts']} times" if part.get("starts", 0) > 1 else ""
            _console.print(f"{name:14} {alive}{again}, log {part['log']}", markup=False, highlight=False)
        for run in listed:
            _console.print(shown(f"  {runs.line(run, everywhere=True)}"), highlight=False)
    if not ready:
        problem = RuntimeError(state.get("problem") or "the operator is not ready yet"), Exit.BAD
    if problem is not None:
        raise _fail(*problem)


@app.command(rich_help_panel=_LAPTOP)
def kubeconfig(
    home: HomeOption = None, raw: Annotated[bool, typer.Option(help="Print the content, not the path.")] = False
) -> None:
    """Print the path of the kubeconfig."""
    place = _home(home)
    if not place.kubeconfig.exists():
        raise _fail(NotRunning(f"no cluster was ever up in {place.root}; start one with `fabula up`"))
    typer.echo(place.kubeconfig.read_text() if raw else str(place.kubeconfig))


@app.command(rich_help_panel=_LAPTOP)
def env(home: HomeOption = None) -> None:
    """Print shell lines that make kubectl and fabula use this cluster: eval "$(fabula env)"."""
    place = _home(home)
    if not place.kubeconfig.exists():
        raise _fail(NotRunning(f"no cluster was ever up in {place.root}; start one with `fabula up`"))
    typer.echo(f"export KUBECONFIG={place.kubeconfig}")
    typer.echo(f"export FABULA_HOME={place.root}")
    typer.echo(f"export PATH={Path(sys.executable).parent}:$PATH")


@app.command(rich_help_panel=_LAPTOP)
def demo(
    home: HomeOption = None,
    kubeconfig: KubeconfigOption = None,
    namespace: Annotated[str, typer.Option("--namespace", "-n", help="Namespace of its runs.")] = "default",
    minutes: Annotated[float, typer.Option(min=0.1, help="Give up after this long.")] = 15,
    stop_after: Annotated[bool, typer.Option("--down", help="End the cluster when the demonstration is over.")] = False,
    example: Annotated[str, typer.Option(help="quickstart, audio-description or visual-instruction.")] = "quickstart",
) -> None:
    """Run an example, the quickstart by default: build a dataset, fine-tune on it, compare it with its base."""
    from fabula_cli import laptop
    from fabula_cli.demo import DemoFailed, run_demo

    place = _home(home)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    code = 1
    try:
        code = run_demo(
            place,
            _console,
            outside=kubeconfig,
            namespace=namespace,
            minutes=minutes,
            stays_up=not stop_after,
            example=example,
        )
    except KeyboardInterrupt:
        _console.print("\ninterrupted; ending everything that was started. `fabula demo` goes on from here.")
        laptop.stop(place)
        raise typer.Exit(Exit.INTERRUPTED) from None
    except (DemoFailed, laptop.UpFailed, ChoiceError, FileNotFoundError) as error:
        raise _fail(error) from None
    finally:
        if stop_after:
            laptop.stop(place)
    raise typer.Exit(code)


@app.command(rich_help_panel=_LAPTOP)
def node(
    kubeconfig: Annotated[Path, typer.Option("--kubeconfig", help="Cluster to serve.", exists=True)],
    home: HomeOption = None,
    controllers: Annotated[
        str | None,
        typer.Option(help="Comma-separated: job,pytorchjob,deployment,garbage, or `none`. Default: what is missing."),
    ] = None,
    gpus: Annotated[int, typer.Option(min=0, help="GPUs that the node offers to pods.")] = 0,
) -> None:
    """Serve any API server: run its pods as local processes, and its Jobs where no controller-manager does."""
    from fabula_local.process_node import run_node

    chosen = None if controllers is None else [name for name in controllers.split(",") if name and name != "none"]
    place = _home(home)
    place.prepare()
    asyncio.run(run_node(kubeconfig, chosen, place.cluster, gpus=gpus))


def main() -> None:
    """Entry of the `fabula` command."""
    _run("fabula")


def plugin() -> None:
    """Entry of `kubectl-fabula`, which kubectl finds on PATH and runs as `kubectl fabula`."""
    _run("kubectl fabula")


def _run(name: str) -> None:
    try:
        app(prog_name=name)
    except RecipesBroken as error:
        raise SystemExit(_fail(error).exit_code) from None


def complete() -> None:
    """Entry of `kubectl_complete-fabula`: kubectl asks it how the words after `kubectl fabula` may go on.

    It answers as cobra's completions do: a word a line, then `:4`, which says that none of them is a file's name.
    """
    words = sys.argv[1:]
    os.environ |= {
        "_FABULA_COMPLETE": "complete_bash",
        "COMP_WORDS": shlex.join(["fabula", *words]),
        "COMP_CWORD": str(max(1, len(words))),
    }
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
        app(prog_name="fabula")
    typer.echo("\n".join([*filter(None, said.getvalue().splitlines()), ":4"]))


if __name__ == "__main__":
    main()
