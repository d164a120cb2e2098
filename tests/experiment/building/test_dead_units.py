import h5py
import numpy as np
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
    (note,) = notes(with_dead(layer, 7), x)
    assert note.startswith("relu units that are 0 on every row of the first batch learn nothing: 7 of 20 in 1; ")


def test_a_few_dead_units_and_few_rows_are_not_told():
    assert notes(with_dead(nn.Linear(4, 20), 6), torch.randn(64, 4)) == []
    assert notes(with_dead(nn.Linear(4, 20), 20), torch.randn(16, 4)) == []
    assert notes(with_dead(nn.Linear(4, 20), 0), torch.randn(64, 4)) == []


def test_many_layers_are_told_in_one_note():
    network = nn.Sequential(*[with_dead(nn.Linear(20, 20), 20) for _ in range(5)])
    (note,) = notes(network, torch.randn(64, 20))
    assert "20 of 20 in 0.1, 20 of 20 in 1.1, 20 of 20 in 2.1, and in 2 more; standardize" in note


def test_build_tells_them_of_raw_values_and_not_of_standardized_ones(folder, plugins, recipe):
    """Values far from 0: a unit has one sign on all rows."""
    with h5py.File("far.h5", "w") as file:
        file["x"] = (1000 + np.random.default_rng(0).normal(size=(200, 8))).astype("float32")
        file["y"] = np.arange(200) % 2
        file["y"].attrs["classes"] = ["no", "yes"]
    told = [
        dlcli.build(recipe(data={"path": "far.h5", "preprocess": preprocess}), plugins=plugins).notes
        for preprocess in ([], ["standardize"])
    ]
    assert [any("learn nothing" in note for note in notes) for notes in told] == [True, False]
