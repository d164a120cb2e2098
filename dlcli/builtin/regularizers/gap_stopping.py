"""The regularizer `gap_stopping`."""

from typing import ClassVar

from pydantic import Field

from dlcli import History, Regularizer, UsageError


class GapStopping(Regularizer):
    """Stops when `val_loss` has not been below `train_loss` for `patience` epochs in a row.

    Then the network does better on what it learns from than on other rows: the generalization gap is there. A NaN is
    not below. `train_loss` is the mean over the steps of the epoch, with dropout, noise and mixing, and so lies above
    what the same rows would give afterwards: the more of these, the later it stops. A gap does not mean that validation
    gets worse: `early_stopping` asks that. The run keeps the best epoch's parameters, whatever stopped it.

    Args:
        select: Unused: stopping touches no parameters.
        patience: Epochs in a row that end training, ≥ 1.

    Raises:
        UsageError: There are no validation rows, or the two losses are not one loss in one unit.

    Source: Prechelt 1998, "Early stopping - but when?", for rules that compare both losses.
    """

    name: ClassVar[str] = "gap_stopping"

    patience: int = Field(5, ge=1, description="epochs in a row without val_loss below train_loss that end training")

    def stop(self, history: History) -> str | None:
        """Return why training should end, or None."""
        if not history.comparable:
            raise UsageError(
                "gap_stopping compares val_loss with train_loss, but training has scaled targets or another loss; set "
                "data.scale_target = false, or take early_stopping"
            )
        last = history.records[-self.patience :]
        if any("val_loss" not in record.values for record in last):
            raise UsageError(
                "gap_stopping compares val_loss with train_loss, but there are no validation rows; keep some "
                '(train.rows = "train", data.split.val above 0), or remove it from [[regularizers]]'
            )
        if len(last) < self.patience or any(record.values["val_loss"] < record.values["train_loss"] for record in last):
            return None
        return f"val_loss has not been below train_loss for {self.patience} epochs"
