"""Which test files begin first, so that those who run beside each other also end beside each other."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
LONG = (
    "tests/e2e/test_journey.py",
    "tests/e2e/test_training_chaos.py",
    "tests/e2e/test_chart_install.py",
    "tests/integration/test_training_run.py",
    "tests/integration/test_operator_bedrock.py",
    "tests/e2e/test_dataset_chaos.py",
    "tests/integration/test_training_methods.py",
    "tests/integration/test_crash_harness.py",
    "tests/e2e/test_dataset_by_hand.py",
    "tests/integration/test_training_nodes.py",
    "tests/e2e/test_new_user.py",
    "tests/e2e/test_assets.py",
    "tests/e2e/test_refused_training.py",
    "tests/integration/test_operator_process.py",
    "tests/local_cluster/test_node_crash.py",
    "tests/integration/test_recipe_of_ones_own.py",
    "tests/integration/test_alerts_fire.py",
    "tests/inputs/test_adapters.py",
)
"""Files of more than half a minute, the longest first. All others follow in the order of their names."""
_FIRST = {ROOT / name: place for place, name in enumerate(LONG)}


def place(file: Path) -> int:
    """Where a test file comes; equal for all that are not long."""
    return _FIRST.get(file, len(LONG))
