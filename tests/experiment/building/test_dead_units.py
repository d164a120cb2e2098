import pytest
import torch
from torch import nn

import dlcli
from dlcli.experiment.building.dead_units import DeadUnits


def notes(network, x):
    with DeadUnits(network) as dead, torch.no_grad():
        network(x)
    return list(dead.notes())


def with_dead(layer, dead):
    nn.init.constant_(layer.bias, 10)
    with torch.no_grad():
        layer.bias[:dead] = -1000
    return nn.Sequential(layer, nn.ReLU())


@pytest.mark.parametrize(
    ("layer", "x"),
    [
        (nn.Linear(4, 20), torch.randn(64, 4)),
        (nn.Linear(4, 20), torch.randn(8, 9, 4)),
        (nn.Conv2d(4, 20, 3), torch.randn(4, 4, 8, 8)),
    ],
)
def test_units_that_are_0_on_every_row_and_place_are_counted(layer, x):
    (note,) = notes(with_dead(layer, 5), x)
    assert note.startswith("relu units that are 0 on every row of the first batch learn nothing: 5 of 20 in 1; ")


def test_a_few_dead_units_and_few_rows_are_not_told():
    assert notes(with_dead(nn.Linear(4, 20), 1), torch.randn(64, 4)) == []
    assert notes(with_dead(nn.Linear(4, 20), 5), torch.randn(16, 4)) == []
    assert notes(with_dead(nn.Linear(4, 20), 0), torch.randn(64, 4)) == []


def test_many_layers_are_told_in_one_note():
    network = nn.Sequential(*[with_dead(nn.Linear(20, 20), 20) for _ in range(5)])
    (note,) = notes(network, torch.randn(64, 20))
    assert "20 of 20 in 0.1, 20 of 20 in 1.1, 20 of 20 in 2.1, and in 2 more; standardize" in note


def test_build_tells_them_of_raw_values_and_not_of_standardized_ones(folder, plugins, recipe):
    """Pixels from 0 to 16 are never below 0, so that a unit has nearly one sign on all rows."""
    raw = {**recipe()["data"], "preprocess": []}
    model = {"architecture": "mlp", "hidden": [64, 64]}
    told = [dlcli.build(recipe(model=model, data=data), plugins=plugins).notes for data in (raw, recipe()["data"])]
    assert [any("learn nothing" in note for note in notes) for notes in told] == [True, False]
