"""Losses against torch, scikit-learn and their definitions; what holds for each of them."""

import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from sklearn import metrics as sk
from sklearn.linear_model import _sgd_fast
from torch.nn import functional as F

from dlcli import Task

GENERATOR = torch.Generator().manual_seed(7)
ROWS = 40


def draw(*shape):
    return torch.randn(*shape, generator=GENERATOR, dtype=torch.float64) * 2


DATA = {
    Task.BINARY: (draw(ROWS, 1), torch.randint(2, (ROWS, 1), generator=GENERATOR)),
    Task.MULTICLASS: (draw(ROWS, 4), torch.randint(4, (ROWS,), generator=GENERATOR)),
    Task.MULTILABEL: (draw(ROWS, 3), torch.randint(2, (ROWS, 3), generator=GENERATOR)),
    Task.REGRESSION: (draw(ROWS, 2), draw(ROWS, 2)),
}
CLASSIFIERS = (Task.BINARY, Task.MULTICLASS, Task.MULTILABEL)


def scikit_learn(loss, read=lambda y: y):
    """A scikit-learn loss of one output and target, for all of them."""

    def values(z, y):
        each = [loss.py_loss(a, b) for a, b in zip(read(y).flatten().tolist(), z.flatten().tolist(), strict=True)]
        return torch.tensor(each, dtype=z.dtype).view(z.shape).mean(-1)

    return values


def signs(y):
    return 2.0 * y - 1


def pinball(z, y, q):
    each = [sk.mean_pinball_loss(a, b, alpha=q) for a, b in zip(y, z, strict=True)]
    return torch.tensor(each, dtype=z.dtype)


def crammer_singer(z, y):
    each = [sk.hinge_loss([a], b[None], labels=range(z.shape[-1])) for a, b in zip(y.tolist(), z.numpy(), strict=True)]
    return torch.tensor(each, dtype=z.dtype)


def focal(z, y, gamma, alpha=None):
    """From the paper, by probabilities."""
    if y.ndim == 1:
        p = z.softmax(-1)[torch.arange(len(y)), y]
        return -((1 - p) ** gamma) * p.log()
    sided = torch.where(y == 1, z, -z)
    side = 1.0 if alpha is None else torch.where(y == 1, alpha, 1 - alpha)
    return (-side * (-sided).sigmoid() ** gamma * sided.sigmoid().log()).mean(-1)


def entropy(z, y, **extra):
    if y.ndim == 1:
        return F.cross_entropy(z, y, reduction="none", **extra)
    return F.binary_cross_entropy_with_logits(z, y.to(z.dtype), reduction="none", **extra).mean(-1)


WW = {"multiclass": "weston_watkins"}
POSITIVE = [0.5, 2.0, 7.0]
R = Task.REGRESSION
ORACLES = [
    ("mae", {}, R, lambda z, y: F.l1_loss(z, y, reduction="none").mean(-1)),
    *(
        ("huber", {"delta": d}, R, lambda z, y, d=d: F.huber_loss(z, y, delta=d, reduction="none").mean(-1))
        for d in (0.3, 1.0, 50.0)
    ),
    *(
        ("epsilon_insensitive", {"epsilon": e}, R, scikit_learn(_sgd_fast.EpsilonInsensitive(e)))
        for e in (0.0, 0.1, 2.0)
    ),
    (
        "epsilon_insensitive",
        {"epsilon": 0.7, "squared": True},
        R,
        scikit_learn(_sgd_fast.SquaredEpsilonInsensitive(0.7)),
    ),
    *(("quantile", {"level": q}, R, lambda z, y, q=q: pinball(z, y, q)) for q in (0.05, 0.5, 0.9)),
    *(("hinge", {}, t, scikit_learn(_sgd_fast.Hinge(1.0), signs)) for t in (Task.BINARY, Task.MULTILABEL)),
    ("hinge", {}, Task.MULTICLASS, crammer_singer),
    ("hinge", WW, Task.MULTICLASS, lambda z, y: F.multi_margin_loss(z, y, reduction="none")),
    *(
        ("squared_hinge", {}, t, scikit_learn(_sgd_fast.SquaredHinge(1.0), signs))
        for t in (Task.BINARY, Task.MULTILABEL)
    ),
    ("squared_hinge", {}, Task.MULTICLASS, lambda z, y: crammer_singer(z, y) ** 2),
    ("squared_hinge", WW, Task.MULTICLASS, lambda z, y: F.multi_margin_loss(z, y, p=2, reduction="none")),
    *(("focal", {"gamma": g}, t, lambda z, y, g=g: focal(z, y, g)) for g in (0.5, 2.0, 5.0) for t in CLASSIFIERS),
    *(("focal", {"gamma": 0.0}, t, entropy) for t in CLASSIFIERS),
    *(
        ("focal", {"gamma": 2.0, "alpha": 0.25}, t, lambda z, y: focal(z, y, 2.0, 0.25))
        for t in (Task.BINARY, Task.MULTILABEL)
    ),
    (
        "binary_cross_entropy",
        {"positive_weight": POSITIVE},
        Task.MULTILABEL,
        lambda z, y: entropy(z, y, pos_weight=torch.tensor(POSITIVE)),
    ),
    (
        "cross_entropy",
        {"label_smoothing": 0.2},
        Task.MULTICLASS,
        lambda z, y: entropy(z, y, label_smoothing=0.2),
    ),
]
IDS = [f"{name}-{task}-{parameters}" for name, parameters, task, _ in ORACLES]


