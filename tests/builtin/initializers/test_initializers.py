import math

import pytest
import torch
from pydantic import ValidationError
from torch import nn

SHAPES = [(12, 16), (16, 12), (1, 8), (6, 4, 3), (5, 3, 3, 2)]
LINEAR = "linear"


def stream(seed=7):
    return torch.Generator().manual_seed(seed)


def filled(initializer, shape, seed=7):
    weight = torch.full(shape, torch.nan)
    initializer.fill(weight, stream(seed))
    return weight


def lecun(draw):
    """A gain of 1 over the inputs: what kaiming is without a nonlinearity behind it."""
    return lambda w, g: draw(w, mode="fan_in", nonlinearity=LINEAR, generator=g)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("name", "parameters", "oracle"),
    [
        ("kaiming_normal", {}, lambda w, g: nn.init.kaiming_normal_(w, nonlinearity="relu", generator=g)),
        ("kaiming_uniform", {}, lambda w, g: nn.init.kaiming_uniform_(w, nonlinearity="relu", generator=g)),
        (
            "kaiming_normal",
            {"mode": "fan_out", "gain": 5 / 3},
            lambda w, g: nn.init.kaiming_normal_(w, mode="fan_out", nonlinearity="tanh", generator=g),
        ),
        ("xavier_normal", {}, lambda w, g: nn.init.xavier_normal_(w, generator=g)),
        ("xavier_uniform", {}, lambda w, g: nn.init.xavier_uniform_(w, generator=g)),
        ("xavier_uniform", {"gain": 3.0}, lambda w, g: nn.init.xavier_uniform_(w, 3.0, generator=g)),
        ("lecun_normal", {}, lecun(nn.init.kaiming_normal_)),
        ("lecun_uniform", {}, lecun(nn.init.kaiming_uniform_)),
        ("orthogonal", {}, lambda w, g: nn.init.orthogonal_(w, generator=g)),
        ("orthogonal", {"gain": 2.0}, lambda w, g: nn.init.orthogonal_(w, 2.0, generator=g)),
        ("normal", {}, lambda w, g: nn.init.normal_(w, std=0.02, generator=g)),
        ("auto", {}, lambda w, g: nn.init.xavier_uniform_(w, generator=g)),
    ],
)
def test_weights_are_torchs(registry, name, parameters, oracle, shape):
    weight = filled(registry.create("initializer", name, **parameters), shape)
    torch.testing.assert_close(weight, oracle(torch.empty(shape), stream()))
    assert not torch.equal(weight, filled(registry.create("initializer", name, **parameters), shape, seed=8))


@pytest.mark.parametrize("kind", ["normal", "uniform"])
def test_kaiming_keeps_the_size_of_signals_where_xavier_loses_it(registry, kind):
    """Through twenty layers of relu: He et al. 2015, the claim that names it."""
    sizes = {}
    for name in (f"kaiming_{kind}", f"xavier_{kind}"):
        x = torch.randn(200, 256, generator=stream(1))
        for layer in range(20):
            x = torch.relu(x @ filled(registry.create("initializer", name, gain=None), (256, 256), layer).T)
        sizes[name] = float(x.square().mean())
    assert 0.3 < sizes[f"kaiming_{kind}"] < 3
    assert sizes[f"xavier_{kind}"] < 1e-5


def test_selu_keeps_mean_and_variance_with_what_auto_gives_it(registry):
    selu = registry.create("activation", "selu")
    initializer = registry.create("initializer", "auto").suited(selu)
    assert initializer.name == "lecun_normal"
    x = torch.randn(200, 256, generator=stream(1))
    for layer in range(20):
        x = selu.build(256)(x @ filled(initializer, (256, 256), layer).T)
    assert float(x.mean()) == pytest.approx(0, abs=0.1)
    assert float(x.var()) == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize(
    ("activation", "parameters", "expected"),
    [
        ("relu", {}, {"name": "dlcli:kaiming_normal", "gain": math.sqrt(2), "mode": "fan_in"}),
        ("leaky_relu", {"slope": 0.5}, {"name": "dlcli:kaiming_normal", "gain": math.sqrt(1.6), "mode": "fan_in"}),
        ("tanh", {}, {"name": "dlcli:xavier_uniform", "gain": 5 / 3}),
        ("sigmoid", {}, {"name": "dlcli:xavier_uniform", "gain": 1.0}),
        ("selu", {}, {"name": "dlcli:lecun_normal"}),
    ],
)
def test_auto_is_what_the_activation_names(registry, activation, parameters, expected):
    activation = registry.create("activation", activation, **parameters)
    suited = registry.create("initializer", "auto").suited(activation)
    assert registry.dump(suited) == pytest.approx(expected)


def test_auto_refuses_a_name_that_it_does_not_know(registry):
    class Odd(type(registry.create("activation", "relu"))):
        initialization = "dirac"

    with pytest.raises(ValueError, match="relu names 'dirac' as its initialization; allowed are kaiming_normal, .*"):
        registry.create("initializer", "auto").suited(Odd())


@pytest.mark.parametrize("name", ["kaiming_normal", "kaiming_uniform", "xavier_normal", "xavier_uniform", "orthogonal"])
def test_a_gain_of_its_own_wins(registry, name):
    tanh = registry.create("activation", "tanh")
    assert registry.create("initializer", name).suited(tanh).gain == 5 / 3
    assert registry.create("initializer", name, gain=2.0).suited(tanh).gain == 2


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("normal", {"std": 0.0}), ("orthogonal", {"gain": -1.0}), ("kaiming_normal", {"gain": 0.0})],
)
def test_ranges(registry, name, parameters):
    with pytest.raises(ValidationError, match="greater than 0"):
        registry.create("initializer", name, **parameters)
