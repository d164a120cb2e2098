import math
import re

import pytest
import torch
from pydantic import ValidationError
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F

from dlcli import AffineBlock, select_parameters
from dlcli.plugins import load_plugins

ELEMENTWISE = [
    ("elu", {}, F.elu),
    ("elu", {"alpha": 0.5}, lambda x: F.elu(x, 0.5)),
    ("gelu", {}, F.gelu),
    ("gelu", {"approximation": "tanh"}, lambda x: F.gelu(x, approximate="tanh")),
    ("hard_sigmoid", {}, F.hardsigmoid),
    ("hard_swish", {}, F.hardswish),
    ("identity", {}, lambda x: x),
    ("leaky_relu", {}, F.leaky_relu),
    ("leaky_relu", {"slope": 0.3}, lambda x: F.leaky_relu(x, 0.3)),
    ("mish", {}, F.mish),
    ("prelu", {}, lambda x: F.prelu(x, x.new_tensor([0.25]))),
    ("prelu", {"slope": -0.5, "slopes": "feature"}, lambda x: F.prelu(x, x.new_tensor([-0.5]))),
    ("relu", {}, F.relu),
    ("rrelu", {}, F.rrelu),
    ("rrelu", {"lower": 0.2, "upper": 0.2}, lambda x: F.rrelu(x, 0.2, 0.2)),
    ("selu", {}, F.selu),
    ("sigmoid", {}, torch.sigmoid),
    ("sigmoid", {"beta": 3.0}, lambda x: torch.sigmoid(3 * x)),
    ("softplus", {}, F.softplus),
    ("softplus", {"beta": 4.0, "threshold": 8.0}, lambda x: F.softplus(x, 4.0, 8.0)),
    ("swish", {}, F.silu),
    ("swish", {"beta": 2.5}, lambda x: F.silu(2.5 * x) / 2.5),
    ("swish", {"beta": 0.5, "learned": True}, lambda x: F.silu(0.5 * x) / 0.5),
    ("tanh", {}, torch.tanh),
]
OVER_FEATURES = [
    ("glu", {}, lambda x, dim: F.glu(x, dim)),
    ("maxout", {}, lambda x, dim: torch.maximum(*x.chunk(2, dim))),
    ("maxout", {"pieces": 3}, lambda x, dim: torch.stack(x.chunk(3, dim)).amax(0)),
    ("softmax", {}, F.softmax),
]
LAYOUTS = [((3, 5), 1), ((2, 5, 4, 4), 1), ((1, 5), 1), ((2, 7, 5), -1)]
Z = torch.linspace(-12, 12, 240_001, dtype=torch.float64)
NORMAL = torch.exp(-Z.square() / 2) / math.sqrt(2 * math.pi)


def expectation(values):
    return float(torch.trapezoid(values * NORMAL, Z))


def numbers(shape, dtype=torch.float64):
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(0)) * 3


def test_all_are_tested():
    named = {name for name, *_ in (*ELEMENTWISE, *OVER_FEATURES)}
    assert named == {entry.name for entry in load_plugins(third_parties=False).registry.entries("activation")}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("shape", "feature_dim"), LAYOUTS)
@pytest.mark.parametrize(("name", "parameters", "oracle"), ELEMENTWISE)
def test_elements_are_torchs(registry, name, parameters, oracle, shape, feature_dim, dtype):
    activation = registry.create("activation", name, **parameters)
    assert activation.input_multiple == 1
    module = activation.build(5, feature_dim).eval().to(dtype)
    for x in (numbers(shape, dtype), numbers(shape, dtype) * 100):
        torch.testing.assert_close(module(x), oracle(x))


@pytest.mark.parametrize(("shape", "feature_dim"), LAYOUTS)
@pytest.mark.parametrize(("name", "parameters", "oracle"), OVER_FEATURES)
def test_feature_dim_is_respected(registry, name, parameters, oracle, shape, feature_dim):
    activation = registry.create("activation", name, **parameters)
    wide = list(shape)
    wide[feature_dim] *= activation.input_multiple
    for x in (numbers(wide), numbers(wide) * 100):
        y = activation.build(5, feature_dim)(x)
        assert y.shape == shape
        torch.testing.assert_close(y, oracle(x, feature_dim))


@pytest.mark.parametrize(("shape", "feature_dim"), LAYOUTS)
def test_prelu_has_a_slope_for_each_feature(registry, shape, feature_dim):
    module = registry.create("activation", "prelu", slopes="feature").build(5, feature_dim).double()
    slopes = torch.arange(5.0, dtype=torch.float64)
    module.load_state_dict({"weight": slopes})
    x = numbers(shape)
    along = [1] * x.ndim
    along[feature_dim] = 5
    torch.testing.assert_close(module(x), torch.where(x > 0, x, x * slopes.view(along)))


