"""The laptop cluster's API server for a test, as a process of its own on a temporary folder."""

import os
import signal
import subprocess
from pathlib import Path
from types import TracebackType

from tests.support import copies
from tests.support.patience import SECONDS


class LaptopApi:
    """A running API server: `with LaptopApi(tmp_path) as api: ... api.kubeconfig`.

    It is a process, so that a test can kill it as a machine would; `start()` brings it back with its state.
    """

    def __init__(self, state_dir: Path, *, logs_dir: Path | None = None) -> None:
        self.state_dir = state_dir
        self.kubeconfig = state_dir / "kubeconfig"
        self._logs_dir = logs_dir
        self._process: copies.Process | None = None

    def __enter__(self) -> "LaptopApi":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the server and wait until it serves."""
        self.state_dir.mkdir(parents=True, exist_ok=True)
        arguments = ["--state-dir", str(self.state_dir)]
        if self._logs_dir is not None:
            arguments += ["--logs-dir", str(self._logs_dir)]
        log = self.state_dir / "apiserver.log"
        with log.open("a") as errors:
            process = copies.start("fabula_local.apiserver", *arguments, errors=errors)
        self._process = process
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.startswith("serving "):
            process.kill()
            process.wait()
            raise RuntimeError(f"the API server did not start: {log.read_text()[-2000:]}")

    def stop(self) -> None:
        """Stop the server, orderly."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the server, as a crash would."""
        self._end(signal.SIGKILL)

    def environment(self) -> dict[str, str]:
        """Environment for a process that uses this cluster."""
        return {**os.environ, "KUBECONFIG": str(self.kubeconfig)}

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        try:
            process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()
