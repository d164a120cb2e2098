"""Starts trainings and searches in killable children of one process."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

SERVER = Path(__file__).parents[1] / "experiment/fork_server.py"


class Trainer:
    """A process that has imported everything, and forks for each command."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(SERVER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "DLCLI_PLUGINS": ""},
        )
        assert self._line() == "ready"

    def _line(self) -> str:
        return self.process.stdout.readline().strip()

    def start(self, folder: Path, **arguments: object) -> int:
        self.process.stdin.write(json.dumps({"folder": str(folder), **arguments}) + "\n")
        self.process.stdin.flush()
        kind, _, pid = self._line().partition(" ")
        assert kind == "pid"
        return int(pid)

    def kill(self, pid: int, number: int = signal.SIGKILL) -> None:
        with contextlib.suppress(ProcessLookupError):  # it had ended by itself
            os.kill(pid, number)

    def wait(self) -> int:
        kind, _, status = self._line().partition(" ")
        if kind != "exit":
            self._line()  # its end, so that the next test reads its own
        assert kind == "exit", f"{kind} {status}"
        return int(status)

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def appears(path: Path, seconds: float = 30.0) -> None:
    """Wait until there is such a file."""
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} does not appear"
        time.sleep(0.001)