@pytest.mark.parametrize(("name", "parameters", "_"), [*ELEMENTWISE, *OVER_FEATURES])
def test_gradients_are_those_of_finite_differences(registry, name, parameters, _):
    activation = registry.create("activation", name, **parameters)
    module = activation.build(5).double().eval()
    learned = dict(module.named_parameters())

    def call(x, *values):
        return functional_call(module, dict(zip(learned, values, strict=True)), (x,))

    x = numbers((3, 5 * activation.input_multiple)).requires_grad_()
    assert torch.autograd.gradcheck(call, (x, *learned.values()))


def evaluated(text, names):
    """Return the value of a formula as the pages show it: `A for CONDITION, else B`."""
    value, pieces, rest = text.partition(" for ")
    if pieces:
        condition, _, other = rest.partition(", else ")
        return torch.where(*(evaluated(part, names) for part in (condition, value, other)))
    names = {
        **names,
        "exp": torch.exp,
        "log": torch.log,
        "tanh": torch.tanh,
        "sigmoid": torch.sigmoid,
        "softplus": F.softplus,
        "max": lambda a, b: torch.maximum(torch.as_tensor(a), torch.as_tensor(b)),
        "min": lambda a, b: torch.minimum(torch.as_tensor(a), torch.as_tensor(b)),
        "normal_cdf": torch.special.ndtr,
        "normal_pdf": lambda x: torch.exp(-(x**2) / 2) / math.sqrt(2 * math.pi),
    }
    return torch.as_tensor(eval(text.replace("^", "**"), names))


@pytest.mark.parametrize(("name", "parameters", "oracle"), ELEMENTWISE)
def test_formula_and_gradient_are_what_is_computed(registry, name, parameters, oracle):
    activation = registry.create("activation", name, **parameters)
    x = (torch.linspace(-8, 8, 1601, dtype=torch.float64) + 0.003).requires_grad_()
    y = activation.build(1).double().eval()(x.unsqueeze(1)).squeeze(1)
    (slopes,) = torch.autograd.grad(y.sum(), x)
    names = {**dict(activation), "x": x.detach()}
    if name == "rrelu":
        names["slope"] = (activation.lower + activation.upper) / 2
    tolerance = 2e-3 if "approximation" in parameters else 1e-4 if name == "selu" else 1e-6
    for text, values in ((activation.formula, y.detach()), (activation.gradient, slopes)):
        found = evaluated(text, names).double().expand_as(values)
        torch.testing.assert_close(found, values, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("name", "parameters", "oracle"), ELEMENTWISE)
def test_the_range_is_held_and_reached(registry, name, parameters, oracle):
    activation = registry.create("activation", name, **parameters)
    bounds = activation.output_range
    if name == "prelu" and activation.slope < 0:
        return  # the text is that of the default
    names = {**dict(activation), "inf": math.inf}
    low, high = (float(eval(edge, names)) for edge in bounds.strip("[]()").split(","))
    x = torch.linspace(-60, 60, 120_001, dtype=torch.float64)
    y = activation.build(1).double().eval()(x.unsqueeze(1)).squeeze(1).detach()
    assert low <= y.min() < max(low + 1e-3, -0.5)
    assert high >= y.max() > min(high - 1e-3, 5)


@pytest.mark.parametrize(("name", "parameters"), [(name, parameters) for name, parameters, _ in ELEMENTWISE])
def test_it_saturates_where_it_says(registry, name, parameters):
    activation = registry.create("activation", name, **parameters)
    x = torch.linspace(-20, 20, 4001, dtype=torch.float64, requires_grad=True)
    y = activation.build(1).double().eval()(x.unsqueeze(1))
    (slopes,) = torch.autograd.grad(y.sum(), x)
    bound = re.search("below ([^ ]+(?: [*] [a-z]+)?)", activation.saturates)
    small = slopes.abs() < (eval(bound[1], dict(activation)) if bound else 0.01)
    if activation.saturates.startswith("nowhere"):
        assert not small.any()
        return
    condition = activation.saturates.rpartition(" for ")[2].partition(":")[0].replace("|x|", "abs(x)")
    told = eval(condition, {**dict(activation), "x": x.detach()})
    assert told.any()
    assert small[told].all()
    near = torch.nn.functional.max_pool1d(told[None].double(), 31, 1, 15)[0].bool() & ~told
    assert not small[near].all()
    if "dies" in activation.saturates:
        assert (slopes[told] == 0).all()


@pytest.mark.parametrize(("name", "parameters", "oracle"), ELEMENTWISE)
def test_zero_centred_is_the_mean_over_normal_numbers(registry, name, parameters, oracle):
    mean = expectation(oracle(Z))
    assert registry.create("activation", name, **parameters).zero_centred == (abs(mean) < 1e-6)


