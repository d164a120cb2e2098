"""Mixup and CutMix, against batches computed by hand and their authors' code."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy import stats
from torch.nn import functional

from dlcli import UsageError
from dlcli.builtin.regularizers.mixing import drawn_share, partners

ONES = torch.ones(4)
KEYS = torch.tensor([0.7, 0.1, 0.9, 0.4])  # in order: rows 1, 3, 0, 2
ORDER = [1, 3, 0, 2]
IMAGES = torch.rand(4, 2, 6, 9, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def mixup(registry):
    return registry.create("regularizer", "mixup")


@pytest.fixture
def cutmix(registry):
    return registry.create("regularizer", "cutmix")


@pytest.mark.parametrize("targets", [torch.tensor([2, 0, 1, 1]), torch.tensor([[1.5], [-2.0], [0.0], [7.0]])])
def test_a_mixed_batch_is_the_authors(mixup, targets):
    x = torch.tensor([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0], [4.0, 40.0]])
    mixed = mixup.mix((x,), targets, ONES, {"share": torch.tensor(0.75), "keys": KEYS})
    expected = torch.tensor([[1.25, 12.5], [2.5, 25.0], [2.5, 25.0], [3.75, 37.5]])
    torch.testing.assert_close(mixed.inputs[0], expected)
    assert torch.equal(mixed.targets[0], targets)
    assert torch.equal(mixed.targets[1], targets[ORDER])
    assert mixed.weight == 0.75


def test_of_a_squared_error_the_gradient_is_that_of_mixed_targets(mixup):
    y = torch.randn(4, 2, dtype=torch.float64)
    output = torch.randn(4, 2, dtype=torch.float64, requires_grad=True)
    mixed = mixup.mix((output.detach(),), y, ONES, {"share": torch.tensor(0.3), "keys": KEYS})
    share = mixed.weight.double()
    losses = [functional.mse_loss(output, target) for target in mixed.targets]
    (ours,) = torch.autograd.grad(share * losses[0] + (1 - share) * losses[1], output)
    whole = share * mixed.targets[0] + (1 - share) * mixed.targets[1]
    torch.testing.assert_close(ours, torch.autograd.grad(functional.mse_loss(output, whole), output)[0])


def test_rows_that_do_not_count_stay_with_themselves():
    weight = torch.tensor([1.0, 0.0, 2.0, 1.0, 0.0])
    keys = torch.tensor([0.6, 0.1, 0.5, 0.9, 0.2])  # of those that count: rows 2, 0, 3
    assert partners(keys, weight).tolist() == [2, 1, 0, 3, 4]
    assert partners(keys, torch.zeros(5)).tolist() == [0, 1, 2, 3, 4]
    assert partners(torch.tensor([1 - 2**-24, 0.0]), torch.tensor([1.0, 0.0])).tolist() == [0, 1]


def test_every_order_of_the_rows_that_count_is_as_likely():
    keys = torch.rand(6000, 4, generator=torch.Generator().manual_seed(0))
    weight = torch.tensor([1.0, 1.0, 0.0, 3.0])
    orders = [tuple(partners(row, weight).tolist()) for row in keys]
    counts = [orders.count(order) for order in set(orders)]
    assert len(counts) == 6
    assert stats.chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_the_share_is_of_a_beta_distribution(alpha):
    generator = torch.Generator().manual_seed(3)
    shares = [float(drawn_share(alpha, generator)) for _ in range(3000)]
    assert stats.kstest(np.clip(shares, 1e-12, 1 - 1e-7), stats.beta(alpha, alpha).cdf).pvalue > 1e-3


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_an_alpha_of_zero_changes_nothing(registry, name):
    component, targets = registry.create("regularizer", name, alpha=0.0), torch.arange(4)
    noise = component.draw({"x": tuple(IMAGES.shape)}, torch.Generator().manual_seed(0))
    mixed = component.mix((IMAGES,), targets, ONES, noise)
    assert torch.equal(mixed.inputs[0], IMAGES)
    assert mixed.weight == 1


@pytest.mark.parametrize("seed", range(12))
def test_cutmix_is_the_authors(cutmix, seed):
    noise = {**cutmix.draw({"x": tuple(IMAGES.shape)}, torch.Generator().manual_seed(seed)), "keys": KEYS}
    height, width = IMAGES.shape[2:]
    ratio = np.sqrt(np.float32(1) - noise["share"].numpy())
    down, across = (int(u * size) for u, size in zip(noise["middle"].numpy(), (height, width), strict=True))
    tall, wide = int(height * ratio), int(width * ratio)
    top, bottom = np.clip([down - tall // 2, down + tall // 2], 0, height)
    left, right = np.clip([across - wide // 2, across + wide // 2], 0, width)
    expected = IMAGES.clone()
    expected[..., top:bottom, left:right] = IMAGES[ORDER][..., top:bottom, left:right]
    mixed = cutmix.mix((IMAGES,), torch.arange(4), ONES, noise)
    assert torch.equal(mixed.inputs[0], expected)
    assert float(mixed.weight) == pytest.approx(1 - (bottom - top) * (right - left) / (height * width), abs=1e-6)
    assert mixed.targets[1].tolist() == ORDER


def test_cutmix_changes_images_alone_and_alike(cutmix):
    numbers = torch.rand(4, 3)
    noise = {"share": torch.tensor(0.5), "keys": KEYS, "middle": torch.tensor([0.5, 0.5])}
    mixed = cutmix.mix((numbers, IMAGES, IMAGES + 1), torch.arange(4), ONES, noise)
    assert torch.equal(mixed.inputs[0], numbers)
    torch.testing.assert_close(mixed.inputs[1] + 1, mixed.inputs[2])
    assert not torch.equal(mixed.inputs[1], IMAGES)
    with pytest.raises(UsageError, match=r"cutmix changes images, but no input is one \(a\)"):
        cutmix.draw({"a": (4, 3)}, torch.Generator())


def test_mixup_refuses_what_has_no_between(mixup):
    noise = {"share": torch.tensor(0.5), "keys": KEYS}
    with pytest.raises(UsageError, match="mixup mixes numbers, but an input holds class numbers"):
        mixup.mix((IMAGES, torch.zeros(4, 6, dtype=torch.int64)), torch.arange(4), ONES, noise)
    for targets in (torch.zeros(4, 6, dtype=torch.int64), torch.zeros(4, 6, 2)):
        with pytest.raises(UsageError, match="there is a target for each position"):
            mixup.mix((IMAGES,), targets, ONES, noise)


@pytest.mark.parametrize("name", ["mixup", "early_stopping", "activity_l1", "random_flip"])
def test_what_touches_no_parameters_selects_none(registry, name):
    with pytest.raises(ValidationError, match=f"{name} touches no parameters: leave out select = 'head.*'"):
        registry.create("regularizer", name, select="head.*")
    assert registry.create("regularizer", name, select="weights") == registry.create("regularizer", name)
