"""What a member's training looked like so far."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

Direction = Literal["min", "max"]


@dataclass(frozen=True)
class EpochRecord:
    """One epoch of one member.

    Args:
        epoch: Number of the epoch, from 1.
        learning_rate: Learning rate of its last step.
        values: `train_loss`, and `val_loss` and `val_<metric>` where there are validation rows.
        seconds: Wall time of the epoch, its evaluation included; the only entry that resuming does not reproduce.
    """

    epoch: int
    learning_rate: float
    values: Mapping[str, float]
    seconds: float


@dataclass(frozen=True)
class History:
    """All epochs of one member so far, and the value that decides.

    Args:
        records: One record an epoch, in order.
        monitor: Name of the value that decides the best epoch, stopping and plateaus, such as `val_loss`.
        direction: Whether a smaller (`min`) or larger (`max`) monitored value is better.
        comparable: Whether `train_loss` and `val_loss` are one loss in one unit: not where targets are scaled while
            training, or another loss is trained with.
    """

    records: tuple[EpochRecord, ...]
    monitor: str
    direction: Direction
    comparable: bool = True

    @cached_property  # schedules ask for it at every step
    def scores(self) -> tuple[float, ...]:
        """The monitored value of every epoch, in order."""
        return tuple(record.values[self.monitor] for record in self.records)

    def better(self, first: float, second: float) -> bool:
        """Return whether the first score is strictly better than the second; any number is better than NaN."""
        if math.isnan(first) or math.isnan(second):
            return math.isnan(second) and not math.isnan(first)
        return first < second if self.direction == "min" else first > second
