"""Augmentations of images, against torch, NumPy and SciPy."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch.nn import functional

import dlcli
from dlcli import UsageError
from dlcli.builtin.regularizers.random_crop import RandomCrop
from dlcli.builtin.regularizers.random_flip import RandomFlip
from dlcli.builtin.regularizers.random_rotation import RandomRotation
from dlcli.builtin.regularizers.random_shift import RandomShift

ALL = [RandomCrop(), RandomFlip(), RandomRotation(), RandomShift()]
IMAGES = torch.rand(6, 2, 9, 12, generator=torch.Generator().manual_seed(0))
TARGET = torch.arange(6)
DIGITS = Path(__file__).parents[3] / "recipes/digits/digits.h5"


def changed(component, noise, images=IMAGES):
    mixed = component.batch((images,), TARGET, {name: torch.tensor(values) for name, values in noise.items()})
    assert mixed.weight is None
    assert torch.equal(mixed.targets[0], TARGET)
    return mixed.inputs[0]


@pytest.mark.parametrize(("direction", "dimension"), [("horizontal", 3), ("vertical", 2)])
def test_mirrored_where_the_chance_is_small(direction, dimension):
    chances = [[-1.0], [-0.6], [-0.4], [0.0], [0.5], [0.99]]
    found = changed(RandomFlip(direction=direction, probability=0.25), {"chance": chances})
    for row, (chance,) in enumerate(chances):
        expected = IMAGES[row].flip(dimension - 1) if chance < -0.5 else IMAGES[row]
        assert torch.equal(found[row], expected)


@pytest.mark.parametrize(("fill", "mode"), [("zero", "constant"), ("edge", "nearest")])
def test_moved_by_whole_pixels(fill, mode):
    way = [[1.0, 1.0], [-1.0, 0.5], [0.0, 0.0], [0.3, -1.0], [0.0, 1.0], [-0.5, 0.0]]
    found = changed(RandomShift(share=0.5, fill=fill), {"way": way})
    for row, (down, right) in enumerate(way):
        pixels = (0, np.round(down * 0.5 * 9), np.round(right * 0.5 * 12))
        expected = ndimage.shift(IMAGES[row].numpy(), pixels, order=0, mode=mode, prefilter=False)
        np.testing.assert_array_equal(found[row], expected)


def test_turned_against_the_clock():
    square = IMAGES[..., :9]
    for degrees, quarters in ((90.0, 1), (180.0, 2)):
        found = changed(RandomRotation(degrees=degrees), {"turn": [[1.0], [-1.0]] * 3}, square)
        for row, sign in enumerate((1, -1) * 3):
            expected = torch.rot90(square[row], sign * quarters, (1, 2))
            torch.testing.assert_close(found[row], expected, atol=1e-5, rtol=0)
    found = changed(RandomRotation(degrees=30.0, fill="zero"), {"turn": [[0.5]] * 6})
    expected = ndimage.rotate(IMAGES.numpy(), 15, axes=(3, 2), reshape=False, order=1, mode="grid-constant")
    inner = (slice(None), slice(None), slice(2, 7), slice(3, 9))
    np.testing.assert_allclose(found[inner], expected[inner], atol=1e-4)


def test_cut_and_enlarged():
    found = changed(RandomCrop(least=0.25), {"part": [[-1.0, 0.0, 0.0]] * 6}, IMAGES[..., :8, :])
    middle = IMAGES[..., 2:6, 3:9]
    expected = functional.interpolate(middle, (8, 12), mode="bilinear", align_corners=False)
    torch.testing.assert_close(found[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1], atol=1e-5, rtol=0)
    corner = changed(RandomCrop(least=0.25), {"part": [[-1.0, -1.0, 1.0]] * 6}, IMAGES[..., :8, :])
    expected = functional.interpolate(IMAGES[..., 4:8, :6], (8, 12), mode="bilinear", align_corners=False)
    torch.testing.assert_close(corner[..., 1:, :-1], expected[..., 1:, :-1], atol=1e-5, rtol=0)
    assert torch.allclose(changed(RandomCrop(), {"part": [[1.0, 0.0, 0.0]] * 6}), IMAGES, atol=1e-5)


@pytest.mark.parametrize("component", ALL, ids=lambda component: component.name)
def test_images_of_a_row_are_changed_alike_and_numbers_are_left(component):
    noise = component.draw({"a": (6, 3), "b": tuple(IMAGES.shape)}, torch.Generator().manual_seed(1))
    numbers = torch.rand(6, 3)
    mixed = component.batch((numbers, IMAGES, IMAGES + 1), TARGET, noise)
    assert torch.equal(mixed.inputs[0], numbers)
    torch.testing.assert_close(mixed.inputs[1] + 1, mixed.inputs[2])
    assert not torch.equal(mixed.inputs[1], IMAGES)
    with pytest.raises(UsageError, match=f"{component.name} changes images, but no input is one"):
        component.draw({"a": (6, 3)}, torch.Generator())


@pytest.mark.parametrize("component", ALL, ids=lambda component: component.name)
def test_it_trains_in_a_stack_as_alone(component, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = {
        "name": "augmented",
        "data": {"path": str(DIGITS), "preprocess": ["scale"]},
        "model": {"architecture": "mlp", "hidden": [8]},
        "train": {"epochs": 2, "seeds": 2},
        "regularizers": [component.name],
    }
    alone, stacked = (dlcli.train(recipe, engine=engine) for engine in ("loop", "vectorized"))
    assert stacked.val["loss"] == pytest.approx(alone.val["loss"], rel=1e-2)
