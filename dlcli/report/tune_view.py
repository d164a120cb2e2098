"""What the views of a search are told: its trials and its limits, as plain data."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from dlcli.contracts.history import Direction

TrialState = Literal["running", "finished", "pruned", "failed"]
"""A pruned trial was given up because others were better; a failed one has no result, for the reason it gives."""


@dataclass(frozen=True)
class ParameterRange:
    """Where the values of one tuned key come from.

    Args:
        low: Smallest value; None where there is none (a choice, a normal distribution).
        high: Largest value; None likewise.
        log: Whether the logarithm counts; needs `low` > 0.
        whole: Whether values are whole numbers.
        choices: The values of a choice; empty for numbers.
    """

    low: float | None = None
    high: float | None = None
    log: bool = False
    whole: bool = False
    choices: tuple[Any, ...] = ()


@dataclass(frozen=True)
class TrialRow:
    """One trial.

    Args:
        number: Its permanent number, unique in the search, from 0.
        state: How it stands.
        setting: A value for each tuned key; keys that its other choices make void are left out.
        score: The monitored value, or its mean over folds; for a pruned trial the last known; None where there is none.
        spread: Standard deviation over folds; None with fewer than two.
        fold_scores: The score of each fold that was trained, in order.
        epochs: Epochs at which it was best, a mean over folds; None where unknown.
        seconds: Wall time; None where unknown.
        reason: Why it was pruned or failed; None otherwise.
        stage: The stage of a coarse-to-fine search, from 1. Scores of different stages are never compared.
    """

    number: int
    state: TrialState
    setting: Mapping[str, Any]
    score: float | None = None
    spread: float | None = None
    fold_scores: tuple[float, ...] = ()
    epochs: float | None = None
    seconds: float | None = None
    reason: str | None = None
    stage: int = 1


@dataclass(frozen=True)
class TuneView:
    """A search as it stands.

    Args:
        run: Its directory.
        name: Name of its recipe.
        monitor: Name of the score, such as `val_loss`.
        direction: Whether a smaller (`min`) or larger (`max`) score is better.
        space: The range of each tuned key.
        trials: All trials known, in order of their numbers.
        trial_budget: Trials allowed in all; None where only time limits the search.
        seconds_budget: Wall time allowed in all; None where only trials limit it.
        seconds: Wall time used until now, before an interruption included.
        folds: Number of folds; 1 for a single validation split.
        stages: Number of stages.
        untuned: Score of the recipe as it was, on the same folds; None where it was not measured.
    """

    run: Path
    name: str
    monitor: str
    direction: "Direction"
    space: Mapping[str, ParameterRange]
    trials: Sequence[TrialRow] = ()
    trial_budget: int | None = None
    seconds_budget: float | None = None
    seconds: float = 0.0
    folds: int = 1
    stages: int = 1
    untuned: float | None = None

    @property
    def best(self) -> TrialRow | None:
        """The best finished trial of the last stage that has one; None where there is none."""
        return next(iter(ranked(self.trials, self.direction)), None)


def ranked(trials: Iterable[TrialRow], direction: "Direction") -> list[TrialRow]:
    """Return the finished trials with a finite score, best first, equal ones by number.

    Only the last stage that has such trials takes part, for scores of different stages are not comparable.
    """
    scored = [row for row in trials if row.state == "finished" and row.score is not None and math.isfinite(row.score)]
    last = max((row.stage for row in scored), default=1)
    sign = 1.0 if direction == "min" else -1.0
    return sorted((row for row in scored if row.stage == last), key=lambda row: (sign * (row.score or 0.0), row.number))


def running_best(trials: Iterable[TrialRow], direction: "Direction") -> list[tuple[TrialRow, float]]:
    """Return each finished trial with the best score of its stage up to it, in the order given."""
    best: dict[int, float] = {}
    steps = []
    for row in trials:
        if row.state != "finished" or row.score is None or not math.isfinite(row.score):
            continue
        choose = min if direction == "min" else max
        best[row.stage] = choose(best.get(row.stage, row.score), row.score)
        steps.append((row, best[row.stage]))
    return steps
