"""Displays of an ensemble without a terminal: few plain lines, or nothing."""

import math
import time
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple

from dlcli.report.ensemble_progress import EnsembleProgress
from dlcli.report.figures import count_of, duration, number
from dlcli.report.plain import QuietDisplay
from dlcli.report.scoreboard import headline

if TYPE_CHECKING:
    from rich.console import Console

    from dlcli.contracts.history import Direction, EpochRecord, History
    from dlcli.contracts.member import Member
    from dlcli.contracts.run import RunInfo

SHOWN_MEMBERS = 10
"""Most lines about members that are done at once."""
SHOWN_SCORES = 12
"""Most scores of the ensemble at once; of more only the last is written."""
SILENT_SECONDS = 10.0
"""After so long without a line, the epoch of a member that trains alone is worth one."""


class QuietEnsembleDisplay(QuietDisplay):
    """Shows nothing."""

    def round_started(self, number: int, identities: Sequence[str], epochs: int) -> None:
        """Nothing is shown."""

    def member_finished(self, identity: str, score: float) -> None:
        """Nothing is shown."""

    def reached(self, members: int, score: float) -> None:
        """Nothing is shown."""


class _Done(NamedTuple):
    """A member that is done: its name, its score, and what else is known of it."""

    identity: str
    score: float
    facts: str


class _Reached(NamedTuple):
    """A score of the ensemble."""

    members: int
    score: float


class PlainEnsembleDisplay(QuietEnsembleDisplay):
    """One line an epoch of members side by side, one a member that is done, one where the ensemble's score changes.

    What is done is told at the next event, so that a burst, such as the members of a stack that are done together, can
    be told in few lines.

    Args:
        console: Where to write; its width is ignored, because lines of a log are not to be folded.
    """

    def __init__(self, console: "Console") -> None:
        self._file = console.file
        self._progress = EnsembleProgress("", "min")
        self._round_line = self._member = self._score = ""
        self._written: set[str] = set()
        self._burst: list[_Done | _Reached] = []
        self._last_line = 0.0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what is due."""
        self._tell(self._close_round())

    def run_started(
        self, run: "RunInfo", epochs: int, monitor: str, direction: "Direction", members: Sequence[str] = ()
    ) -> None:
        """Say where the run is and what decides."""
        self._progress = EnsembleProgress(monitor, direction)
        better = "smaller" if direction == "min" else "larger"
        self._write(f"{run.path}: {headline(members, epochs, monitor, better)}")

    def round_started(self, number: int, identities: Sequence[str], epochs: int) -> None:
        """Begin a round; it has a line where several members train, and only once they do."""
        # A round that is only read again trains nothing: its members belong to the burst.
        if lines := self._close_round():
            self._tell(lines)
        self._progress.round_started(number, identities, epochs)
        several = f"{count_of(len(identities), 'member')}, {count_of(epochs, 'epoch')} at most"
        self._round_line = f"round {number}: {several}" if len(identities) > 1 else ""

    def epoch_started(self, member: "Member", epoch: int, steps: int) -> None:
        """Write what is due."""
        self._tell(self._shown(self._progress.board.epoch_started(member.identity, epoch)))
        if self._round_line:
            self._write(self._round_line)
            self._round_line = ""

    def epoch_finished(self, member: "Member", record: "EpochRecord", history: "History") -> None:
        """Write what is due; of a member that trains alone where nothing was written for long."""
        board, name = self._progress.board, member.identity
        self._tell(self._shown(board.epoch_finished(name, history)))
        alone, self._member = name == self._member, name
        if alone and time.monotonic() - self._last_line >= SILENT_SECONDS:
            standing = board.standings[name]
            scores = f"{history.monitor} {number(standing.score)}  best {number(standing.best)}"
            self._write(f"{name}  epoch {standing.epoch}/{self._progress.epochs}  {scores}")

    def member_finished(self, identity: str, score: float) -> None:
        """Note the member's line."""
        standing = self._progress.board.standings.get(identity)
        facts = f"  {count_of(standing.epoch, 'epoch')}  {duration(standing.seconds)}" if standing else ""
        self._burst.append(_Done(identity, score, facts))

    def reached(self, members: int, score: float) -> None:
        """Note the ensemble's line; without rows that decide there is none."""
        if not math.isnan(score):
            self._burst.append(_Reached(members, score))

    def note(self, text: str) -> None:
        """Write what is due, and the note."""
        self._tell([])
        self._write(f"note: {text}")

    def _shown(self, lines: list[str]) -> list[str]:
        """The board's lines; those of a round of one member would be one an epoch."""
        return lines if len(self._progress.asked) > 1 else []

    def _close_round(self) -> list[str]:
        lines = self._shown(self._progress.board.close())
        self._written |= self._progress.board.written
        return lines

    def _tell(self, lines: Iterable[str]) -> None:
        """Write lines of the board, and then what is done since."""
        self._write(*lines)
        burst, self._burst = self._burst, []
        # A member that trained alone among others has had its line from the board.
        written = self._written | self._progress.board.written
        done = [each for each in burst if isinstance(each, _Done) and each.identity not in written]
        scores = [each for each in burst if isinstance(each, _Reached)]
        if len(done) <= SHOWN_MEMBERS and len(scores) <= SHOWN_SCORES:
            width = max((len(each.identity) for each in done), default=0)
            for each in burst:
                if isinstance(each, _Reached):
                    self._write_score(each)
                elif each.identity not in written:
                    self._write(self._line_of(each, width))
            return
        self._write(*self._block(done))
        for each in scores[-1:]:
            self._write_score(each)

    def _block(self, done: Sequence[_Done]) -> list[str]:
        """The best of many members, and what the others are like."""
        if len(done) > SHOWN_MEMBERS:
            ranked = sorted(done, key=lambda each: self._progress.rank(each.score))
            shown, others = ranked[: SHOWN_MEMBERS - 1], ranked[SHOWN_MEMBERS - 1 :]
            known = [each.score for each in others if not math.isnan(each.score)]
            tail = f"  {self._progress.monitor} from {number(known[0])} to {number(known[-1])}" if known else ""
            last = [f"and {len(others)} more{tail}"]
        else:
            shown, last = list(done), []
        width = max((len(each.identity) for each in shown), default=0)
        return [*(self._line_of(each, width) for each in shown), *last]

    def _line_of(self, done: _Done, width: int) -> str:
        score = "" if math.isnan(done.score) else f"  {self._progress.monitor} {number(done.score)}"
        return f"{done.identity:{width}}{score}{done.facts}" if score or done.facts else f"{done.identity}  done"

    def _write_score(self, reached: _Reached) -> None:
        score = f"{self._progress.monitor} {number(reached.score)}"
        if score != self._score:
            self._score = score
            self._write(f"ensemble of {reached.members}  {score}")

    def _write(self, *lines: str) -> None:
        for line in lines:
            print(line, file=self._file, flush=True)
            self._last_line = time.monotonic()
