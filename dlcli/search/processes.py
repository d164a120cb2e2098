"""Further workers as processes of this machine, which end with the one that started them."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from dlcli import atomic

PARENT = "DLCLI_PARENT"
"""Environment variable: the process that a worker belongs to."""
_ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
_QUIET_CODES = {0, 130, -signal.SIGINT, -signal.SIGTERM}
_TOLD_LINES = 5


class Workers:
    """The processes that `start_workers` started; a context that ends them when it is left.

    Args:
        processes: The processes, each with the file that its error output goes to.
        patience: Seconds that they get to end by themselves, > 0.
    """

    def __init__(self, processes: Sequence[tuple[subprocess.Popen[bytes], Path]], patience: float) -> None:
        self._processes = list(enumerate(processes, start=2))
        self._patience = patience

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._send_end()
        if not self._wait(self._patience):
            self._send_end()
            if not self._wait(self._patience):
                for _, (process, _) in self._processes:
                    process.kill()
                self._wait(self._patience)

    def troubles(self) -> list[str]:
        """Return, for each process that failed since this was last asked, what it said last."""
        told = []
        for number, (process, log) in list(self._processes):
            code = process.poll()
            if code is None:
                continue
            self._processes.remove((number, (process, log)))
            if code not in _QUIET_CODES:
                how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
                told.append(f"worker {number} {how}; others take over its work. {_last_words(log)}")
        return told

    def wait(self) -> list[str]:
        """Wait until every process has ended by itself, and return what went wrong; call it when the search is over.

        Returns:
            As `troubles`; one that does not end in time is ended.
        """
        if not self._wait(self._patience):
            self._send_end()
            self._wait(self._patience)
        return self.troubles()

    def _send_end(self) -> None:
        for _, (process, _) in self._processes:
            if process.poll() is None:
                process.terminate()

    def _wait(self, seconds: float) -> bool:
        end = time.monotonic() + seconds
        for _, (process, _) in self._processes:
            try:
                process.wait(max(end - time.monotonic(), 0.0))
            except subprocess.TimeoutExpired:
                return False
        return True


def start_workers(count: int, command: Sequence[str], directory: Path, *, patience: float = 60.0) -> Workers:
    """Start the further processes of a search with several workers; this process is the first of them.

    Each computes with one thread. What they print is not shown; what they say on stderr goes to
    `workers/worker-<number>.log`, and is told by `Workers.troubles` where they fail. They share this process's
    terminal, so that Ctrl-C reaches them too.

    Args:
        count: Workers in all, this one included, ≥ 1.
        command: Program and arguments that join the search, without asking anything; it calls `follow_parent` first.
        directory: The run directory.
        patience: Seconds that they get to save and end before they are made to, > 0.

    Returns:
        The processes, as a context that ends them.

    Raises:
        StorageError: A log cannot be written.
    """
    environment = {**os.environ, PARENT: str(os.getpid()), **dict.fromkeys(_ONE_THREAD, "1")}
    folder = directory / "workers"
    started: list[tuple[subprocess.Popen[bytes], Path]] = []
    try:
        for number in range(2, count + 1):
            log = folder / f"worker-{number}.log"
            with atomic.storage_errors(log):
                folder.mkdir(exist_ok=True)
                file = log.open("wb")
            with file:
                process = subprocess.Popen(
                    command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=file
                )
            started.append((process, log))
    except BaseException:
        for process, _ in started:
            process.terminate()
        raise
    return Workers(started, patience)


def follow_parent(*, poll_seconds: float = 0.5, grace_seconds: float = 60.0) -> None:
    """In a process of `start_workers`: end when the one that started it is gone; elsewhere do nothing.

    A thread looks after it and sends this process SIGTERM, upon which it saves its state; later it ends it for good.

    Args:
        poll_seconds: How often to look, > 0.
        grace_seconds: How long saving may take, ≥ 0.
    """
    parent = os.environ.get(PARENT)
    if parent is None or os.name == "nt":
        return

    def follow() -> None:
        while os.getppid() == int(parent):
            time.sleep(poll_seconds)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(grace_seconds)
        os._exit(1)

    threading.Thread(target=follow, name="follows its parent", daemon=True).start()


def _last_words(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return f"It said last: {' / '.join(lines[-_TOLD_LINES:])}" if lines else f"It said nothing ({log} is empty)."
