"""What shells are given to complete the command with."""

from __future__ import annotations

from zlib import crc32

from typer._completion_shared import COMPLETION_SCRIPT_ZSH, get_completion_script

import fabula_cli.main


def test_zsh_completes_at_the_first_tab_of_a_session() -> None:
    """zsh loads the file when it is first asked, so the file has to answer as well as to define what answers later."""
    assert fabula_cli.main.app is not None
    script = get_completion_script(prog_name="fabula", complete_var="_FABULA_COMPLETE", shell="zsh")
    assert script.splitlines()[-2:] == [
        "compdef _fabula_completion fabula",
        '[[ $zsh_eval_context[-1] != loadautofunc ]] || _fabula_completion "$@"',
    ]


def test_the_script_that_a_line_is_added_to_is_the_one_that_it_was_written_for() -> None:
    """The script is typer's own affair. Where this fails, see whether zsh still needs the line; note the sum."""
    assert crc32(COMPLETION_SCRIPT_ZSH.encode()) == 4246724378
