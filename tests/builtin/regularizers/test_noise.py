"""Noise on inputs and weights, and blanked squares."""

import numpy as np
import pytest
import torch
from scipy import stats

from dlcli import UsageError

IMAGES = torch.rand(40, 2, 8, 12, generator=torch.Generator().manual_seed(0)) + 1


def noise_of(registry, name, method, std, seed=0):
    """What is added to zeros."""
    component = registry.create("regularizer", name, std=std)
    noise = component.draw({"w": (100, 200)}, torch.Generator().manual_seed(seed))
    if method == "parameters":
        return component.parameters({"w": torch.zeros(100, 200)}, noise)["w"]
    return component.batch((torch.zeros(100, 200),), torch.zeros(100), noise).inputs[0]


@pytest.mark.parametrize(("name", "method"), [("input_noise", "batch"), ("weight_noise", "parameters")])
def test_the_noise_is_normal_with_the_given_deviation(registry, name, method):
    noise = noise_of(registry, name, method, 0.1).flatten()
    assert stats.kstest(noise.numpy(), stats.norm(scale=0.1).cdf).pvalue > 1e-3
    assert torch.equal(noise, noise_of(registry, name, method, 0.1).flatten())
    assert not torch.equal(noise, noise_of(registry, name, method, 0.1, seed=1).flatten())
    assert not noise_of(registry, name, method, 0.0).any()


def test_class_numbers_get_no_noise(registry):
    component = registry.create("regularizer", "input_noise")
    tokens, numbers = torch.arange(12).view(4, 3), torch.zeros(4, 5)
    noise = component.draw({"tokens": (4, 3), "numbers": (4, 5)}, torch.Generator().manual_seed(0))
    found = component.batch((tokens, numbers), torch.zeros(4), noise).inputs
    assert torch.equal(found[0], tokens)
    torch.testing.assert_close(found[1], 0.1 * noise["numbers"])
    with pytest.raises(UsageError, match=r"all inputs \(tokens\) hold class numbers"):
        component.batch((tokens,), torch.zeros(4), {"tokens": noise["tokens"]})


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_cutout_is_the_authors(registry, share):
    component = registry.create("regularizer", "cutout", share=share)
    noise = component.draw({"x": tuple(IMAGES.shape)}, torch.Generator().manual_seed(0))
    expected, half = IMAGES.clone().numpy(), int(share * 8) // 2
    for image, (down, across) in zip(expected, noise["middle"].numpy(), strict=True):
        top, bottom = np.clip([int(down * 8) - half, int(down * 8) + half], 0, 8)
        left, right = np.clip([int(across * 12) - half, int(across * 12) + half], 0, 12)
        image[:, top:bottom, left:right] = 0
    np.testing.assert_array_equal(component.batch((IMAGES,), torch.zeros(40), noise).inputs[0], expected)


def test_an_odd_square_is_whole_in_the_middle(registry):
    component = registry.create("regularizer", "cutout", share=3 / 8)
    mixed = component.batch((IMAGES,), torch.zeros(40), {"middle": torch.full((40, 2), 0.5)})
    assert (mixed.inputs[0] == 0).flatten(1).sum(1).tolist() == [2 * 9] * 40


def test_images_are_blanked_alike_and_numbers_are_left(registry):
    component, numbers = registry.create("regularizer", "cutout"), torch.rand(40, 3)
    noise = component.draw({"a": (40, 3), "x": tuple(IMAGES.shape)}, torch.Generator().manual_seed(1))
    mixed = component.batch((numbers, IMAGES, 2 * IMAGES), torch.zeros(40), noise)
    assert torch.equal(mixed.inputs[0], numbers)
    assert torch.equal(2 * mixed.inputs[1], mixed.inputs[2])
    with pytest.raises(UsageError, match="cutout changes images, but no input is one"):
        component.draw({"a": (40, 3)}, torch.Generator())
