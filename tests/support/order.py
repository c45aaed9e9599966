"""How many test files run beside each other, and which begin first, so that they also end beside each other."""

from __future__ import annotations

import os
from pathlib import Path

_GIB_EACH = 5
"""Memory for one test process and the runs that it starts."""
ROOT = Path(__file__).parents[2]
LONG = (
    "tests/e2e/test_journey.py",
    "tests/e2e/test_chart_install.py",
    "tests/integration/test_training_run.py",
    "tests/integration/test_operator_bedrock.py",
    "tests/e2e/test_training_chaos.py",
    "tests/integration/test_crash_harness.py",
    "tests/integration/test_training_methods.py",
    "tests/e2e/test_dataset_chaos.py",
    "tests/inputs/test_adapters.py",
    "tests/e2e/test_new_user.py",
    "tests/e2e/test_dataset_by_hand.py",
    "tests/e2e/test_assets.py",
    "tests/integration/test_recipe_of_ones_own.py",
    "tests/integration/test_training_nodes.py",
    "tests/integration/test_extract_target.py",
    "tests/local_cluster/test_node_crash.py",
    "tests/integration/test_alerts_fire.py",
    "tests/e2e/test_refused_training.py",
    "tests/integration/test_command.py",
    "tests/unit/workloads/test_ingest_source.py",
    "tests/integration/test_operator_judges.py",
    "tests/integration/test_first_run.py",
    "tests/integration/test_extract_bedrock.py",
    "tests/integration/test_rights.py",
    "tests/integration/test_operator_cluster.py",
    "tests/integration/test_operator_target.py",
    "tests/integration/test_operator_process.py",
)
"""Files of more than a quarter of a minute, the longest first. All others follow in the order of their names."""
_FIRST = {ROOT / name: place for place, name in enumerate(LONG)}


def place(file: Path) -> int:
    """Where a test file comes; equal for all that are not long."""
    return _FIRST.get(file, len(LONG))


def at_once() -> int:
    """Test processes: three for two cores, since journeys wait half of their time, as far as memory has room for them.
    Four end 20 seconds sooner, and starve what they test now and then."""
    gib = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return max(3, min(3 * (os.cpu_count() or 1) // 2, int(gib / _GIB_EACH)))
