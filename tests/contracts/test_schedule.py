from typing import ClassVar

import pytest
from pydantic import ValidationError

from dlcli import History, Horizon, Schedule

NOTHING_YET = History((), "val_loss", "min")


class Countdown(Schedule):
    """Shows what `shape` was called with: starts at 2 and falls by 1/steps a step."""

    name: ClassVar[str] = "countdown"
    needs_horizon: ClassVar[bool] = True

    def shape(self, step, horizon, history):
        assert history is NOTHING_YET
        return 2 - step / max(horizon.steps, 1)


def factors(warmup_epochs, epochs=4, steps_per_epoch=5, **parameters):
    schedule = Countdown(warmup_epochs=warmup_epochs, **parameters)
    horizon = Horizon(epochs * steps_per_epoch, steps_per_epoch)
    return [schedule.factor(step, horizon, NOTHING_YET) for step in range(horizon.steps)]


def test_no_warm_up():
    assert factors(0.0) == pytest.approx([2 - step / 20 for step in range(20)])


@pytest.mark.parametrize(("warmup_epochs", "steps"), [(1.0, 5), (0.5, 2), (1.7, 8), (4.0, 20)])
def test_warm_up_rises_to_the_first_factor_and_the_rest_follows(warmup_epochs, steps):
    rest = 20 - steps
    expected = [2 * (step + 1) / steps for step in range(steps)] + [2 - step / rest for step in range(rest)]
    assert factors(warmup_epochs) == pytest.approx(expected)


@pytest.mark.parametrize("start", [0.1, 0.5, 1.0])
def test_a_warm_up_from_a_share_of_the_factor(start):
    found = factors(2.0, warmup_start_factor=start)
    assert found[:10] == pytest.approx([2 * (start + (1 - start) * (step + 1) / 10) for step in range(10)])
    assert found[10:] == factors(2.0)[10:]


@pytest.mark.parametrize("start", [-0.1, 1.1])
def test_a_warm_up_starts_from_a_share(start):
    with pytest.raises(ValidationError, match="than or equal to"):
        Countdown(warmup_start_factor=start)


def test_the_last_step_of_the_warm_up_has_the_full_rate():
    assert factors(1.0)[4] == factors(1.0)[5] == 2


def test_a_warm_up_longer_than_the_training_is_cut():
    assert factors(8.0) == pytest.approx([2 * (step + 1) / 40 for step in range(20)])


def test_factor_cannot_be_replaced_by_a_parameter():
    assert "factor" not in Countdown.model_fields
    assert Countdown.factor is Schedule.factor
