"""Networks of images: sizes against torch's layers, published numbers of parameters, what does not fit."""

import pytest
import torch
from torch import nn

from dlcli import Field, InputOutput, Task

AGE = Field("age", "condition", "features", (2,), "float32")


def io(channels=3, height=8, width=10, outputs=4, **others):
    image = Field("image", "input", "image", (channels, height, width), "float32")
    return InputOutput((image,), Task.MULTICLASS, outputs, **others)


@pytest.fixture
def build(registry):
    def make(name, told=None, **parameters):
        torch.manual_seed(0)
        return registry.create("architecture", name, **parameters).build(told or io())

    return make


@pytest.mark.parametrize(("depth", "millions"), [(18, 11.69), (34, 21.80), (50, 25.56)])
def test_resnets_have_the_published_numbers_of_parameters(build, depth, millions):
    module = build("resnet", io(3, 224, 224, outputs=1000), depth=depth)
    assert round(sum(parameter.numel() for parameter in module.parameters()) / 1e6, 2) == millions


def test_a_residual_block_is_the_sum_and_the_mean_is_what_the_head_reads(build):
    module = build("resnet", depth=None, blocks=[1, 1], width=4, norm="none").eval()
    x = torch.randn(2, 3, 8, 10)

    def convolved(layer, x, stride=1, padding=1):
        return nn.functional.conv2d(x, layer.affine.weight, layer.affine.bias, stride=stride, padding=padding)

    maps = convolved(module.stem, x).relu()
    for stage, stride in zip(module.stages, (1, 2), strict=True):
        sum_ = stage[0].sum
        first, second = sum_.branch
        shortcut = maps if stride == 1 else convolved(sum_.shortcut, maps, stride, 0)
        maps = (shortcut + convolved(second, convolved(first, maps, stride).relu())).relu()
    torch.testing.assert_close(module(x), module.head(maps.mean((2, 3))))


def test_bottlenecks_widen_four_times_and_any_activation_goes(build):
    module = build("resnet", depth=None, blocks=[1], width=4, bottleneck=True)
    kernels = [layer.affine.kernel_size for layer in module.stages[0][0].sum.branch]
    assert (kernels, module.head.in_features) == ([(1, 1), (3, 3), (1, 1)], 16)


def test_stochastic_depth_grows_with_depth_and_leaves_evaluation_alone(build):
    module = build("resnet", depth=None, blocks=[2, 2], width=4, stochastic_depth=0.4)
    rates = [block.sum.drop.rate.item() for stage in module.stages for block in stage]
    assert rates == pytest.approx([0.1, 0.2, 0.3, 0.4], abs=1e-4)
    x = torch.randn(2, 3, 8, 10)
    module.eval()
    torch.testing.assert_close(module(x), module(x))


def test_a_resnet_without_a_depth_has_the_blocks_that_it_is_given(build):
    assert [len(stage) for stage in build("resnet", blocks=[1, 3], width=4).stages] == [1, 3]
    assert [len(stage) for stage in build("resnet", width=4).stages] == [2, 2, 2, 2]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            {"depth": 18, "blocks": [1, 1]},
            "depth 18 is basic blocks, 2, 2, 2, 2 in its stages, so that blocks 1, 1 and",
        ),
        ({"depth": 34, "bottleneck": True}, "bottleneck true would not be used; leave out depth, or the other two"),
        ({"depth": 50, "blocks": [3, 4, 6]}, "depth 50 is bottlenecks, 3, 4, 6, 3 in its stages"),
    ],
)
def test_a_depth_beside_other_blocks_is_refused(build, given, told):
    with pytest.raises(ValueError, match=told):
        build("resnet", width=4, **given)


def test_an_image_too_small_for_the_stages(build):
    with pytest.raises(ValueError, match="resnet: stages.3 halves the height, of which one pixel is left there; use f"):
        build("resnet", io(1, 4, 9))


