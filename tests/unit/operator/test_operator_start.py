"""What programs load when they start: nothing that they never use."""

from __future__ import annotations

import subprocess
import sys

UNUSED = ("kubernetes.client.api.core_v1_api", "prompt_toolkit", "scipy", "torch", "transformers")


def test_a_start_leaves_out_what_is_never_used() -> None:
    """The laptop's control plane as well, of which the command is a part."""
    programs = "fabula_operator.main, fabula_cli.main, fabula_cli.supervisor, fabula_local.controlplane"
    code = f"import sys, {programs}; print(*(name for name in {UNUSED} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
