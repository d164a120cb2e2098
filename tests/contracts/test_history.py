import math

import pytest

from dlcli import EpochRecord, History

NAN = math.nan


@pytest.mark.parametrize(
    ("first", "second", "smaller_is_better", "larger_is_better"),
    [
        (1.0, 2.0, True, False),
        (2.0, 1.0, False, True),
        (1.0, 1.0, False, False),
        (NAN, 1.0, False, False),
        (1.0, NAN, True, True),
        (NAN, NAN, False, False),
        (math.inf, NAN, True, True),
    ],
)
def test_better(first, second, smaller_is_better, larger_is_better):
    assert History((), "val_loss", "min").better(first, second) is smaller_is_better
    assert History((), "val_loss", "max").better(first, second) is larger_is_better


def test_scores_are_the_monitored_values():
    records = tuple(EpochRecord(n, 0.1, {"val_loss": 1 / n, "val_accuracy": n}, 1.0) for n in (1, 2))
    assert History(records, "val_loss", "min").scores == (1.0, 0.5)
    assert History(records, "val_accuracy", "max").scores == (1, 2)
