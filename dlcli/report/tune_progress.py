"""What is known of a search while it goes on: counts, speed, time left, the best so far."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from dlcli.report.tune_view import TrialRow, TuneView, ranked, running_best


class SearchProgress:
    """Keeps the trials that a display was told of.

    Args:
        view: The search as it stood when the display started.
        now: The time then, in seconds of a clock that never goes back.
    """

    def __init__(self, view: TuneView, now: float) -> None:
        self.view = view
        self._start = now
        self._rows = {row.number: row for row in view.trials}
        self._done_before = sum(row.state != "running" for row in view.trials)

    def add(self, row: TrialRow) -> bool:
        """Take a trial as it stands now; return whether it has just ended, which each trial does once."""
        known = self._rows.get(row.number)
        if known is not None and known.state != "running":
            return False
        # A trial counts where it ended, not where it began: the curve of the best is in order of time.
        self._rows.pop(row.number, None)
        self._rows[row.number] = row
        return row.state != "running"

    @property
    def rows(self) -> Sequence[TrialRow]:
        """All trials, in the order in which they ended."""
        return list(self._rows.values())

    @property
    def counts(self) -> Counter[str]:
        """How many trials there are in each state."""
        return Counter(row.state for row in self._rows.values())

    @property
    def done(self) -> int:
        """Trials that have ended, however."""
        return sum(row.state != "running" for row in self._rows.values())

    @property
    def stage(self) -> int:
        """The latest stage that a trial belongs to."""
        return max((row.stage for row in self._rows.values()), default=1)

    @property
    def ranked(self) -> list[TrialRow]:
        """The finished trials, best first."""
        return ranked(self._rows.values(), self.view.direction)

    @property
    def curve(self) -> list[float]:
        """The best score so far after each finished trial of the stage that is ranked."""
        steps = running_best(self._rows.values(), self.view.direction)
        stage = max((row.stage for row, _ in steps), default=1)
        return [best for row, best in steps if row.stage == stage]

    def seconds(self, now: float) -> float:
        """Return the wall time of the search until now, before an interruption included."""
        return self.view.seconds + now - self._start

    def per_minute(self, now: float) -> float | None:
        """Return how many trials ended a minute since the display started; None before the first did."""
        ended, seconds = self.done - self._done_before, now - self._start
        return ended / seconds * 60 if ended and seconds > 0 else None

    def seconds_left(self, now: float) -> float | None:
        """Return the time until the first budget is used up; None where it cannot be told yet."""
        limits = []
        if self.view.seconds_budget is not None:
            limits.append(max(self.view.seconds_budget - self.seconds(now), 0.0))
        speed = self.per_minute(now)
        if self.view.trial_budget is not None and speed is not None:
            limits.append(max(self.view.trial_budget - self.done, 0) / speed * 60)
        return min(limits, default=None)

    def snapshot(self, now: float) -> TuneView:
        """Return the search as it stands now."""
        rows = tuple(sorted(self._rows.values(), key=lambda row: row.number))
        return replace(self.view, trials=rows, seconds=self.seconds(now))
