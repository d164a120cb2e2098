from typing import ClassVar

import pytest
import torch

from dlcli import Metric, Task
from dlcli.testing.law import Law
from dlcli.testing.laws import metrics


class Fine(Metric):
    name: ClassVar[str] = "fine"
    tasks: ClassVar[frozenset] = frozenset({Task.MULTICLASS})
    direction: ClassVar[str] = "max"
    lowest: ClassVar[float | None] = 0.0
    highest: ClassVar[float | None] = 1.0

    def update(self, output, target, weight):
        return {"hits": (weight * (output.argmax(-1) == target)).sum(), "weight": weight.sum()}

    def compute(self, statistics):
        return statistics["hits"] / statistics["weight"]


class Ranks(Fine):
    """Keeps its scores, and a figure that only all rows together give."""

    concatenates: ClassVar[bool] = True

    def update(self, output, target, weight):
        return {"hits": (output.argmax(-1) == target).double(), "weight": weight}

    def compute(self, statistics):
        return (statistics["hits"] * statistics["weight"]).sum() / statistics["weight"].sum()


class MeanOfMeans(Fine):
    def update(self, output, target, weight):
        return {"hits": (output.argmax(-1) == target).double().mean(), "weight": torch.ones((), dtype=torch.float64)}


class Vector(Fine):
    def compute(self, statistics):
        return super().compute(statistics)[None]


class Single(Fine):
    def compute(self, statistics):
        return super().compute(statistics).float()


class NarrowRange(Fine):
    highest: ClassVar[float | None] = 0.5


class WrongWay(Fine):
    direction: ClassVar[str] = "min"


class Unweighted(Fine):
    def update(self, output, target, weight):
        return super().update(output, target, torch.ones_like(weight))


class YesOrNoWeights(Fine):
    def update(self, output, target, weight):
        return super().update(output, target, (weight > 0).double())


class NeverUndefined(Fine):
    def compute(self, statistics):
        return statistics["hits"] / statistics["weight"].clamp_min(1)


class Picky(Fine):
    def check(self, task, outputs):
        raise ValueError("never")


BROKEN = [
    (metrics.adds_over_batches, MeanOfMeans, "the figure over 2 batches is not that of all rows at once"),
    (metrics.adds_over_batches, Vector, r"compute gives \(1,\), expected a 0-d tensor"),
    (metrics.adds_over_batches, Single, "compute gives torch.float32, expected float64"),
    (metrics.stays_in_its_range, NarrowRange, r"1.0 is not in \[0.0, 0.5\]"),
    (metrics.knows_its_direction, WrongWay, "1.0 when right, .* when wrong, but its direction is min"),
    (metrics.a_row_of_weight_zero_does_not_count, Unweighted, "rows of weight 0 change the figure"),
    (metrics.a_row_of_weight_two_counts_twice, YesOrNoWeights, "rows of weight 2 do not count twice"),
    (metrics.is_nan_without_rows, NeverUndefined, "without any weight the figure is 0.0, expected NaN"),
    (metrics.fits_its_tasks, Picky, "for multiclass: its defaults do not fit 3 outputs"),
]


@pytest.mark.parametrize(("check", "cls", "match"), BROKEN)
def test_a_broken_metric_fails(case_of, check, cls, match):
    with pytest.raises(AssertionError, match=match):
        Law(check)(case_of(cls))


@pytest.mark.parametrize("cls", [Fine, Ranks])
@pytest.mark.parametrize("law", metrics.LAWS, ids=lambda law: law.name)
def test_a_sound_metric_passes(case_of, law, cls):
    law(case_of(cls))


def test_every_law_can_fail():
    assert {check for check, _, _ in BROKEN} == {law.check for law in metrics.LAWS}
