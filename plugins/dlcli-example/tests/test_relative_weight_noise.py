import torch
from dlcli_example.relative_weight_noise import RelativeWeightNoise

SHAPES = {"head.weight": (300, 400)}


def noise_of(std, seed=0):
    component = RelativeWeightNoise(std=std)
    weights = {name: torch.full(shape, -3.0) for name, shape in SHAPES.items()}
    noise = component.draw(SHAPES, torch.Generator().manual_seed(seed))
    return component.parameters(weights, noise)["head.weight"] / -3 - 1


def test_the_noise_is_normal_with_the_given_deviation():
    noise = noise_of(0.1)
    standard_error = 0.1 / noise.numel() ** 0.5
    assert abs(float(noise.mean())) < 4 * standard_error
    assert abs(float(noise.std()) - 0.1) < 4 * standard_error
    share = float((noise.abs() < 0.1).double().mean())
    assert abs(share - 0.6827) < 0.01


def test_the_noise_is_the_generators():
    assert torch.equal(noise_of(0.1), noise_of(0.1))
    assert not torch.equal(noise_of(0.1), noise_of(0.1, seed=1))


def test_no_deviation_is_no_noise():
    assert not noise_of(0.0).any()