@pytest.mark.parametrize(
    "parameters",
    [
        {"stride": 2, "padding": 1, "kernel_size": 4, "pool": "none"},
        {"kernel_size": [5, 3], "padding": [2, "valid"], "dilation": [1, 2], "pool_size": 2, "pool_stride": 1},
        {"channels": [6, 12], "groups": [3, 6], "bias": False, "pool": "avg"},
        {"stride": 3, "floor": True, "pool": "none"},
    ],
)
def test_cnn_is_made_of_torchs_layers(build, parameters):
    module = build("cnn", io(3, 16, 12), hidden=[], **parameters).eval()
    x = maps = torch.randn(2, 3, 16, 12)
    channels = parameters.get("channels", [32, 64])

    def each(name, default):
        value = parameters.get(name, default)
        return value if isinstance(value, list) else [value] * 2

    for block, layers in enumerate(module.blocks):
        kernel, dilation = each("kernel_size", 3)[block], each("dilation", 1)[block]
        padding = each("padding", "same")[block]
        padding = {"same": dilation * (kernel - 1) // 2, "valid": 0}.get(padding, padding)
        own = layers["convolution_0"].affine
        assert own.weight.shape[0] == channels[block]
        reference = nn.Conv2d(
            maps.shape[1],
            channels[block],
            kernel,
            stride=each("stride", 1)[block],
            padding=padding,
            dilation=dilation,
            groups=each("groups", 1)[block],
            bias=parameters.get("bias", True),
        )
        reference.load_state_dict(own.state_dict())
        maps = reference(maps).relu()
        if parameters.get("pool") != "none":
            pool = nn.AvgPool2d if parameters.get("pool") == "avg" else nn.MaxPool2d
            maps = pool(2, parameters.get("pool_stride"))(maps)
    torch.testing.assert_close(module(x), module.head(maps.flatten(1)))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"stride": 2},
            r"blocks.0.convolution_0: N' = .*\(8 − 3 \+ 2·1\) / 2 \+ 1 = 4.5.*stride 1 would .*floor = true",
        ),
        ({"groups": 2, "floor": True}, "blocks.0 has 2 groups, which must divide its 3 input and 32 output channels"),
        ({"kernel_size": [3, 3, 3]}, "kernel_size is one number, or one for each of the 2 blocks; got 3"),
        ({"kernel_size": 4}, 'padding = "same" needs an odd kernel_size, got 4; use 5, or padding = "valid"'),
        ({"padding": -1}, "padding"),
    ],
)
def test_cnn_that_cannot_be(build, parameters, message):
    with pytest.raises(ValueError, match=message):
        build("cnn", **parameters)


def test_map_dropout_drops_whole_maps(build):
    module = build("cnn", map_dropout=0.5, channels=[64], hidden=[], pool="none").train()
    seen = []
    module.blocks[0]["convolution_0"].dropout.register_forward_hook(lambda *args: seen.append(args[2]))
    module(torch.rand(2, 3, 8, 10) + 1)
    whole = (seen[0] == 0).flatten(2).all(-1)
    assert 0.3 < whole.double().mean() < 0.8


@pytest.mark.parametrize(
    ("name", "parameters", "layers"),
    [
        ("cnn", {"channels": [4], "hidden": [5]}, ["blocks.0.convolution_0", "hidden.0"]),
        ("resnet", {"depth": None, "blocks": [1], "width": 4}, ["stem", "stages.0.0.sum.branch.1"]),
    ],
)
def test_conditions_scale_and_shift_maps(build, name, parameters, layers):
    module = build(name, io(conditions=(AGE,)), norm="batch", **parameters).eval()
    found = [key.removesuffix(".normalization.scale.weight") for key in module.state_dict() if "scale.weight" in key]
    assert found == layers
    x, age = torch.randn(3, 3, 8, 10), torch.randn(3, 2)
    before = module(x, conditions=(age,))
    torch.testing.assert_close(before, module(x, conditions=(2 * age,)))
    for key, parameter in module.named_parameters():
        if ".scale." in key:
            nn.init.normal_(parameter)
    assert not torch.allclose(module(x, conditions=(age,)), module(x, conditions=(2 * age,)))
