"""What shells are given to complete the command with."""

from __future__ import annotations

from typer._completion_shared import get_completion_script

import fabula_cli.main


def test_zsh_completes_at_the_first_tab_of_a_session() -> None:
    """zsh loads the file when it is first asked, so the file has to answer as well as to define what answers later."""
    assert fabula_cli.main.app is not None
    script = get_completion_script(prog_name="fabula", complete_var="_FABULA_COMPLETE", shell="zsh")
    assert script.splitlines()[-2:] == [
        "compdef _fabula_completion fabula",
        '[[ $zsh_eval_context[-1] != loadautofunc ]] || _fabula_completion "$@"',
    ]
