import itertools
import math

import pytest
import torch
from pydantic import ValidationError
from torch.optim import lr_scheduler

from dlcli import EpochRecord, History, Horizon

PER_EPOCH = 3


def history(scores, direction="min"):
    return History(tuple(EpochRecord(i, 1.0, {"m": s}, 0.1) for i, s in enumerate(scores, 1)), "m", direction)


def factors(schedule, scores, direction="min"):
    """The factor in every epoch, and in the one after the last; every step of an epoch has the same."""
    found, horizon = [], Horizon(PER_EPOCH * len(scores), PER_EPOCH)
    for epoch in range(len(scores) + 1):
        so_far = history(scores[:epoch], direction)
        each = {schedule.factor(epoch * PER_EPOCH + step, horizon, so_far) for step in range(PER_EPOCH)}
        found += each
    return found


def torchs(scores, **arguments):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, eps=0.0, **arguments)
    rates = [1.0]
    for score in scores:
        scheduler.step(score)
        rates.append(optimizer.param_groups[0]["lr"])
    return rates


def walk(seed, epochs=80):
    """Scores that fall and get stuck, as those of a training do; all > 0."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(epochs, generator=generator, dtype=torch.float64).cumsum(0)
    return (noise / 20).exp().tolist()


CASES = [
    {"patience": p, "cooldown": c, "threshold": t, "threshold_mode": m, "multiplier": f, "min_factor": low}
    for p, c, (t, m), (f, low) in itertools.product(
        [0, 2, 5],
        [0, 3],
        [(1e-4, "relative"), (0.1, "relative"), (0.05, "absolute")],
        [(0.5, 0.0), (0.1, 0.02)],
    )
]


@pytest.mark.parametrize("direction", ["min", "max"])
@pytest.mark.parametrize("parameters", CASES, ids=str)
def test_it_is_torchs(registry, parameters, direction):
    given = {
        "patience": parameters["patience"],
        "cooldown": parameters["cooldown"],
        "threshold": parameters["threshold"],
        "threshold_mode": parameters["threshold_mode"][:3],
        "factor": parameters["multiplier"],
        "min_lr": parameters["min_factor"],
    }
    schedule = registry.create("schedule", "plateau", **parameters)
    for seed in range(3):
        scores = walk(seed)
        scores[20 + seed] = math.nan
        expected = torchs(scores, mode=direction, **given)
        assert expected[-1] < 1
        assert factors(schedule, scores, direction) == pytest.approx(expected, rel=1e-12)


def test_its_defaults_are_torchs_but_for_a_shorter_patience(registry):
    scores = [1.0] * 30
    assert factors(registry.create("schedule", "plateau"), scores) == pytest.approx(torchs(scores, patience=5))


def test_a_negative_value_that_stays_the_same_is_no_improvement(registry):
    """With torch a score of -1 beats itself, since it is above -1 · 1.0001."""
    found = factors(registry.create("schedule", "plateau", patience=1), [-1.0] * 4, "max")
    assert found == pytest.approx([1.0, 1.0, 1.0, 0.1, 0.1])


def test_epochs_of_the_warm_up_do_not_count(registry):
    schedule = registry.create("schedule", "plateau", patience=0, warmup_epochs=1.5, warmup_start_factor=1.0)
    assert factors(schedule, [1.0, 2.0, 3.0, 4.0]) == pytest.approx([1.0, 1.0, 1.0, 1.0, 0.1])


def test_it_needs_no_horizon(registry):
    schedule = registry.create("schedule", "plateau")
    assert not schedule.needs_horizon


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"multiplier": 1.0}, "less than 1"),
        ({"patience": -1}, "greater than or equal to 0"),
        ({"threshold": -1e-4}, "greater than or equal to 0"),
        ({"threshold_mode": "rel"}, "'relative' or 'absolute'"),
        ({"cooldown": -1}, "greater than or equal to 0"),
        ({"min_factor": 1.5}, "less than or equal to 1"),
    ],
)
def test_ranges(registry, parameters, message):
    with pytest.raises(ValidationError, match=message):
        registry.create("schedule", "plateau", **parameters)
