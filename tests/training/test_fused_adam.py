"""Adam's steps without Python around them are torch's own steps, to the bit."""

import copy

import pytest
import torch

from dlcli.training.checkpoint import optimizer_tensors, restore_optimizer
from dlcli.training.fused_adam import fused_adam_step


def parameters():
    generator = torch.Generator().manual_seed(0)
    return [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in ((5, 3), (5,), (2, 4, 3))]


def take(optimizer, own, number, quick=None, missing=False):
    """Take a step with the gradients of that number; say whether the quick way took it."""
    generator = torch.Generator().manual_seed(number)
    for place, parameter in enumerate(own):
        gradient = torch.randn(parameter.shape, generator=generator)
        parameter.grad = None if missing and place == 1 else gradient
    with torch.no_grad():
        taken = quick() if quick else False
        if not taken:
            optimizer.step()
    return taken


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_the_bits_are_those_of_torch(kind, decay):
    ours, theirs = parameters(), parameters()
    optimizers = [kind(own, lr=0.01, weight_decay=decay, betas=(0.8, 0.99), fused=True) for own in (ours, theirs)]
    quick = fused_adam_step(optimizers[0])
    taken = []
    for number in range(7):
        for optimizer in optimizers:
            optimizer.param_groups[0]["lr"] = 0.01 / (1 + number)
        taken.append(take(optimizers[0], ours, number, quick, missing=number == 4))
        take(optimizers[1], theirs, number, missing=number == 4)
    assert taken == [False, True, True, True, False, True, True]
    assert all(torch.equal(mine, other) for mine, other in zip(ours, theirs, strict=True))
    mine, other = map(optimizer_tensors, optimizers)
    assert all(torch.equal(mine[name], other[name]) for name in other)


def test_a_state_that_is_put_back_is_gone_on_from():
    own = parameters()
    optimizer = torch.optim.Adam(own, lr=0.01, fused=True)
    quick = fused_adam_step(optimizer)
    for number in range(3):
        take(optimizer, own, number, quick)
    kept = {name: tensor.clone() for name, tensor in optimizer_tensors(optimizer).items()}
    values = copy.deepcopy([p.data for p in own])
    take(optimizer, own, 3, quick)
    after = [p.detach().clone() for p in own]
    for parameter, value in zip(own, values, strict=True):
        parameter.data.copy_(value)
    restore_optimizer(optimizer, kept)
    assert take(optimizer, own, 3, quick)
    assert all(torch.equal(p, other) for p, other in zip(own, after, strict=True))


def test_others_keep_their_own_step():
    own = parameters()
    for other in (
        torch.optim.SGD(own, lr=0.1),
        torch.optim.Adam(own, lr=0.1),
        torch.optim.Adam(own, lr=0.1, fused=True, amsgrad=True),
        torch.optim.AdamW(own, lr=0.1, fused=True, maximize=True),
        torch.optim.Adam([{"params": own[:1]}, {"params": own[1:]}], lr=0.1, fused=True),
    ):
        assert fused_adam_step(other) is None
