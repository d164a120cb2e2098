"""What a search amounts to, as the closing summary is told it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from dlcli.report.tune_view import TrialRow, TuneView, ranked

SHOWN_TRIALS = 10
"""How many of the best trials a summary shows."""


@dataclass(frozen=True)
class ModelScores:
    """What a recipe reaches: one column of the comparison.

    Args:
        score: Mean of the monitored value over the search's folds; None where it was not measured.
        spread: Standard deviation over folds; None with fewer than two.
        fold_scores: The score on each fold, in order.
        epochs: Epochs that the final model was trained; None where there is no final model.
        test: Figures of the final model on the test split; empty where there is none.
    """

    score: float | None = None
    spread: float | None = None
    fold_scores: tuple[float, ...] = ()
    epochs: float | None = None
    test: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class BorderWarning:
    """The best value of a key lies so near an end of its range that a better one may lie beyond.

    Args:
        key: The key.
        value: Its best value.
        end: Which end.
        low: Smallest value of the range.
        high: Largest value of the range.
        toml: The line of `[tune.space]` with a wider range, ready to paste.
    """

    key: str
    value: float
    end: Literal["low", "high"]
    low: float
    high: float
    toml: str


@dataclass(frozen=True)
class TuneOutcome:
    """The outcome of a search.

    Args:
        search: The search with all its trials.
        status: How it ended.
        stopped: Why it ended before its budget was used; None where it did not.
        tuned: What the best setting reaches; None where no trial finished.
        untuned: What the recipe as it was reaches; None where it was not measured.
        importances: Share of each key in what makes a setting good, largest first, summing to 1; may be empty.
        importances_left_out: Keys without a share, each with the reason.
        importances_reason: Why there are no importances; None where there are.
        borders: Best values near an end of their range.
        best_recipe: The recipe with the best setting, which `dlcli train` takes; None where there is none.
        pictures: Pictures that were drawn.
        go_on: The command that continues an interrupted search; None where there is nothing to continue.
        notes: What the user should know.
    """

    search: TuneView
    status: Literal["finished", "interrupted", "failed"]
    stopped: str | None = None
    tuned: ModelScores | None = None
    untuned: ModelScores | None = None
    importances: Mapping[str, float] = field(default_factory=dict)
    importances_left_out: Mapping[str, str] = field(default_factory=dict)
    importances_reason: str | None = None
    borders: tuple[BorderWarning, ...] = ()
    best_recipe: Path | None = None
    pictures: tuple[Path, ...] = ()
    go_on: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def run(self) -> Path:
        """The run directory."""
        return self.search.run

    @property
    def best(self) -> TrialRow | None:
        """The best finished trial; None where there is none."""
        return self.search.best

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints: counts, the best ten trials, why others failed, and the rest of the summary."""
        search = self.search
        best = ranked(search.trials, search.direction)
        states = [row.state for row in search.trials]
        return {
            "run": str(search.run),
            "status": self.status,
            "stopped": self.stopped,
            "monitor": search.monitor,
            "direction": search.direction,
            "folds": search.folds,
            "stages": search.stages,
            "seconds": round(search.seconds, 3),
            "trials": {state: states.count(state) for state in ("finished", "pruned", "failed", "running")},
            "best": trial_json(best[0]) if best else None,
            "top": [trial_json(row) for row in best[:SHOWN_TRIALS]],
            "failed": [{"trial": row.number, "reason": row.reason} for row in search.trials if row.state == "failed"],
            "tuned": _scores_json(self.tuned),
            "untuned": _scores_json(self.untuned),
            "importances": dict(self.importances),
            "importances_left_out": dict(self.importances_left_out),
            "importances_reason": self.importances_reason,
            "borders": [vars(border).copy() for border in self.borders],
            "best_recipe": None if self.best_recipe is None else str(self.best_recipe),
            "pictures": [str(path) for path in self.pictures],
            "notes": list(self.notes),
        }


def trial_json(row: TrialRow) -> dict[str, Any]:
    """Return a trial as JSON can hold it; figures that are not finite become null."""
    return {
        "trial": row.number,
        "stage": row.stage,
        "state": row.state,
        "score": _finite(row.score),
        "spread": _finite(row.spread),
        "fold_scores": [_finite(score) for score in row.fold_scores],
        "epochs": _finite(row.epochs),
        "seconds": None if row.seconds is None else round(row.seconds, 3),
        "reason": row.reason,
        "setting": {key: _plain(value) for key, value in row.setting.items()},
    }


def _scores_json(scores: ModelScores | None) -> dict[str, Any] | None:
    if scores is None:
        return None
    return {
        "score": _finite(scores.score),
        "spread": _finite(scores.spread),
        "fold_scores": [_finite(score) for score in scores.fold_scores],
        "epochs": _finite(scores.epochs),
        "test": {name: _finite(value) for name, value in scores.test.items()},
    }


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return _finite(value) if isinstance(value, float) else value
