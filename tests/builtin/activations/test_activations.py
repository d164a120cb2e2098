import pytest
import torch
from pydantic import ValidationError
from torch.nn import functional as F

ORACLES = [
    ("relu", {}, F.relu),
    ("leaky_relu", {}, lambda x: torch.where(x > 0, x, 0.01 * x)),
    ("leaky_relu", {"slope": 0.3}, lambda x: torch.maximum(x, 0.3 * x)),
    ("tanh", {}, torch.tanh),
    ("sigmoid", {}, lambda x: 1 / (1 + torch.exp(-x))),
]


@pytest.mark.parametrize("shape", [(3, 5), (2, 5, 4, 4), (1, 5)])
@pytest.mark.parametrize(("name", "parameters", "oracle"), ORACLES)
def test_values_and_dtype(registry, name, parameters, oracle, shape):
    module = registry.create("activation", name, **parameters).build(5)
    for dtype in (torch.float32, torch.float64):
        x = torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(0)) * 3
        y = module(x)
        assert y.dtype == dtype
        torch.testing.assert_close(y, oracle(x))


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "tanh", "sigmoid"])
def test_facts_are_true(registry, name):
    activation = registry.create("activation", name)
    assert activation.input_multiple == 1
    module = activation.build(1)
    x = torch.linspace(-20, 20, 4001, dtype=torch.float64, requires_grad=True)
    y = module(x)
    (slopes,) = torch.autograd.grad(y.sum(), x)
    low, high = (float(edge) for edge in activation.output_range.strip("[]()").split(","))
    assert y.min() >= low
    assert y.max() <= high
    assert activation.zero_centred == (y.mean().abs() < 1e-9)
    vanishing = bool((slopes < 1e-3).any())
    assert (activation.saturates == "nowhere") is not vanishing
    for x_value, bound in {"tanh": [(3.0, 0.01)], "sigmoid": [(4.6, 0.01)]}.get(name, []):
        assert slopes[x.abs() > x_value].max() < bound
        assert slopes[x.abs() < x_value - 0.1].min() > bound


def test_leaky_relu_names_its_range(registry):
    with pytest.raises(ValidationError, match="less than or equal to 1"):
        registry.create("activation", "leaky_relu", slope=1.5)
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        registry.create("activation", "leaky_relu", slope=-0.1)
