"""Penalties on weights and activations, against closed forms, scikit-learn and autograd."""

import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from sklearn.linear_model import ElasticNet, Lasso

PENALTIES = {
    "l1": ({"strength": 0.3}, lambda w: 0.3 * w.abs().sum()),
    "elastic_net": (
        {"strength": 0.3, "l1_share": 0.25},
        lambda w: 0.3 * (0.25 * w.abs().sum() + 0.375 * w.square().sum()),
    ),
    "orthogonal": (
        {"strength": 0.3},
        lambda w: 0.3 * (torch.linalg.svdvals(w.flatten(1)).square() - 1).square().sum(),
    ),
}
SHAPES = {"wide": (3, 7), "tall": (7, 3), "convolution": (4, 2, 3, 3)}


def weights(scale=1.0):
    generator = torch.Generator().manual_seed(0)
    return {name: scale * torch.randn(s, generator=generator, dtype=torch.float64) for name, s in SHAPES.items()}


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("name", PENALTIES)
def test_closed_form_and_gradient(registry, name, scale):
    fields, expected = PENALTIES[name]
    component, given = registry.create("regularizer", name, **fields), weights(scale)
    penalty = component.penalty(given, {})
    torch.testing.assert_close(penalty, sum(expected(weight) for weight in given.values()), rtol=1e-9, atol=1e-12)
    leaves = [weight.requires_grad_() for weight in weights().values()]
    assert torch.autograd.gradcheck(lambda *w: component.penalty(dict(zip(SHAPES, w, strict=True)), {}), leaves)


@pytest.mark.parametrize("name", PENALTIES)
def test_strength_zero_and_nothing_selected_are_nothing(registry, name):
    given = {key: weight.requires_grad_() for key, weight in weights().items()}
    penalty = registry.create("regularizer", name, strength=0.0).penalty(given, {})
    assert penalty == 0
    assert not any(gradient.any() for gradient in torch.autograd.grad(penalty, list(given.values())))
    assert registry.create("regularizer", name).penalty({}, {}) == 0
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        registry.create("regularizer", name, strength=-1.0)


def test_the_shares_of_an_elastic_net_are_l1_and_l2(registry):
    for share, name in ((0.0, "l2"), (1.0, "l1")):
        net = registry.create("regularizer", "elastic_net", strength=0.2, l1_share=share)
        other = registry.create("regularizer", name, strength=0.2)
        torch.testing.assert_close(net.penalty(weights(), {}), other.penalty(weights(), {}))


@pytest.mark.parametrize(
    ("name", "fields", "model"),
    [
        ("l1", {"strength": 0.1}, Lasso(alpha=0.1, tol=1e-12, fit_intercept=False)),
        (
            "elastic_net",
            {"strength": 0.1, "l1_share": 0.3},
            ElasticNet(alpha=0.1, l1_ratio=0.3, tol=1e-12, fit_intercept=False),
        ),
    ],
)
def test_scikit_learns_solution_is_where_gradients_vanish(registry, name, fields, model):
    random = np.random.default_rng(0)
    x = random.normal(size=(80, 6))
    y = x @ np.array([2.0, 0, 0, -1, 0, 0.5]) + 0.1 * random.normal(size=80)
    solution = torch.tensor(model.fit(x, y).coef_)
    assert (solution == 0).any()
    weight = solution.clone().requires_grad_()
    penalty = registry.create("regularizer", name, **fields).penalty({"w": weight}, {})
    loss = (torch.tensor(x) @ weight - torch.tensor(y)).square().mean() / 2
    (gradient,) = torch.autograd.grad(loss + penalty, weight)
    assert gradient[solution != 0].abs().max() < 1e-8


def test_orthogonal_matrices_cost_nothing_and_biases_have_no_part(registry):
    component = registry.create("regularizer", "orthogonal", strength=1.0)
    tall = torch.nn.init.orthogonal_(torch.empty(7, 3, dtype=torch.float64))
    kernels = torch.nn.init.orthogonal_(torch.empty(4, 2, 3, 3, dtype=torch.float64))
    assert component.penalty({"a": tall, "b": tall.T, "c": kernels, "bias": torch.randn(5)}, {}) < 1e-20
    assert component.penalty({"bias": torch.randn(5)}, {}) == 0


def test_activity_is_summed_over_a_rows_units(registry):
    component = registry.create("regularizer", "activity_l1", strength=0.5)
    seen = {"a.activation": torch.tensor([[1.0, -2.0], [0.0, 3.0]]), "b.activation": torch.ones(2, 2, 2, 2)}
    torch.testing.assert_close(component.activity(seen), torch.tensor([0.5 * (3 + 8), 0.5 * (3 + 8)]))
    assert not registry.create("regularizer", "activity_l1", strength=0.0).activity(seen).any()


@pytest.mark.parametrize("limit", [0.1, 1.0, 3.0, 1e6])
@pytest.mark.parametrize("shape", [(5, 7), (4, 3, 3, 3), (6, 1)])
def test_max_norm_is_torchs_renorm(registry, shape, limit):
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    weight[0] = 0
    project = registry.create("regularizer", "max_norm", max_norm=limit).project
    moved = project({"w": weight})["w"]
    torch.testing.assert_close(moved, torch.renorm(weight, 2, 0, limit), rtol=1e-6, atol=0)
    short = weight.flatten(1).norm(dim=1) <= limit
    assert torch.equal(moved[short], weight[short])
    assert moved.flatten(1).norm(dim=1).max() <= limit * (1 + 1e-12)


def test_max_norm_takes_huge_tiny_and_one_dimensional_parameters(registry):
    project = registry.create("regularizer", "max_norm", max_norm=2.0).project
    given = {"w": torch.tensor([[1e18, 0.0], [1e-40, 0.0]]), "bias": torch.tensor([3.0, -1.0, -5.0])}
    moved = project(given)
    torch.testing.assert_close(moved["w"], torch.tensor([[2.0, 0.0], [1e-40, 0.0]]))
    torch.testing.assert_close(moved["bias"], torch.tensor([2.0, -1.0, -2.0]))
    assert math.isnan(project({"w": torch.tensor([[math.nan, 1.0]])})["w"][0, 0])
    with pytest.raises(ValidationError, match="greater than 0"):
        registry.create("regularizer", "max_norm", max_norm=0.0)
