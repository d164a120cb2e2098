import math

import pytest
import torch

from dlcli.errors import PluginError, UsageError
from dlcli.experiment.activation_curve import activation_curve
from dlcli.testing import isolated_plugins

PLUGINS = isolated_plugins()
NAMES = [entry.name for entry in PLUGINS.registry.entries("activation")]


@pytest.mark.parametrize("name", NAMES)
def test_the_derivative_is_that_of_the_curve(name):
    curve = activation_curve(PLUGINS, name)
    assert (curve.x[0], curve.x[-1], len(curve.x)) == (-5, 5, 801)
    x, y, slope = (torch.tensor(values, dtype=torch.float64) for values in (curve.x, curve.function, curve.derivative))
    middle = (y[2:] - y[:-2]) / (x[2:] - x[:-2])
    far = ((middle - slope[1:-1]).abs() > 1e-3).sum()
    assert far <= 2  # at a kink there is no derivative


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("softmax", lambda x: 1 / (1 + math.exp(-x))),
        ("maxout", lambda x: max(x, 0)),
        ("glu", lambda x: x / 2),
        ("rrelu", lambda x: max(x, 0) + 11 / 48 * min(x, 0)),
        ("prelu", lambda x: max(x, 0) + 0.25 * min(x, 0)),
    ],
)
def test_what_is_held_fixed(name, expected):
    curve = activation_curve(PLUGINS, name)
    assert curve.function == pytest.approx([expected(x) for x in curve.x])


@pytest.mark.parametrize(
    ("name", "settings", "notes"),
    [
        ("relu", (), ()),
        ("softmax", (), ("an output has 2 inputs: x is the first, the other is held at 0",)),
        ("glu", (), ("an output has 2 inputs: x is the first, the other is held at 0",)),
        ("maxout", ("pieces=3",), ("an output has 3 inputs: x is the first, the others are held at 0",)),
        ("rrelu", (), ("random in training; this is evaluation",)),
        ("prelu", (), ("it learns parameters; this is with their initial values",)),
    ],
)
def test_the_notes_say_so(name, settings, notes):
    assert activation_curve(PLUGINS, name, settings=settings).notes == notes


def test_settings_are_parameters():
    curve = activation_curve(PLUGINS, "dlcli:leaky_relu", "activation", ["slope=0.1", "slope=0.2"])
    assert curve.name == "leaky_relu, slope = 0.2"
    assert curve.function[0] == pytest.approx(-1)
    assert curve.as_json()["facts"]["gradient"] == "1 for x > 0, else slope"


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("leaky_relu", ("slope=2",), "^--set slope: expected a number ≥ 0 and ≤ 1, got 2$"),
        ("leaky_relu", ("slop=0.2",), r"leaky_relu has no such parameter; did you mean 'slope'\?; it has slope$"),
        ("relu", ("slope=0.2",), "^--set slope: relu has no such parameter; it has none$"),
        ("elu", ("alpha=big", "beta=1"), '--set alpha: expected a number > 0, got "big"\n--set beta: .*'),
        ("rrelu", ("lower=0.9",), "^rrelu: lower must be ≤ upper, got 0.9 and 0.333333; swap them$"),
        ("relu", ("slope",), "^--set slope: expected key=value"),
        ("relu", ("a.b=1",), "^--set a.b: expected a parameter of the component itself"),
        ("mlp", (), "^'mlp' is an architecture, and only activations can be plotted, such as dlcli plugins show relu"),
    ],
)
def test_mistakes_are_told(name, settings, message):
    with pytest.raises(UsageError, match=message):
        activation_curve(PLUGINS, name, settings=settings)


def test_an_unknown_component_is_told():
    with pytest.raises(PluginError, match="did you mean 'relu'"):
        activation_curve(PLUGINS, "reluu")


def test_it_draws_nothing_from_torchs_stream():
    state = torch.get_rng_state()
    activation_curve(PLUGINS, "rrelu")
    assert torch.equal(torch.get_rng_state(), state)
