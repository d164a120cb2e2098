import pytest
import torch
from pydantic import ValidationError

from dlcli import select_parameters


def network():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.LayerNorm(3), torch.nn.Linear(3, 2))


def test_gradient_equals_torch_weight_decay_on_the_same_parameters(registry):
    l2 = registry.create("regularizer", "l2", strength=0.3)
    torch.manual_seed(1)
    x = torch.randn(8, 4)
    penalized, decayed = network(), network()
    selected = select_parameters(penalized, l2.select)
    assert selected == ("0.weight", "2.weight")

    named = dict(decayed.named_parameters())
    groups = [
        {"params": [named[name] for name in selected], "weight_decay": 0.3},
        {"params": [value for name, value in named.items() if name not in selected]},
    ]
    ours, theirs = torch.optim.SGD(penalized.parameters(), lr=0.1), torch.optim.SGD(groups, lr=0.1)
    for _ in range(5):
        parameters = dict(penalized.named_parameters())
        penalty = l2.penalty({name: parameters[name] for name in selected}, {})
        assert penalty.ndim == 0
        ours.zero_grad()
        (penalized(x).square().mean() + penalty).backward()
        ours.step()
        theirs.zero_grad()
        decayed(x).square().mean().backward()
        theirs.step()
    torch.testing.assert_close(penalized.state_dict(), decayed.state_dict())


def test_value(registry):
    l2 = registry.create("regularizer", "l2", strength=0.5)
    parameters = {"a": torch.tensor([[1.0, 2.0]]), "b": torch.tensor([3.0])}
    assert l2.penalty(parameters, {}).item() == pytest.approx(0.5 * 0.5 * 14)
    assert l2.penalty({}, {}).item() == 0


def test_members_differ_in_strength_under_vmap(registry):
    l2 = registry.create("regularizer", "l2")
    stacked = {"a": torch.randn(3, 4, 2), "b": torch.randn(3, 5)}
    strengths = torch.tensor([0.0, 1e-4, 2.0])

    def call(strength, parameters):
        return l2.with_per_member({"strength": strength}).penalty(parameters, {})

    penalties = torch.vmap(call)(strengths, stacked)
    gradients = torch.vmap(torch.func.grad(call, argnums=1))(strengths, stacked)
    squares = sum(value.square().flatten(1).sum(1) for value in stacked.values())
    torch.testing.assert_close(penalties, strengths * squares / 2)
    for name, value in stacked.items():
        torch.testing.assert_close(gradients[name], strengths.view(3, *[1] * (value.ndim - 1)) * value)


def test_range(registry):
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        registry.create("regularizer", "l2", strength=-1.0)
