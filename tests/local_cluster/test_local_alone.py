"""The laptop's cluster is a package of its own: its extra is enough, and its tests know nothing of the product."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

HERE = Path(__file__).parent
SUPPORT = HERE.parent / "support"
ALONE = """
import importlib, importlib.abc, pkgutil, sys
from importlib.metadata import packages_distributions
wanted = set(sys.argv[1].split())
foreign = {name for name, owners in packages_distributions().items()
           if not any(one.lower().replace("_", "-") in wanted for one in owners)} - {"fabula_local"}
class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in foreign:
            raise ModuleNotFoundError(f"{name} is not of the extra `local`", name=name)
sys.meta_path.insert(0, Refuse())
import fabula_local
for module in pkgutil.walk_packages(fabula_local.__path__, "fabula_local."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
print(len([name for name in sys.modules if name.startswith("fabula_local")]))
"""


def needed(asks: list[str], extra: str = "") -> set[str]:
    found = map(Requirement, asks)
    return {one.name for one in found if one.marker is None or one.marker.evaluate({"extra": extra})}


def closure(names: set[str]) -> set[str]:
    """Distributions that these bring along, themselves included, by their normal names."""
    found: set[str] = set()
    while names:
        name = re.sub(r"[-_.]+", "-", names.pop()).lower()
        if name in found:
            continue
        try:
            asks = distribution(name).requires or []
        except PackageNotFoundError:
            continue  # for another platform
        found.add(name)
        names |= needed(asks)
    return found


def test_its_extra_is_enough_for_it() -> None:
    own = needed(distribution("fabula").requires or [], "local")
    command = [sys.executable, "-c", ALONE, " ".join(closure(own))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 80


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module)
    return found


def test_its_tests_know_nothing_of_the_product() -> None:
    files = set(HERE.glob("*.py"))
    assert len(files) > 20
    support = {name for path in files for name in imports(path) if name.startswith("tests.support.")}
    files |= {SUPPORT / f"{name.rpartition('.')[2]}.py" for name in support}
    product = ("fabula_api", "fabula_operator", "fabula_cli", "fabula_workloads", "fabula_chart")
    assert {(path.name, name) for path in files for name in imports(path) if name.startswith(product)} == set()
