"""The state folder: who holds it, and what a killed holder leaves behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fabula_cli.certificates import ensure_certificates
from fabula_cli.home import Home, NotRunning, wait_until

HOLD = """
import sys
from pathlib import Path
from fabula_cli.home import Home
lock = Home(Path(sys.argv[1])).take_lock()
print("held" if lock else "refused", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.prepare()
    return home


def hold(home: Home) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(home.root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "held"
    return process


def test_nothing_runs_in_a_new_home(home: Home) -> None:
    assert not home.supervised()
    with pytest.raises(NotRunning, match="fabula up"):
        home.read_state()


def test_only_one_supervisor_holds_a_home_and_its_death_frees_it(home: Home) -> None:
    process = hold(home)
    assert home.supervised()
    assert home.supervisor_pid() == process.pid
    assert home.take_lock() is None
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not home.supervised()
    lock = home.take_lock()
    assert lock is not None
    lock.close()


def test_others_cannot_read_the_state(home: Home) -> None:
    assert home.root.stat().st_mode & 0o077 == 0


def test_certificates_are_made_once_and_keys_are_private(home: Home) -> None:
    first = ensure_certificates(home.tls)
    content = first.key.read_bytes()
    again = ensure_certificates(home.tls)
    assert again.key.read_bytes() == content
    assert first.key.stat().st_mode & 0o077 == 0


def test_waiting_ends_with_the_condition_or_the_deadline() -> None:
    seen = iter([False, False, True])
    assert wait_until(lambda: next(seen), 5, every=0)
    assert not wait_until(lambda: False, 0)
