import math

import pytest
from pydantic import ValidationError

from dlcli import EpochRecord, History, UsageError

NAN = math.nan


def history(gaps, **changes):
    """Epochs whose validation loss lies so far above the training loss of 1."""
    records = (EpochRecord(i, 1e-3, {"train_loss": 1.0, "val_loss": 1 + g}, 0.1) for i, g in enumerate(gaps, 1))
    return History(tuple(records), "val_accuracy", "max", **changes)


@pytest.mark.parametrize(
    ("patience", "gaps", "epoch"),
    [
        (1, [-0.5, -0.1, 0.0], 3),
        (2, [-0.5, 0.1, -0.1, 0.1, 0.2, -0.1], 5),
        (3, [0.3, 0.2, 0.1, -1.0], 3),
        (3, [0.3, 0.2, -0.1, 0.2, 0.3], None),
        (2, [NAN, NAN], 2),
        (2, [], None),
    ],
)
def test_stops_after_epochs_in_a_row_without_a_lower_validation_loss(registry, patience, gaps, epoch):
    rule = registry.create("regularizer", "gap_stopping", patience=patience)
    reasons = [rule.stop(history(gaps[:end])) for end in range(1, len(gaps) + 1)]
    assert next((end for end, reason in enumerate(reasons, 1) if reason), None) == epoch
    expected = f"val_loss has not been below train_loss for {patience} epochs"
    assert all(reason in (None, expected) for reason in reasons)


def test_what_it_cannot_compare_is_told(registry):
    rule = registry.create("regularizer", "gap_stopping")
    with pytest.raises(UsageError, match=r"scaled targets or another loss; set data\.scale_target = false"):
        rule.stop(history([0.1], comparable=False))
    with pytest.raises(UsageError, match="there are no validation rows"):
        rule.stop(History((EpochRecord(1, 1e-3, {"train_loss": 1.0}, 0.1),), "train_loss", "min"))
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        registry.create("regularizer", "gap_stopping", patience=0)
