"""How far an ensemble is: the members that are done, those that train now, and the ensemble's score so far."""

import math
import statistics
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from rich.table import Table

from dlcli.report.figures import score_of
from dlcli.report.layout import plain_table
from dlcli.report.scoreboard import ROWS, Scoreboard, Standing

if TYPE_CHECKING:
    from dlcli.contracts.history import Direction


class _Row(NamedTuple):
    """A row of the table of members."""

    name: str
    epoch: str
    last: float
    best: float


class EnsembleProgress:
    """Keeps what a display of an ensemble was told.

    Args:
        monitor: Name of the value that decides.
        direction: Whether a smaller or a larger value of it is better.
    """

    def __init__(self, monitor: str, direction: "Direction") -> None:
        self.monitor = monitor
        self._smaller = direction == "min"
        self.round = 0
        """The round that goes on, from 1; 0 before the first."""
        self.epochs = 0
        """Epochs at most of the members of this round."""
        self.asked: tuple[str, ...] = ()
        """The members of this round."""
        self.board = Scoreboard((), 0)
        """The epochs of this round."""
        self.done: dict[str, float] = {}
        """Score of every member that is done, in the order in which they were; NaN without validation rows."""
        self._reached: dict[int, float] = {}

    def round_started(self, number: int, identities: Sequence[str], epochs: int) -> None:
        """Begin a round."""
        self.round, self.asked, self.epochs = number, tuple(identities), epochs
        self.board = Scoreboard(identities, epochs)

    def member_finished(self, identity: str, score: float) -> None:
        """Take a member, or a kept state of one."""
        self.done[identity] = score

    def reached(self, members: int, score: float) -> None:
        """Take the ensemble's score with so many members."""
        self._reached[members] = score

    @property
    def curve(self) -> list[tuple[int, float]]:
        """Numbers of members, rising, each with the ensemble's score; those without one are left out."""
        return [
            (count, self._reached[count]) for count in sorted(self._reached) if not math.isnan(self._reached[count])
        ]

    def rank(self, score: float) -> tuple[bool, float]:
        """Return what scores are sorted by, the best first and NaN last."""
        return math.isnan(score), score if self._smaller else -score

    @property
    def best_score(self) -> float | None:
        """The best score of a member that is done; None where none has any."""
        best = self._best([_Row(name, "", score, score) for name, score in self.done.items()])
        return None if best is None else best.best

    @property
    def training(self) -> dict[str, Standing]:
        """Members of this round that are not done and have finished an epoch."""
        # Of a member whose states are kept, each state has the epoch behind the member's name.
        ended = {name.partition("-epoch-")[0] for name in self.done} | set(self.done)
        return {name: standing for name, standing in self.board.standings.items() if name not in ended}

    def table(self) -> Table:
        """Return a row a member, done or in training; where there are many, the best ones and the means."""
        training = self.training
        columns = (self.board.monitor or self.monitor, "best")
        done = [_Row(name, "done", score, score) for name, score in self.done.items()]
        now = [_Row(name, str(standing.epoch), standing.score, standing.best) for name, standing in training.items()]
        table = plain_table()
        table.add_column("member", overflow="fold")
        for column in ("epoch", *columns):
            table.add_column(column, justify="right")
        few = len(done) + len(now) <= ROWS
        for rows, what, style in ((done, "done", None), (now, "training", "cyan")):
            best = self._best(rows)
            for row in rows if few or len(rows) <= ROWS // 3 else [best or rows[-1]]:
                shade = "green" if row is best and rows is done else style
                table.add_row(row.name, row.epoch, score_of(row.last), score_of(row.best), style=shade)
            if not few and len(rows) > ROWS // 3:
                means = (score_of(_mean(row.last for row in rows)), score_of(_mean(row.best for row in rows)))
                table.add_row(f"mean of {len(rows)} {what}", "", *means, style=style)
        return table

    def _best(self, rows: Sequence[_Row]) -> _Row | None:
        known = [row for row in rows if not math.isnan(row.best)]
        return min(known, key=lambda row: self.rank(row.best), default=None)


def _mean(scores: Iterable[float]) -> float:
    """The mean of those that are known; NaN where none is."""
    known = [score for score in scores if not math.isnan(score)]
    return statistics.fmean(known) if known else math.nan
