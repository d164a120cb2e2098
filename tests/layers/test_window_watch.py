import itertools
import re

import pytest
import torch
from torch import nn

from dlcli.layers.convolution_arithmetic import Window, what_fits
from dlcli.layers.window_watch import WindowWatch, not_whole


def watched(network, *shape):
    with WindowWatch(network, "net") as watch, torch.no_grad():
        network(torch.zeros(shape))
    return watch.slides


class Own(nn.Conv2d):
    """Somebody's layer."""


@pytest.mark.parametrize(
    ("layer", "shape", "axis"),
    [
        (nn.Conv1d(1, 1, 5), (1, 1, 4), "length 4, kernel_size 5"),
        (nn.Conv2d(1, 1, (1, 5)), (1, 1, 9, 4), "width 4, kernel_size 5"),
        (nn.Conv3d(1, 1, 3, dilation=2), (1, 1, 4, 9, 9), r"depth 4, kernel_size 3 \(spans 5 with dilation 2\)"),
        (nn.MaxPool2d(4), (1, 1, 3, 9), "height 3, kernel_size 4"),
        (nn.AvgPool1d(4), (1, 1, 3), "length 3, kernel_size 4"),
        (Own(1, 1, 5), (1, 1, 4, 9), "height 4, kernel_size 5"),
        (nn.Conv2d(1, 1, 5, padding="valid"), (1, 1, 4, 9), "height 4, kernel_size 5, padding 0"),
    ],
)
def test_a_window_that_fits_nowhere_is_told_before_torch_does(layer, shape, axis):
    with pytest.raises(RuntimeError):
        layer(torch.zeros(shape))
    with pytest.raises(ValueError, match=f"net: 0: N' = .* for {axis}.*: the window is larger than .* would fit"):
        watched(nn.Sequential(layer), *shape)
    assert not layer._forward_pre_hooks


def test_what_is_dropped_is_what_the_output_does_not_depend_on():
    """Gradients of the outputs by the pixels say which of them are read."""
    for size, kernel, stride, padding in itertools.product(range(6, 10), (2, 3), (2, 3), (0, 1)):
        layer = nn.Conv1d(1, 1, kernel, stride=stride, padding=padding, bias=False)
        nn.init.ones_(layer.weight)
        x = torch.zeros(1, 1, size, requires_grad=True)
        with WindowWatch(nn.Sequential(layer), "net") as watch:
            layer(x).sum().backward()
        read = x.grad[0, 0].nonzero().max() + 1
        (slide,) = watch.slides
        assert max(0, slide.dropped - padding) == size - read or stride > kernel
        assert (slide.dropped == 0) == (Window(kernel, stride, padding).places(size).denominator == 1)


def test_the_stem_of_a_resnet_is_told_with_its_numbers():
    stem = nn.Sequential(nn.Conv2d(3, 4, 7, stride=2, padding=3), nn.ReLU(), nn.MaxPool2d(3, stride=2, padding=1))
    assert not_whole(watched(stem, 1, 3, 224, 224)) == (
        "net: 0: N' = (N − F + 2P) / S + 1 = (224 − 7 + 2·3) / 2 + 1 = 112.5 for height and width 224, kernel_size 7, "
        "padding 3, stride 2: torch takes the whole number below and does not read some of the padding; stride 1 would "
        "fit; likewise 2"
    )


def test_pixels_that_are_dropped_are_told():
    (slide, _) = watched(nn.Sequential(nn.Conv2d(1, 1, 2, stride=3)), 1, 1, 10, 8)
    assert "for height 10" in slide.told()
    assert "does not read the last 2 pixels; padding 2" not in slide.told()
    assert f"does not read the last 2 pixels; {what_fits(10, Window(2, 3))}" in slide.told()
    assert re.search("does not read the last pixel;", watched(nn.Sequential(nn.MaxPool1d(2)), 1, 1, 7)[0].told())


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(1, 1, 3, padding="same", dilation=2),
        nn.ConvTranspose2d(1, 1, 3, stride=2),
        nn.MaxPool2d(2, ceil_mode=True),
        nn.AdaptiveAvgPool2d(2),
        nn.Conv2d(1, 1, 3),
    ],
)
def test_what_fits_whatever_comes_is_not_told(layer):
    assert not_whole(watched(nn.Sequential(layer), 1, 1, 7, 5)) is None


@pytest.mark.parametrize("kind", [nn.MaxPool1d, nn.AvgPool1d])
@pytest.mark.parametrize("size", range(3, 12))
def test_what_is_proposed_for_a_pooling_is_what_torch_takes(kind, size):
    for kernel, stride in itertools.product(range(2, 6), range(1, 5)):
        if (size - kernel) % stride == 0 and kernel <= size:
            continue
        told = what_fits(size, Window(kernel, stride), largest_padding=kernel // 2)
        for name, values in re.findall(r"(padding|stride) ([\d, or]+)", told):
            for value in re.findall(r"\d+", values):
                layer = kind(kernel, **{"stride": stride, name: int(value)})
                assert not_whole(watched(nn.Sequential(layer), 1, 1, size)) is None
