import math

import pytest
import torch
from pydantic import ValidationError
from torch.nn import functional as F

from dlcli import CLASSIFICATION, REGRESSION, Task

GENERATOR = torch.Generator().manual_seed(1)
LOGITS = torch.randn(7, 4, generator=GENERATOR) * 2
CLASSES = torch.randint(4, (7,), generator=GENERATOR)
LABELS = torch.randint(2, (7, 4), generator=GENERATOR)
VALUES = torch.randn(7, 4, generator=GENERATOR)

CASES = [
    ("cross_entropy", {}, LOGITS, CLASSES),
    ("cross_entropy", {"label_smoothing": 0.2}, LOGITS, CLASSES),
    ("binary_cross_entropy", {}, LOGITS, LABELS),
    ("binary_cross_entropy", {}, LOGITS[:, :1], LABELS[:, :1]),
    ("mse", {}, LOGITS, VALUES),
    ("mse", {}, LOGITS[:, :1], VALUES[:, :1]),
]


def by_hand(name: str, parameters: dict[str, float], output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """The losses from their definitions, in float64, without torch.nn.functional."""
    z = output.double()
    if name == "cross_entropy":
        smoothing = parameters.get("label_smoothing", 0.0)
        wanted = torch.full_like(z, smoothing / z.shape[-1])
        wanted[torch.arange(len(z)), target] += 1 - smoothing
        return -(wanted * (z - z.exp().sum(-1, keepdim=True).log())).sum(-1)
    if name == "binary_cross_entropy":
        p = 1 / (1 + (-z).exp())
        return -(target * p.log() + (1 - target) * (1 - p).log()).mean(-1)
    return (z - target.double()).pow(2).mean(-1)


@pytest.mark.parametrize(("name", "parameters", "output", "target"), CASES)
def test_values_are_their_definition_and_mean_is_their_mean(registry, name, parameters, output, target):
    loss = registry.create("loss", name, **parameters)
    values = loss.values(output, target)
    assert values.shape == (7,)
    torch.testing.assert_close(values.double(), by_hand(name, parameters, output, target), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(loss.mean(output, target), values.mean())
    assert loss.weights(target) is None


@pytest.mark.parametrize(("name", "parameters", "output", "target"), CASES)
def test_positions_are_samples(registry, name, parameters, output, target):
    loss = registry.create("loss", name, **parameters)
    sequences = torch.stack([output, output.flip(0)]), torch.stack([target, target.flip(0)])
    values = loss.values(*sequences)
    assert values.shape == (2, 7)
    torch.testing.assert_close(values[0], loss.values(output, target))
    torch.testing.assert_close(values[1], loss.values(output, target).flip(0))
    torch.testing.assert_close(loss.mean(*sequences), values.mean())


@pytest.mark.parametrize(("name", "parameters", "output", "target"), CASES)
@pytest.mark.parametrize("method", ["values", "mean"])
def test_stacks_under_vmap_with_gradients(registry, name, parameters, output, target, method):
    function = getattr(registry.create("loss", name, **parameters), method)
    outputs, targets = torch.stack([output, output * 2 - 1]), torch.stack([target, target.flip(0)])
    stacked = torch.vmap(function)(outputs, targets)
    torch.testing.assert_close(stacked, torch.stack([function(o, t) for o, t in zip(outputs, targets, strict=True)]))

    def total(output, target):
        return function(output, target).sum()

    gradients = torch.vmap(torch.func.grad(total))(outputs, targets)
    assert gradients.isfinite().all()
    assert (gradients != 0).any()


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int64, torch.bool])
def test_targets_of_any_integer_type(registry, dtype):
    labels = LABELS.to(dtype)
    loss = registry.create("loss", "binary_cross_entropy")
    torch.testing.assert_close(loss.values(LOGITS, labels), loss.values(LOGITS, LABELS.float()))
    if dtype is not torch.bool:
        loss = registry.create("loss", "cross_entropy")
        torch.testing.assert_close(loss.values(LOGITS, CLASSES.to(dtype)), loss.values(LOGITS, CLASSES))


@pytest.mark.parametrize("name", ["cross_entropy", "binary_cross_entropy"])
def test_sure_and_wrong_is_finite(registry, name):
    output = torch.tensor([[1e4, -1e4]])
    target = torch.tensor([1]) if name == "cross_entropy" else torch.tensor([[0, 1]])
    assert math.isfinite(registry.create("loss", name).mean(output, target))


def test_known_figures(registry):
    uniform = torch.zeros(2, 10)
    loss = registry.create("loss", "cross_entropy")
    assert loss.mean(uniform, torch.tensor([3, 7])).item() == pytest.approx(math.log(10))
    loss = registry.create("loss", "binary_cross_entropy")
    assert loss.mean(uniform, torch.ones(2, 10)).item() == pytest.approx(math.log(2))
    loss = registry.create("loss", "mse")
    assert loss.mean(torch.tensor([[1.0, 5.0]]), torch.tensor([[3.0, 5.0]])).item() == 2


def test_cross_entropy_keeps_torch_in_one_call(registry):
    loss = registry.create("loss", "cross_entropy", label_smoothing=0.1)
    assert torch.equal(loss.mean(LOGITS, CLASSES), F.cross_entropy(LOGITS, CLASSES, label_smoothing=0.1))


def test_tasks(registry):
    tasks = {entry.name: registry.load(entry).tasks for entry in registry.entries("loss")}
    assert tasks.pop("cross_entropy") == {Task.MULTICLASS}
    assert tasks.pop("binary_cross_entropy") == {Task.BINARY, Task.MULTILABEL}
    classifiers = {name for name, found in tasks.items() if found == CLASSIFICATION}
    assert classifiers == {"focal", "hinge", "squared_hinge"}
    assert all(found == REGRESSION for name, found in tasks.items() if name not in classifiers)


@pytest.mark.parametrize("method", ["values", "mean"])
def test_mse_refuses_to_broadcast(registry, method):
    loss = registry.create("loss", "mse")
    with pytest.raises(
        ValueError, match=r"output's shape \(7, 1\), got \(7,\); a single target is \(B, 1\), not \(B,\)"
    ):
        getattr(loss, method)(LOGITS[:, :1], VALUES[:, 0])


@pytest.mark.parametrize(("smoothing", "message"), [(1.0, "less than 1"), (-0.1, "greater than or equal to 0")])
def test_label_smoothing_range(registry, smoothing, message):
    with pytest.raises(ValidationError, match=message):
        registry.create("loss", "cross_entropy", label_smoothing=smoothing)
