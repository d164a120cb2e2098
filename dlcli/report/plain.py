"""Displays without a terminal: one plain line an epoch, or nothing."""

from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from dlcli.report.display import best_record
from dlcli.report.figures import duration, metrics, rate
from dlcli.report.scoreboard import Scoreboard, headline

if TYPE_CHECKING:
    from rich.console import Console
    from torch import Tensor

    from dlcli.contracts.history import Direction, EpochRecord, History
    from dlcli.contracts.member import Member
    from dlcli.contracts.run import RunInfo
    from dlcli.experiment.summary import Summary


class QuietDisplay:
    """Shows nothing."""

    def __enter__(self) -> Self:
        """Return the display."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is shown."""

    def run_started(
        self, run: "RunInfo", epochs: int, monitor: str, direction: "Direction", members: Sequence[str] = ()
    ) -> None:
        """Nothing is shown."""

    def epoch_started(self, member: "Member", epoch: int, steps: int) -> None:
        """Nothing is shown."""

    def step_finished(self, step: int, loss: "Tensor", learning_rate: float) -> None:
        """Nothing is shown."""

    def epoch_finished(self, member: "Member", record: "EpochRecord", history: "History") -> None:
        """Nothing is shown."""

    def note(self, text: str) -> None:
        """Nothing is shown."""

    def finished(self, summary: "Summary") -> None:
        """Nothing is shown."""


class PlainDisplay(QuietDisplay):
    """One line an epoch, written at once, so that a log can be followed; of several members as `Scoreboard` says.

    Args:
        console: Where to write; its width is ignored, because lines of a log are not to be folded.
    """

    def __init__(self, console: "Console") -> None:
        self._file = console.file
        self._epochs = 0
        self._board: Scoreboard | None = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what is due of several members."""
        self._close()

    def run_started(
        self, run: "RunInfo", epochs: int, monitor: str, direction: "Direction", members: Sequence[str] = ()
    ) -> None:
        """Say where the run is and what decides."""
        self._epochs = epochs
        self._board = Scoreboard(members, epochs) if members else None
        better = "smaller" if direction == "min" else "larger"
        self._write(f"{run.path}: {headline(members, epochs, monitor, better)}")

    def epoch_started(self, member: "Member", epoch: int, steps: int) -> None:
        """Write what is due of several members."""
        if self._board is not None:
            self._write(*self._board.epoch_started(member.identity, epoch))

    def epoch_finished(self, member: "Member", record: "EpochRecord", history: "History") -> None:
        """Write the epoch's figures, and whether it is the best so far."""
        if self._board is not None:
            self._write(*self._board.epoch_finished(member.identity, history))
            return
        epoch = f"{record.epoch:{len(str(self._epochs))}d}"
        best = "  best" if best_record(history) is record else ""
        figures = f"{metrics(record.values)}  rate {rate(record.learning_rate)}  {duration(record.seconds)}"
        self._write(f"epoch {epoch}/{self._epochs}  {figures}{best}")

    def note(self, text: str) -> None:
        """Write the note."""
        self._write(f"note: {text}")

    def finished(self, summary: "Summary") -> None:
        """Write what is due of several members."""
        self._close()

    def _close(self) -> None:
        if self._board is not None:
            self._write(*self._board.close())

    def _write(self, *lines: str) -> None:
        for line in lines:
            print(line, file=self._file, flush=True)
