"""What a finished or interrupted training run amounts to."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Status = Literal["running", "finished", "interrupted", "failed"]


def finite(figures: Mapping[str, float] | None) -> dict[str, float | None] | None:
    """Return figures as JSON can hold them: what is not finite becomes null."""
    if figures is None:
        return None
    return {name: value if math.isfinite(value) else None for name, value in figures.items()}


@dataclass(frozen=True)
class Summary:
    """The outcome of a run.

    Args:
        run: Its directory.
        name: Its name.
        status: How it ended.
        best_epoch: The epoch with the best monitored value; 0 where no epoch was finished.
        epochs: Epochs trained.
        seconds: Wall time of all epochs.
        monitor: The value that decided.
        best_score: Its best value; None where no epoch was finished.
        stopped: Why training ended early; None where it did not.
        train: Figures over the training rows, in eval mode, with the kept parameters.
        val: Likewise over the validation rows; None where there are none.
        test: Likewise over the test rows; None where there are none, or the run is not finished.
        notes: What the user should know.
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
    train: Mapping[str, float] | None
    val: Mapping[str, float] | None
    test: Mapping[str, float] | None
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "run": str(self.run),
            "status": self.status,
            "best_epoch": self.best_epoch,
            "epochs": self.epochs,
            "seconds": round(self.seconds, 3),
            "monitor": self.monitor,
            "best_score": self.best_score,
            "stopped": self.stopped,
            "train": finite(self.train),
            "val": finite(self.val),
            "test": finite(self.test),
            "notes": list(self.notes),
        }
