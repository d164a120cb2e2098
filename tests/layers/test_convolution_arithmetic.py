import itertools
import re

import pytest
import torch

from dlcli import Window, output_size
from dlcli.layers.convolution_arithmetic import what_fits


@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("padding", [0, 1, 2])
def test_places_are_those_of_torch(padding, dilation):
    for size, kernel, stride in itertools.product(range(1, 12), range(1, 5), range(1, 4)):
        window = Window(kernel, stride, padding, dilation)
        try:
            made = torch.nn.functional.conv1d(
                torch.zeros(1, 1, size), torch.zeros(1, 1, kernel), stride=stride, padding=padding, dilation=dilation
            )
        except RuntimeError:
            with pytest.raises(ValueError, match="the window is larger than what is left there"):
                output_size("net: c", "width", size, window, floor=True)
            continue
        assert output_size("net: c", "width", size, window, floor=True) == made.shape[-1]
        whole = (size + 2 * padding - window.span) % stride == 0
        if whole:
            assert output_size("net: c", "width", size, window) == made.shape[-1]
        else:
            with pytest.raises(ValueError, match="pixels at the end would be dropped; .*or floor = true"):
                output_size("net: c", "width", size, window)


def test_the_error_has_layer_numbers_and_what_would_fit():
    with pytest.raises(ValueError, match="blocks.1") as told:
        output_size("cnn: blocks.1.convolution_0", "height", 10, Window(4, 4, 0))
    assert str(told.value) == (
        "cnn: blocks.1.convolution_0: N' = (N − F + 2P) / S + 1 = (10 − 4 + 2·0) / 4 + 1 = 2.5 for height 10, "
        "kernel_size 4, padding 0, stride 4: pixels at the end would be dropped; padding 1 or 3, or stride 1, 2 or 3 "
        "would fit, or floor = true to drop them"
    )


@pytest.mark.parametrize("size", range(1, 9))
def test_what_is_proposed_fits(size):
    for kernel, stride, padding in itertools.product(range(1, 6), range(1, 5), range(2)):
        window = Window(kernel, stride, padding)
        if (places := window.places(size)) >= 1 and places.denominator == 1:
            continue
        for name, values in re.findall(r"(padding|stride) ([\d, or]+)", what_fits(size, window)):
            for value in re.findall(r"\d+", values):
                assert output_size("net: c", "width", size, Window(**{**vars(window), name: int(value)})) >= 1
