"""Trials, the populations that they are run in, and what comes of them."""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from dlcli.contracts.search import Setting

TrialState = Literal["running", "finished", "pruned", "failed"]
"""How a trial stands: also one whose population waits for a worker is running."""


@dataclass(frozen=True)
class Population:
    """The unit of work: settings that are run together, one fold deep. All about it is in its `plan.json`.

    Args:
        number: Its number in the search, from 0 without gaps.
        stage: The stage it belongs to, from 1.
        fold: The fold, from 0; 0 where there is a single validation split.
        epochs: Epochs to train at most, ≥ 1.
        rungs: Ends of epochs at which the worse half leaves; empty for no halving.
        trials: Permanent number and setting of each trial.
        folder: Its folder, for its checkpoints too.
        after: The population of the fold before, whose survivors these are; None for fresh settings.
        planned: When it was planned, in seconds since 1970.
    """

    number: int
    stage: int
    fold: int
    epochs: int
    rungs: tuple[int, ...]
    trials: tuple[tuple[int, Setting], ...]
    folder: Path
    after: int | None = None
    planned: float = 0.0


@dataclass(frozen=True)
class TrialOutcome:
    """What running a trial on one fold gave.

    Args:
        trial: The trial's number.
        score: Its monitored value: of the epoch that was kept, or the last one where it was pruned; None where it
            failed.
        epochs: Epochs trained, ≥ 0.
        best_epoch: The best epoch; 0 where no epoch was finished.
        seconds: Wall time.
        pruned: Whether halving ended it.
        reason: Why it failed or was pruned; None for one that went well. With `pruned` unset, it failed.
    """

    trial: int
    score: float | None
    epochs: int
    best_epoch: int
    seconds: float = 0.0
    pruned: bool = False
    reason: str | None = None

    @property
    def failed(self) -> bool:
        """Whether it failed."""
        return not self.pruned and self.reason is not None


@dataclass(frozen=True)
class PopulationResult:
    """What is recorded of a population that was run, in its `result.json`.

    Args:
        outcomes: One for each of its trials, in its order.
        leaving: Trials that go on to no further fold, though nothing went wrong, and why.
        reports: The monitored value of each epoch that was reported, by trial.
        ended: When it ended, in seconds since 1970.
    """

    outcomes: tuple[TrialOutcome, ...]
    leaving: Mapping[int, str] = field(default_factory=dict)
    reports: Mapping[int, Mapping[int, float]] = field(default_factory=dict)
    ended: float = 0.0


@dataclass(frozen=True)
class Trial:
    """A trial as it stands.

    Args:
        number: Permanent number, unique in the search.
        stage: Its stage, from 1.
        setting: What is tried.
        population: The population that it was last planned in.
        state: How it stands.
        fold_scores: Score of each fold that was trained to its end, in the order of the folds.
        score: Where finished, the mean over its folds; where pruned, what was last known: the monitored value at the
            rung, or the mean over its folds so far; otherwise None. Only those of finished trials may be ranked.
        reason: Why it was pruned or failed.
        epochs: Epochs trained, over all folds.
        best_epochs: The best epoch of each fold in `fold_scores`.
        seconds: Wall time, over all folds.
        planned: When it was asked for, in seconds since 1970.
        ended: When it ended; None while it runs.
        reports: The monitored value by epoch, where there is a single validation split.
    """

    number: int
    stage: int
    setting: Setting
    population: int
    state: TrialState = "running"
    fold_scores: tuple[float, ...] = ()
    score: float | None = None
    reason: str | None = None
    epochs: int = 0
    best_epochs: tuple[int, ...] = ()
    seconds: float = 0.0
    planned: float = 0.0
    ended: float | None = None
    reports: Mapping[int, float] = field(default_factory=dict)

    @property
    def best_epoch(self) -> float | None:
        """The best epoch, a mean over the folds; None where no fold was trained to its end."""
        return statistics.fmean(self.best_epochs) if self.best_epochs else None

    @property
    def spread(self) -> float | None:
        """Standard deviation over the folds (of a sample); None for fewer than two."""
        return statistics.stdev(self.fold_scores) if len(self.fold_scores) > 1 else None
