"""The loss gaussian_nll against torch's, its own unit, and its floor."""

import math

import pytest
import torch
from pydantic import ValidationError
from torch.nn import functional as F

GENERATOR = torch.Generator().manual_seed(3)
OUTPUT = torch.randn(40, 6, generator=GENERATOR, dtype=torch.float64) * 3
TARGET = torch.randn(40, 3, generator=GENERATOR, dtype=torch.float64) * 3


def torchs(output, target, epsilon):
    mean, logarithm = output[..., :3], output[..., 3:]
    return F.gaussian_nll_loss(mean, target, logarithm.exp(), eps=epsilon, reduction="none").mean(-1)


@pytest.mark.parametrize("epsilon", [1e-6, 0.5, 20.0])
def test_values_are_torchs_below_the_floor_too_and_per_position(registry, epsilon):
    loss = registry.create("loss", "gaussian_nll", epsilon=epsilon)
    values = loss.values(OUTPUT, TARGET)
    torch.testing.assert_close(values, torchs(OUTPUT, TARGET, epsilon), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(loss.values(OUTPUT.view(8, 5, 6), TARGET.view(8, 5, 3)), values.view(8, 5))
    assert bool((OUTPUT[:, 3:].exp() < 0.5).any())


def test_gradients_above_the_floor_are_those_of_the_values(registry):
    loss = registry.create("loss", "gaussian_nll")
    assert torch.autograd.gradcheck(lambda z: loss.values(z, TARGET), (OUTPUT.clone().requires_grad_(),))


def test_a_variance_below_the_floor_grows_where_the_answer_is_far_off_and_does_not_where_it_is_right(registry):
    loss = registry.create("loss", "gaussian_nll", epsilon=0.01)
    output = torch.tensor([[0.0, -9.0], [0.0, -9.0]], requires_grad=True)
    (gradient,) = torch.autograd.grad(loss.values(output, torch.tensor([[1.0], [0.0]])).sum(), output)
    torch.testing.assert_close(gradient[:, 1], torch.tensor([0.5 - 0.5 / 0.01, 0.5]))


@pytest.mark.parametrize("size", [1e4, -1e4, 1e8, -1e8])
def test_far_out_values_and_gradients_are_finite_in_float32(registry, size):
    far = (OUTPUT.sign() * size).float().requires_grad_()
    values = registry.create("loss", "gaussian_nll").values(far, TARGET.float())
    (gradient,) = torch.autograd.grad(values.sum(), far)
    assert values.isfinite().all()
    assert gradient.isfinite().all()


def test_of_a_sample_the_best_constant_answer_is_its_mean_and_standard_deviation(registry):
    loss = registry.create("loss", "gaussian_nll")
    target = TARGET[:, :1]
    output = torch.zeros(1, 2, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([output], max_iter=200, line_search_fn="strong_wolfe", tolerance_change=1e-14)

    def closure():
        optimizer.zero_grad()
        value = loss.mean(output.expand(40, 2), target)
        value.backward()
        return value

    optimizer.step(closure)
    assert loss.prediction(output).item() == pytest.approx(target.mean().item(), rel=1e-5)
    assert loss.spread(output).item() == pytest.approx(target.std(correction=0).item(), rel=1e-5)


def test_in_own_units_it_costs_the_logarithm_of_the_scale_more(registry):
    loss = registry.create("loss", "gaussian_nll")
    offset, scale = torch.tensor([5.0, -2.0, 300.0]).double(), torch.tensor([0.1, 3.0, 70.0]).double()
    added, factor = loss.own_units(offset, scale)
    own = loss.values(OUTPUT * factor + added, TARGET * scale + offset)
    torch.testing.assert_close(own, loss.values(OUTPUT, TARGET) + scale.log().mean())


def test_spread_has_the_floor(registry):
    output = torch.tensor([[1.0, -50.0], [2.0, math.log(9.0)]])
    spread = registry.create("loss", "gaussian_nll", epsilon=0.04).spread(output)
    torch.testing.assert_close(spread, torch.tensor([[0.2], [3.0]]))


def test_outputs_of_another_width_are_refused(registry):
    loss = registry.create("loss", "gaussian_nll")
    with pytest.raises(
        ValueError, match=r"two outputs a target, \(7, 2\) for a target of shape \(7, 1\), got \(7, 1\)"
    ):
        loss.values(torch.zeros(7, 1), torch.zeros(7, 1))
    with pytest.raises(ValueError, match=r"two outputs a target, \(14,\) for a target of shape \(7,\), got \(7, 2\)"):
        loss.values(torch.zeros(7, 2), torch.zeros(7))


def test_range(registry):
    with pytest.raises(ValidationError, match="greater than 0"):
        registry.create("loss", "gaussian_nll", epsilon=0.0)
