"""How far one member has come: its history, its best epoch, and why it ended."""

import math
from collections.abc import Mapping, Sequence

from torch import Tensor

from dlcli.contracts.history import EpochRecord
from dlcli.contracts.member import Member, Result


class Progress:
    """The course of one member's training, the same for every engine.

    Args:
        member: Whose.
    """

    def __init__(self, member: Member) -> None:
        self.member = member
        self.history = member.history()
        self.best_epoch = 0
        self.stopped: str | None = None
        self.pruned = False
        self.failure: str | None = None

    @property
    def epoch(self) -> int:
        """Epochs finished."""
        return len(self.history.records)

    @property
    def over(self) -> bool:
        """Whether nothing is left to train."""
        return self.epoch >= self.member.epochs or self.stopped is not None or self.failure is not None

    @property
    def best_score(self) -> float:
        """The monitored value of the best epoch; NaN before the first."""
        return self.history.scores[self.best_epoch - 1] if self.best_epoch else math.nan

    def add(self, record: EpochRecord) -> bool:
        """Take an epoch in, and ask the stopping rules.

        Args:
            record: The epoch.

        Returns:
            Whether it is the best so far.
        """
        self.history = self.member.history((*self.history.records, record))
        best = not self.best_epoch or self.history.better(self.history.scores[-1], self.best_score)
        if best:
            self.best_epoch = record.epoch
        reasons = [(r.name, r.stop(self.history)) for r in self.member.regularizers]
        self.stopped = next((f"{name}: {reason}" for name, reason in reasons if reason), None)
        return best

    def prune(self, reason: str) -> None:
        """End it, because others are better."""
        self.stopped, self.pruned = reason, True

    def restore(self, records: Sequence[EpochRecord], table: Mapping[str, object]) -> None:
        """Go back to what `as_table` described.

        Args:
            records: Its epochs.
            table: What `as_table` returned.
        """
        self.history = self.member.history(records)
        self.best_epoch = int(str(table["best_epoch"]))
        stopped, failure = table["stopped"], table.get("failure")
        self.stopped = None if stopped is None else str(stopped)
        self.pruned = bool(table.get("pruned", False))
        self.failure = None if failure is None else str(failure)

    def as_table(self) -> dict[str, object]:
        """Return it, without its epochs, as a JSON-ready table."""
        return {
            "best_epoch": self.best_epoch,
            "stopped": self.stopped,
            "pruned": self.pruned,
            "failure": self.failure,
        }

    @property
    def selects_last(self) -> bool:
        """Whether the result is the last epoch's state: where the recipe says so and it did not fail."""
        return self.member.select == "last" and self.failure is None

    def result(self, state: Mapping[str, Tensor]) -> Result:
        """Return what the training gave.

        Args:
            state: The state of the selected epoch, on the CPU.

        Returns:
            The result.
        """
        return Result(
            identity=self.member.identity,
            state=state if self.epoch else {},
            selected_epoch=self.epoch if self.selects_last else self.best_epoch,
            best_epoch=self.best_epoch,
            history=self.history,
            stopped=self.stopped,
            seconds=sum(record.seconds for record in self.history.records),
            pruned=self.pruned,
            failure=self.failure,
        )


def describe_divergence(progress: Progress, epoch: int, place: str, what: str, rate: float) -> str:
    """Say that a member's training diverged, and what to try.

    Args:
        progress: Whose.
        epoch: The epoch under way, from 1.
        place: Where in it, such as `batch 3`.
        what: What happened.
        rate: The learning rate.

    Returns:
        The message.
    """
    member = progress.member
    kept = f"epoch {progress.best_epoch}, the best, is kept" if progress.epoch else "no epoch was finished"
    lower = float(member.optimizer.lr) / 10
    advice = [f"a lower rate (--set train.optimizer.lr={lower:.3g})"]
    if not member.schedule.warmup_epochs:
        advice.append("a warm-up (--set train.schedule.warmup_epochs=1)")
    if "clip_gradients" not in {regularizer.name for regularizer in member.regularizers}:
        advice.append("the clip_gradients regularizer")
    if not any(member.preprocessing.values()):
        advice.append('preprocess = ["standardize"] under [data]')
    return (
        f"training diverged in epoch {epoch}, {place}: {what} at learning rate {rate:.3g}; {kept}. "
        f"Try {', or '.join(advice)}"
    )
