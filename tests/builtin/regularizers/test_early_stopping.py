import math

import pytest
from pydantic import ValidationError

from dlcli import EpochRecord, History

NAN = math.nan


def history(scores, direction="min", monitor="val_loss"):
    records = tuple(EpochRecord(epoch, 1e-3, {monitor: score}, 0.1) for epoch, score in enumerate(scores, start=1))
    return History(records, monitor, direction)


def stopped_after(stopping, scores, direction="min"):
    """The first epoch at which the fold over the history so far says stop; None where it never does."""
    epochs = range(1, len(scores) + 1)
    return next((epoch for epoch in epochs if stopping.stop(history(scores[:epoch], direction))), None)


@pytest.mark.parametrize(
    ("parameters", "scores", "direction", "epoch"),
    [
        ({"patience": 1}, [3.0, 2.0, 2.0, 1.0], "min", 3),
        ({"patience": 2}, [3.0, 2.0, 2.0, 1.0], "min", None),
        ({"patience": 2}, [3.0, 2.0, 2.5, 2.0, 1.0], "min", 4),
        ({"patience": 2}, [0.1, 0.5, 0.4, 0.5, 0.9], "max", 4),
        ({"patience": 2, "min_delta": 0.5}, [3.0, 2.75, 2.25, 2.0, 1.9], "min", 5),
        ({"patience": 2, "min_delta": 0.5}, [1.0, 1.5, 1.6, 1.9], "max", None),
        ({"patience": 2}, [NAN, NAN, 1.0, NAN, 0.5], "min", None),
        ({"patience": 3}, [NAN, NAN, 1.0, NAN, NAN, NAN], "min", 6),
        ({"patience": 2}, [NAN, NAN, NAN], "max", 3),
        ({"patience": 1}, [], "min", None),
    ],
)
def test_stops_when_patience_is_used_up(registry, parameters, scores, direction, epoch):
    assert stopped_after(registry.create("regularizer", "early_stopping", **parameters), scores, direction) == epoch


def test_reason_names_the_value_and_the_best_epoch(registry):
    reason = registry.create("regularizer", "early_stopping", patience=2).stop(history([0.5, 0.25, 0.3, 0.4]))
    assert reason == "val_loss has not improved for 2 epochs (best 0.25 in epoch 2)"


@pytest.mark.parametrize(("parameters", "bound"), [({"patience": 0}, 1), ({"min_delta": -0.1}, 0)])
def test_ranges(registry, parameters, bound):
    with pytest.raises(ValidationError, match=f"greater than or equal to {bound}"):
        registry.create("regularizer", "early_stopping", **parameters)