def second_moment(name, activation, oracle):
    if name == "maxout":
        k = activation.pieces
        return expectation(Z.square() * k * torch.special.ndtr(Z) ** (k - 1))
    if name == "glu":
        return expectation(torch.sigmoid(Z).square())
    if name == "rrelu":
        draws = torch.linspace(activation.lower, activation.upper, 2001, dtype=torch.float64)
        return 0.5 + 0.5 * float(torch.trapezoid(draws.square(), dx=1 / 2000))
    return expectation(oracle(Z).square())


KNOWN = {"relu": None, "leaky_relu": "slope", "tanh": None, "sigmoid": None, "selu": None}


@pytest.mark.parametrize(("name", "parameters", "oracle"), [*ELEMENTWISE, *OVER_FEATURES])
def test_the_gain_is_torchs_or_by_the_second_moment(registry, name, parameters, oracle):
    activation = registry.create("activation", name, **parameters)
    if name in KNOWN:
        parameter = KNOWN[name] and getattr(activation, KNOWN[name])
        assert activation.gain == pytest.approx(nn.init.calculate_gain(name, parameter))
    elif name == "softmax":
        assert activation.gain == 1
    else:
        expected = 1 / math.sqrt(second_moment(name, activation, oracle))
        assert activation.gain == pytest.approx(expected, rel=1e-4)


def test_what_suits_the_weights(registry):
    suits = {name: registry.create("activation", name).initialization for name, *_ in (*ELEMENTWISE, *OVER_FEATURES)}
    assert {name for name, initializer in suits.items() if initializer == "xavier_uniform"} == {
        *("glu", "hard_sigmoid", "identity", "sigmoid", "softmax", "softplus", "tanh"),
    }
    assert suits["selu"] == "lecun_normal"
    assert suits["relu"] == suits["maxout"] == suits["gelu"] == "kaiming_normal"


def test_rrelu_draws_a_slope_for_every_element(registry):
    module = registry.create("activation", "rrelu", lower=0.1, upper=0.5).build(1)
    torch.manual_seed(0)
    slopes = -module(torch.full((200_000, 1), -1.0))
    assert slopes.min() >= 0.1
    assert slopes.max() <= 0.5
    # A uniform distribution's mean, variance and quarters, each to four of its standard errors.
    assert slopes.mean().item() == pytest.approx(0.3, abs=4 * 0.4 / math.sqrt(12 * 200_000))
    assert slopes.var().item() == pytest.approx(0.16 / 12, rel=0.01)
    quarters = torch.histc(slopes, 4, 0.1, 0.5) / 200_000
    assert quarters.tolist() == pytest.approx([0.25] * 4, abs=0.005)
    torch.testing.assert_close(module(torch.full((3, 1), 2.0)), torch.full((3, 1), 2.0))
    assert not torch.equal(module(-torch.ones(9, 1)), module(-torch.ones(9, 1)))


@pytest.mark.parametrize(("name", "parameters", "oracle"), [*ELEMENTWISE, *OVER_FEATURES])
def test_regularizers_see_its_output_and_leave_its_parameters_alone(registry, name, parameters, oracle):
    block = AffineBlock(
        lambda wide, bias: nn.Linear(4, wide, bias),
        5,
        normalization=registry.create("normalization", "none"),
        activation=registry.create("activation", name, **parameters),
    )
    seen = []
    block.get_submodule("activation").register_forward_hook(lambda module, args, output: seen.append(output))
    block(numbers((3, 4), torch.float32))
    assert [output.shape for output in seen] == [(3, 5)]
    assert select_parameters(block, "weights") == ("affine.weight",)


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("elu", {"alpha": 0.0}, "greater than 0"),
        ("gelu", {"approximation": "erf"}, "'none' or 'tanh'"),
        ("leaky_relu", {"slope": 1.5}, "less than or equal to 1"),
        ("leaky_relu", {"slope": -0.1}, "greater than or equal to 0"),
        ("maxout", {"pieces": 1}, "greater than or equal to 2"),
        ("prelu", {"slopes": "each"}, "'one' or 'feature'"),
        ("rrelu", {"lower": 0.5}, "lower must be ≤ upper, got 0.5 and 0.333333; swap them"),
        ("sigmoid", {"beta": -1.0}, "greater than 0"),
        ("softplus", {"threshold": -1.0}, "greater than or equal to 0"),
        ("swish", {"beta": 0.0}, "greater than 0"),
    ],
)
def test_ranges(registry, name, parameters, message):
    with pytest.raises(ValidationError, match=message):
        registry.create("activation", name, **parameters)
