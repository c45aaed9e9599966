"""`make audit` asks about every lock, and never calls unknown what it did not look at."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
LOCKS = {file.stem for file in (ROOT / "requirements").glob("*.txt")}
# Answers as pip-audit does: what is known of the package that a lock has first, by a table of locks.
STAND_IN = """#!{python}
import json, pathlib, sys
options = dict(zip(sys.argv[1:], sys.argv[2:]))
lock = pathlib.Path(options["--requirement"])
known = json.loads(pathlib.Path({table!r}).read_text())
if lock.stem not in known:
    sys.exit("ERROR: no such page")
name, _, version = lock.read_text().split()[0].partition("==")
pathlib.Path(options["--output"]).write_text(json.dumps({{"dependencies": [{{"name": name, "version": version,
                                                                            **known[lock.stem]}}]}}))
sys.exit(bool(known[lock.stem].get("vulns")))
"""


def audited(folder: Path, known: dict[str, dict[str, Any]]) -> subprocess.CompletedProcess[str]:
    (folder / "known.json").write_text(json.dumps(known))
    asked = folder / "pip-audit"
    asked.write_text(STAND_IN.format(python=sys.executable, table=str(folder / "known.json")))
    asked.chmod(0o755)
    (folder / "python").symlink_to(sys.executable)
    command = [str(ROOT / "requirements" / "audit"), str(asked)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("hurt", ["lint", "gpu-vllm", "torch-cuda", "supply"])
def test_a_hole_in_any_lock_fails_and_is_told_with_the_lock(hurt: str, tmp_path: Path) -> None:
    known: dict[str, dict[str, Any]] = {lock: {"vulns": []} for lock in LOCKS}
    done = audited(tmp_path, known | {hurt: {"vulns": [{"id": "PYSEC-1"}]}})
    assert done.returncode == 1, done.stdout
    assert "has a known hole, PYSEC-1, in " in done.stderr
    assert hurt in done.stderr
    assert f"{len(LOCKS)} of {len(LOCKS)} locks" in done.stdout


def test_what_cannot_be_asked_is_told_and_fails_nothing(tmp_path: Path) -> None:
    done = audited(tmp_path, {"lint": {"vulns": []}, "operator": {"skip_reason": "unknown"}})
    assert done.returncode == 0, done.stderr
    assert f"2 of {len(LOCKS)} locks, 1 packages" in done.stdout
    assert "gpu-vllm.txt was not audited" in done.stderr


def test_nothing_audited_is_not_called_clean(tmp_path: Path) -> None:
    done = audited(tmp_path, {})
    assert (done.returncode, done.stdout) == (0, "")
    assert "NOTHING WAS AUDITED" in done.stderr