@pytest.mark.parametrize(("name", "parameters", "task", "oracle"), ORACLES, ids=IDS)
def test_values_are_the_oracles_on_random_rows_and_on_margins(registry, name, parameters, task, oracle):
    loss = registry.create("loss", name, **parameters)
    output, target = DATA[task]
    for scale in (1.0, 0.01, 5.0):
        values = loss.values(output * scale, target)
        torch.testing.assert_close(values, oracle(output * scale, target).double(), rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(loss.mean(output * scale, target), values.mean())
    steps = loss.values(output.view(8, 5, -1), target.view(8, 5, *target.shape[1:]))
    torch.testing.assert_close(steps, loss.values(output, target).view(8, 5))


@pytest.mark.parametrize(("name", "parameters", "task", "oracle"), ORACLES, ids=IDS)
def test_gradients_are_those_of_the_values_in_a_stack_too(registry, name, parameters, task, oracle):
    loss = registry.create("loss", name, **parameters)
    output, target = DATA[task]
    numbers = {path: torch.tensor(number, dtype=torch.float64) for path, number in loss.per_member().items()}
    for made in (loss, loss.with_per_member(numbers)):
        assert torch.autograd.gradcheck(lambda z, made=made: made.values(z, target), (output.clone().requires_grad_(),))


@pytest.mark.parametrize(("name", "parameters", "task", "oracle"), ORACLES, ids=IDS)
@pytest.mark.parametrize("size", [1e4, -1e4])
def test_far_out_values_and_gradients_are_finite_in_float32(registry, name, parameters, task, oracle, size):
    loss = registry.create("loss", name, **parameters)
    output, target = DATA[task]
    far = (output.sign() * size).float().requires_grad_()
    numbers = {path: torch.tensor(number) for path, number in loss.per_member().items()}
    for made in (loss, loss.with_per_member(numbers)):
        values = made.values(far, target.float() if task is R else target)
        (gradient,) = torch.autograd.grad(values.sum(), far)
        assert values.isfinite().all()
        assert (values >= 0).all()
        assert gradient.isfinite().all()


@pytest.mark.parametrize("alpha", [None, 0.25])
def test_focal_keeps_its_digits_where_an_answer_is_almost_sure(registry, alpha):
    output = torch.tensor([[30.0]], dtype=torch.float64)
    loss = registry.create("loss", "focal", gamma=1.0, alpha=alpha)
    expected = math.exp(-60) * (alpha or 1.0)
    assert loss.values(output, torch.ones(1, 1)).item() == pytest.approx(expected, rel=1e-9)
    if alpha is None:
        pair = torch.cat([torch.zeros(1, 1), output], 1)
        assert loss.values(pair, torch.tensor([1])).item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", ["mae", "mse", "huber", "epsilon_insensitive", "quantile"])
def test_targets_are_not_broadcast(registry, name):
    loss = registry.create("loss", name)
    with pytest.raises(
        ValueError, match=rf"{name} needs a target of the output's shape \(7, 1\), got \(7,\); a single"
    ):
        loss.mean(torch.zeros(7, 1), torch.zeros(7))


def test_the_quantile_is_what_makes_its_loss_smallest(registry):
    target = draw(500)
    losses = [registry.create("loss", "quantile", level=q) for q in (0.1, 0.8)]
    for loss in losses:
        costs = [loss.mean(torch.full((500, 1), y, dtype=torch.float64), target[:, None]) for y in target.tolist()]
        best = target[int(torch.stack(costs).argmin())].item()
        assert best == pytest.approx(np.quantile(target.numpy(), loss.level), abs=0.05)


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("huber", {"delta": 0.0}, "greater than 0"),
        ("epsilon_insensitive", {"epsilon": -0.1}, "greater than or equal to 0"),
        ("quantile", {"level": 0.0}, "greater than 0"),
        ("quantile", {"level": 1.0}, "less than 1"),
        ("focal", {"gamma": -1.0}, "greater than or equal to 0"),
        ("focal", {"alpha": 1.5}, "less than or equal to 1"),
        ("hinge", {"multiclass": "one_vs_rest"}, "'crammer_singer' or 'weston_watkins'"),
        ("cross_entropy", {"class_weights": [1.0, -1.0]}, "greater than or equal to 0"),
        ("binary_cross_entropy", {"positive_weight": [0.0]}, "greater than 0"),
    ],
)
def test_ranges(registry, name, parameters, message):
    with pytest.raises(ValidationError, match=message):
        registry.create("loss", name, **parameters)
