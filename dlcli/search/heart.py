"""Signs of life: a thread that touches what its process holds; and locks, which are claims that one waits for."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from dlcli.errors import StorageError
from dlcli.search.claims import Claim, FileClock, take

_LONGEST_WAIT = 0.05


class Heart:
    """While entered, a thread gives signs of life for the claims that were added.

    Args:
        clock: The clock that all workers touch.
        stale_seconds: After how long without a sign of life a claim is stale; signs are given four times as often.
    """

    def __init__(self, clock: FileClock, stale_seconds: float) -> None:
        self.clock = clock
        self.stale_seconds = stale_seconds
        self._claims: set[Claim] = set()
        self._guard = threading.Lock()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="signs of life", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._thread.join()

    def take(self, path: Path, keep: str | None = None) -> Claim | None:
        """Take a claim and keep it alive until it is released with `release`.

        Args:
            path: Its folder.
            keep: Where given, a claim taken away from a dead holder stays beside as `<keep><token>`.

        Returns:
            The claim; None where somebody holds it.
        """
        claim = take(path, self.clock, self.stale_seconds, keep)
        if claim is not None:
            with self._guard:
                self._claims.add(claim)
        return claim

    def release(self, claim: Claim) -> None:
        """Give a claim up."""
        with self._guard:
            self._claims.discard(claim)
        claim.release()

    @contextmanager
    def lock(self, path: Path) -> Iterator[Claim]:
        """Wait for a claim and hold it while entered.

        Args:
            path: Its folder.

        Yields:
            Claim: The claim.
        """
        wait = 0.001
        while (claim := self.take(path)) is None:
            time.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT)
        try:
            yield claim
        finally:
            self.release(claim)

    def _beat(self) -> None:
        while not self._end.wait(self.stale_seconds / 4):
            try:
                self.clock.now()
            except (OSError, StorageError):
                continue  # a network that fails for a moment
            with self._guard:
                claims = list(self._claims)
            for claim in claims:
                claim.touch()
