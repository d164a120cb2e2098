"""What a finished or interrupted training run amounts to."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Status = Literal["running", "finished", "interrupted", "failed"]
Figures = Mapping[str, float]
"""The loss and each metric, by name."""


def finite(figures: Figures | None) -> dict[str, float | None] | None:
    """Return figures as JSON can hold them: what is not finite becomes null."""
    if figures is None:
        return None
    return {name: finite_number(value) for name, value in figures.items()}


def finite_number(value: float | None) -> float | None:
    """Return a number as JSON can hold it: what is not finite becomes null."""
    return value if value is not None and math.isfinite(value) else None


def finite_tree(value: Any) -> Any:
    """Return tables and lists as JSON can hold them: numbers that are not finite become null, at any depth."""
    if isinstance(value, Mapping):
        return {key: finite_tree(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite_tree(item) for item in value]
    return finite_number(value) if isinstance(value, float) else value


@dataclass(frozen=True)
class MemberSummary:
    """The outcome of one member of a population.

    Args:
        identity: Its name within the run.
        epochs: Epochs trained.
        best_epoch: The epoch with the best monitored value; 0 where no epoch was finished.
        selected_epoch: The epoch that its model is from.
        best_score: Its best monitored value; None where no epoch was finished.
        seconds: Wall time of its epochs.
        stopped: Why its training ended early; None where it did not.
        failure: Why it failed; None where it did not. It then has no model and no figures.
        figures: By split, `train`, `val`, `test` for a seed, `train` and `held_out` for a fold: its figures there.
    """

    identity: str
    epochs: int
    best_epoch: int
    selected_epoch: int
    best_score: float | None
    seconds: float
    stopped: str | None = None
    failure: str | None = None
    figures: Mapping[str, Figures] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints and `run.json` holds."""
        return {
            "identity": self.identity,
            "epochs": self.epochs,
            "best_epoch": self.best_epoch or None,
            "selected_epoch": self.selected_epoch,
            "best_score": finite_number(self.best_score),
            "seconds": round(self.seconds, 3),
            "stopped": self.stopped,
            "failure": self.failure,
            **{split: finite(values) for split, values in self.figures.items()},
        }


@dataclass(frozen=True)
class PopulationSummary:
    """The outcome of several members.

    Args:
        kind: Whether they differ in their seed or in their fold.
        members: All of them.
        mean: By split, as in `MemberSummary.figures`: mean of each figure over the members that did not fail.
        spread: Likewise the sample standard deviation; NaN for a single member.
        score_spread: Sample standard deviation of what the run's score is the mean of; None without a score.
        out_of_fold: Figures over all rows, each as the model says that has not seen it; None but for folds.
    """

    kind: Literal["seeds", "kfold"]
    members: tuple[MemberSummary, ...]
    mean: Mapping[str, Figures] = field(default_factory=dict)
    spread: Mapping[str, Figures] = field(default_factory=dict)
    score_spread: float | None = None
    out_of_fold: Figures | None = None

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints and `run.json` holds, but for the members."""
        return {
            "kind": self.kind,
            "count": len(self.members),
            "mean": {split: finite(values) for split, values in self.mean.items()},
            "spread": {split: finite(values) for split, values in self.spread.items()},
            "score_spread": finite_number(self.score_spread),
            "out_of_fold": finite(self.out_of_fold),
        }


@dataclass(frozen=True)
class Summary:
    """The outcome of a run.

    Args:
        run: Its directory.
        name: Its name.
        status: How it ended.
        best_epoch: The epoch with the best monitored value; 0 where no epoch was finished, and for several members.
        epochs: Epochs trained; of several members the most.
        seconds: Wall time of all epochs.
        monitor: The value that decided.
        best_score: Its best value; of seeds the mean of theirs, of folds the mean over the held-out rows of each; None
            where no epoch was finished.
        stopped: Why training ended early; None where it did not.
        train: Figures of the model over the training rows, in eval mode; None for folds, which share no such rows.
        val: Likewise over the validation rows; None where there are none, and for folds, which trained on them.
        test: Likewise over the test rows; None where there are none, or the run is not finished.
        notes: What the user should know.
        population: What came of each of several members; None for a plain run.
        selected_epoch: The epoch that a plain run's model is from; 0 where no epoch was finished.
    """

    run: Path
    name: str
    status: Status
    best_epoch: int
    epochs: int
    seconds: float
    monitor: str
    best_score: float | None
    stopped: str | None
    train: Figures | None
    val: Figures | None
    test: Figures | None
    notes: tuple[str, ...] = ()
    population: PopulationSummary | None = None
    selected_epoch: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "run": str(self.run),
            "status": self.status,
            "best_epoch": self.best_epoch or None,
            "selected_epoch": self.selected_epoch or None,
            "epochs": self.epochs,
            "seconds": round(self.seconds, 3),
            "monitor": self.monitor,
            "best_score": finite_number(self.best_score),
            "stopped": self.stopped,
            "train": finite(self.train),
            "val": finite(self.val),
            "test": finite(self.test),
            **self.population_json(),
            "notes": list(self.notes),
        }

    def population_json(self) -> dict[str, Any]:
        """Return the entries that a run with several members has besides."""
        if self.population is None:
            return {}
        members = [member.as_json() for member in self.population.members]
        return {"population": self.population.as_json(), "members": members}
