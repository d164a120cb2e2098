"""The regularizer `early_stopping`."""

from typing import ClassVar

from pydantic import Field

from dlcli import History, Regularizer


class EarlyStopping(Regularizer):
    """Stops when the monitored value has not improved for `patience` epochs in a row.

    An epoch improves when its value is better than the best so far by more than `min_delta`; any number is better
    than NaN. The run keeps the best epoch's parameters, whatever stopped it.

    Args:
        select: Unused: stopping touches no parameters.
        patience: Epochs without improvement that end training, ≥ 1.
        min_delta: How much better a value must be to count, in the monitored value's units, ≥ 0.

    Source: Prechelt 1998, "Early stopping — but when?".
    """

    name: ClassVar[str] = "early_stopping"

    patience: int = Field(10, ge=1, description="epochs without improvement that end training")
    min_delta: float = Field(0.0, ge=0, description="how much better a value must be to count as an improvement")

    def stop(self, history: History) -> str | None:
        """Return why training should end, or None."""
        worsen = self.min_delta if history.direction == "min" else -self.min_delta
        best, best_index = float("nan"), 0
        for index, score in enumerate(history.scores):
            if history.better(score + worsen, best):
                best, best_index = score, index
        if len(history.records) - 1 - best_index < self.patience:
            return None
        return (
            f"{history.monitor} has not improved for {self.patience} epochs "
            f"(best {best:.6g} in epoch {history.records[best_index].epoch})"
        )
