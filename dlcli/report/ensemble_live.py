"""The display of an ensemble on a terminal: how far the round is, its members, and the ensemble's score so far."""

import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from dlcli.report.ensemble_progress import EnsembleProgress
from dlcli.report.figures import count_of, duration, number
from dlcli.report.layout import bar_of, bars_table
from dlcli.report.sparkline import sparkline

if TYPE_CHECKING:
    from torch import Tensor

    from dlcli.contracts.history import Direction, EpochRecord, History
    from dlcli.contracts.member import Member
    from dlcli.contracts.run import RunInfo
    from dlcli.experiment.summary import Summary

DRAW_SECONDS = 0.2
"""Least time between two pictures."""
SPARKLINE_WIDTH = 30


class LiveEnsembleDisplay:
    """Shows the bars of a round, members done and in training, and the ensemble's score against their number, in place.

    It draws on the training thread, and only when something happened: a drawing thread of its own would take the
    interpreter away from training.

    Args:
        console: A terminal.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._next_drawing = 0.0
        self._title = ""
        self._progress = EnsembleProgress("", "min")
        self._epoch = self._steps = self._step = 0
        self._loss: float | None = None
        self._start = self._round_start = 0.0

    def __enter__(self) -> Self:
        """Return the display; it appears when the run starts."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the picture down and give the cursor back."""
        self._stop()

    def run_started(
        self, run: "RunInfo", epochs: int, monitor: str, direction: "Direction", members: Sequence[str] = ()
    ) -> None:
        """Show the picture."""
        self._title = str(run.path)
        self._progress = EnsembleProgress(monitor, direction)
        self._start = time.monotonic()
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._live.start()

    def round_started(self, number: int, identities: Sequence[str], epochs: int) -> None:
        """Begin the bars anew."""
        self._progress.round_started(number, identities, epochs)
        self._epoch = self._steps = self._step = 0
        self._round_start = time.monotonic()
        self._draw()

    def epoch_started(self, member: "Member", epoch: int, steps: int) -> None:
        """Begin the batch bar anew."""
        self._epoch, self._steps, self._step = epoch, steps, 0
        self._progress.board.epoch_started(member.identity, epoch)
        self._draw()

    def step_finished(self, step: int, loss: "Tensor", learning_rate: float) -> None:
        """Draw, where the last picture is old enough; only then the loss is read."""
        if time.monotonic() >= self._next_drawing:
            self._step, self._loss = step, float(loss)
            self._draw()

    def epoch_finished(self, member: "Member", record: "EpochRecord", history: "History") -> None:
        """Remember the figures for the next picture."""
        self._progress.board.epoch_finished(member.identity, history)

    def member_finished(self, identity: str, score: float) -> None:
        """Show the member among those that are done."""
        self._progress.member_finished(identity, score)
        self._draw()

    def reached(self, members: int, score: float) -> None:
        """Show the ensemble's score."""
        self._progress.reached(members, score)
        self._draw()

    def note(self, text: str) -> None:
        """Print the note above the picture."""
        self._console.print(Text.assemble(("note: ", "yellow"), text), soft_wrap=True)

    def finished(self, summary: "Summary") -> None:
        """Take the picture down."""
        self._stop()

    def _stop(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _draw(self) -> None:
        """Draw, where the last picture is old enough."""
        now = time.monotonic()
        if self._live is None or now < self._next_drawing:
            return
        self._next_drawing = now + DRAW_SECONDS
        self._live.update(self.picture(), refresh=True)

    def picture(self) -> RenderableType:
        """Return what the terminal shows now."""
        seconds = duration(time.monotonic() - self._start)
        parts: list[RenderableType] = [Text(f"{self._title}  {seconds}", style="dim")]
        if self._progress.round:
            parts.append(self._bars())
        if self._progress.done or self._progress.training:
            parts += ["", self._progress.table()]
        if curve := self._progress.curve:
            parts += ["", self._ensemble(curve)]
        return Group(*parts)

    def _bars(self) -> Table:
        progress = self._progress
        share = progress.board.share
        bars = bars_table()
        what = count_of(len(progress.asked), "member")
        bars.add_row(f"round {progress.round}", what, bar_of(share, 1.0), self._left(share))
        part = self._step / max(self._steps, 1)
        done = max(self._epoch - 1 + part, 0)
        bars.add_row("epoch", f"{self._epoch}/{progress.epochs}", bar_of(done, progress.epochs), "")
        loss = "" if self._loss is None else f"loss {number(self._loss)}"
        bars.add_row("batch", f"{self._step}/{self._steps}", bar_of(self._step, self._steps), loss)
        return bars

    def _left(self, share: float) -> str:
        seconds = time.monotonic() - self._round_start
        return f"{duration(seconds * (1 - share) / share)} left" if share else ""

    def _ensemble(self, curve: Sequence[tuple[int, float]]) -> Text:
        members, score = curve[-1]
        single = self._progress.best_score
        text = Text.assemble((f"ensemble of {members}: {self._progress.monitor} {number(score)}", "bold green"))
        if single is not None:
            text.append(f"  best member {number(single)}")
        room = self._console.width - len(text) - 2
        if len(curve) > 1 and room >= 8:
            text.append("  " + sparkline([value for _, value in curve], min(room, SPARKLINE_WIDTH)), style="cyan")
        return text
