"""How far a population is: which members train, and how good each is; whether they train side by side or in turn."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.table import Table

from dlcli.report.figures import count_of, duration, number
from dlcli.report.layout import plain_table

if TYPE_CHECKING:
    from dlcli.contracts.history import History

ROWS = 12
"""Most members that get a row of their own."""


@dataclass
class Standing:
    """How one member stands.

    Args:
        epoch: Epochs finished.
        score: Its last monitored value.
        best: Its best one.
        best_epoch: The epoch of that.
        seconds: Wall time of its epochs.
        last_seconds: Wall time of the last one.
    """

    epoch: int = 0
    score: float = float("nan")
    best: float = float("nan")
    best_epoch: int = 0
    seconds: float = 0.0
    last_seconds: float = 0.0


class Scoreboard:
    """Gathers the epochs of members into waves: those that finish one epoch of theirs side by side.

    Members that train as a stack make one wave an epoch, which is worth a line. A member that trains alone, before or
    after others, makes a wave of its own each epoch: it is worth a line when it is done.

    Args:
        members: Identities of all members, in order.
        epochs: Epochs of each, at most.
    """

    def __init__(self, members: Sequence[str], epochs: int) -> None:
        self._members = tuple(members)
        self._epochs = epochs
        self.monitor = ""
        """Name of the value that decides; empty before the first epoch."""
        self.written: set[str] = set()
        """Members that trained alone and have had their line."""
        self._smaller = True
        self._standings: dict[str, Standing] = {}
        self._wave: list[str] = []
        self._training: list[str] = []
        self._stack: frozenset[str] = frozenset()
        self._alone: str | None = None

    def epoch_started(self, member: str, epoch: int) -> list[str]:
        """Return the lines that are due when an epoch of a member begins."""
        lines = self._close_wave() if self._wave and epoch != self._standings[self._wave[0]].epoch else []
        if self._alone is not None and member != self._alone:
            lines += self._close_alone()
        return lines

    def epoch_finished(self, member: str, history: "History") -> list[str]:
        """Take an epoch of a member; return the lines that are due."""
        record = history.records[-1]
        lines = []
        if self._wave and (member in self._wave or record.epoch != self._standings[self._wave[0]].epoch):
            lines = self._close_wave()
        self.monitor, self._smaller = history.monitor, history.direction == "min"
        standing = self._standings.setdefault(member, Standing())
        score = record.values[history.monitor]
        if not standing.epoch or history.better(score, standing.best):
            standing.best, standing.best_epoch = score, record.epoch
        standing.epoch, standing.score, standing.last_seconds = record.epoch, score, record.seconds
        standing.seconds += record.seconds
        self._wave.append(member)
        return lines

    def close(self) -> list[str]:
        """Return the lines that are still due at the end."""
        return [*self._close_wave(), *self._close_alone()]

    @property
    def standings(self) -> Mapping[str, Standing]:
        """How each member stands that has finished an epoch."""
        return self._standings

    @property
    def share(self) -> float:
        """How much of all epochs is over, in [0, 1]; what a member that left had still to do counts as done."""
        now = {*self._training, *self._wave}
        done = sum(s.epoch if name in now else self._epochs for name, s in self._standings.items())
        return done / max(self._epochs * len(self._members), 1)

    def table(self) -> Table:
        """Return the scores: of each member where there are few, of the best and on average where there are many."""
        table = plain_table()
        table.add_column("member")
        table.add_column("epoch", justify="right")
        table.add_column(self.monitor, justify="right")
        table.add_column("best", justify="right")
        if not self._standings:
            return table
        leader = self._leader(list(self._standings), best=True)
        if len(self._members) <= ROWS:
            shown = [name for name in self._members if name in self._standings]
        else:
            shown = [leader]
            table.add_row(f"mean of {len(self._standings)}", "", *self._means())
        for name in shown:
            standing = self._standings[name]
            cells = str(standing.epoch), number(standing.score), number(standing.best)
            table.add_row(name, *cells, style="green" if name == leader else None)
        return table

    def _means(self) -> tuple[str, str]:
        standings = self._standings.values()
        last = statistics.fmean(standing.score for standing in standings)
        return number(last), number(statistics.fmean(standing.best for standing in standings))

    def _leader(self, names: Sequence[str], *, best: bool) -> str:
        def key(name: str) -> tuple[bool, float]:
            standing = self._standings[name]
            value = standing.best if best else standing.score
            return value != value, value if self._smaller else -value

        return min(names, key=key)

    def _close_wave(self) -> list[str]:
        wave, self._wave = self._wave, []
        if not wave:
            return []
        self._training = wave
        lines = []
        if not self._stack.issuperset(wave):
            self._stack = frozenset(wave)
            lines = self._close_alone() if self._alone not in self._stack else []
        if len(self._stack) == 1 and len(self._members) > 1:
            self._alone = wave[0]
            return lines
        standings = [self._standings[name] for name in wave]
        leader = self._leader(wave, best=False)
        epoch = f"{standings[0].epoch:{len(str(self._epochs))}d}"
        mean = number(statistics.fmean(standing.score for standing in standings))
        spent = duration(sum(standing.last_seconds for standing in standings))
        best = f"best {number(self._standings[leader].score)} ({leader})"
        training = f"{len(wave)} of {len(self._members)} train"
        return [*lines, f"epoch {epoch}/{self._epochs}  {training}  {self.monitor} mean {mean}  {best}  {spent}"]

    def _close_alone(self) -> list[str]:
        name, self._alone = self._alone, None
        if name is None:
            return []
        self.written.add(name)
        standing = self._standings[name]
        best = f"{self.monitor} {number(standing.best)} in epoch {standing.best_epoch}"
        done = f"{len(self._standings)} of {len(self._members)}"
        return [f"{name}  {count_of(standing.epoch, 'epoch')}  best {best}  {duration(standing.seconds)}  ({done})"]


def headline(members: Sequence[str], epochs: int, monitor: str, better: str) -> str:
    """Return what is about to happen, such as `10 members, 30 epochs at most, …`."""
    count = f"{count_of(len(members), 'member')}, " if members else ""
    return f"{count}{count_of(epochs, 'epoch')} at most, {monitor} decides ({better} is better)"
