"""Each piece of advice: where it is given, and where not."""

from dataclasses import replace

import pytest
import torch
from torch import nn

import dlcli
from dlcli import Field, InputOutput
from dlcli.contracts.task import Task
from dlcli.experiment.building.advice import (
    even_halvings,
    missing_normalization,
    power_of_two,
    saturating_stack,
    stacked_kernels,
    unsuited_initial_values,
)
from dlcli.experiment.prepare import prepare
from dlcli.layers.window_watch import WindowWatch
from dlcli.recipe.load import load_recipe
from dlcli.training.network import build_network

CPU = torch.device("cpu")


def parameters(*layers):
    return sum(p.numel() for layer in layers for p in layer.parameters())


@pytest.fixture
def member(folder, plugins, recipe):
    base = prepare(load_recipe(recipe(), plugins.registry), plugins.registry).member

    def make(pixels=(8, 8), **model):
        image = Field("x", "input", "image", (1, *pixels), "float32")
        made = plugins.registry.create("architecture", model.pop("architecture", "mlp"), **model)
        return replace(base, architecture=made, io=InputOutput((image,), Task.MULTICLASS, 10))

    return make


@pytest.mark.parametrize(("kernel", "count"), [(7, "three"), (5, "two")])
@pytest.mark.parametrize("bias", [True, False])
def test_a_large_kernel_is_compared_with_small_ones(kernel, count, bias):
    def layer(size):
        return nn.Conv2d(16, 16, size, bias=bias)

    large, small = parameters(layer(kernel)), parameters(*[layer(3)] * {"three": 3, "two": 2}[count])
    (note,) = stacked_kernels(nn.Sequential(nn.Conv2d(16, 16, 3), layer(kernel)))
    assert note == (
        f"1 is one {kernel}×{kernel} convolution with {large:,} parameters: {count} 3×3 with activations between them "
        f"see as far with {small:,}, and can say more"
    )


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(3, 64, 7),  # from few channels, three small ones have more parameters
        nn.Conv2d(16, 16, 7, stride=2),
        nn.Conv2d(16, 16, 7, dilation=2),
        nn.Conv2d(16, 16, (7, 3)),
        nn.Conv2d(16, 16, 9),
        nn.Conv1d(4, 40, 5),
    ],
)
def test_no_kernel_is_compared_that_small_ones_cannot_stand_for(layer):
    assert list(stacked_kernels(layer)) == []


def test_groups_are_counted():
    grouped = nn.Conv2d(8, 8, 7, groups=4)
    (note,) = stacked_kernels(nn.Sequential(grouped))
    small = parameters(*[nn.Conv2d(8, 8, 3, groups=4)] * 3)
    assert f"{parameters(grouped):,} parameters" in note
    assert f"{small:,}, and" in note


def slides_of(member):
    network = build_network(member, CPU)
    with WindowWatch(network, "net") as watch, torch.no_grad():
        network(torch.zeros(2, *member.io.inputs[0].shape))
    return watch.slides


def test_an_image_that_is_halved_too_often(member):
    given = member((28, 32), architecture="cnn", channels=[2, 2, 2], floor=True)
    (note,) = even_halvings(given, slides_of(given))
    assert note.startswith(
        "x is halved more often than it is divisible by 2, height 28 (24 or 32 would): pixels at its"
    )


@pytest.mark.parametrize(
    ("pixels", "model"),
    [
        ((28, 28), {"architecture": "cnn"}),
        ((224, 224), {"architecture": "resnet", "depth": None, "blocks": [1, 1, 1, 1], "width": 2}),
        ((32, 32), {"architecture": "resnet", "depth": None, "blocks": [1, 1, 1, 1], "width": 2}),
        ((9, 9), {"architecture": "cnn", "pool": "none"}),
        ((9, 9), {"architecture": "mlp"}),
    ],
)
def test_an_image_that_is_halved_evenly(member, pixels, model):
    given = member(pixels, **model)
    assert list(even_halvings(given, slides_of(given))) == []


@pytest.mark.parametrize(("size", "said"), [(100, "64 or 128"), (3, "2 or 4"), (64, None), (1, None)])
def test_a_batch_size(size, said):
    notes = list(power_of_two(size))
    assert notes == ([] if said is None else notes)
    assert said is None or f"batch_size {size} is not a power of two" in notes[0]
    assert said is None or f"{said} often take" in notes[0]


@pytest.mark.parametrize(
    "activation", ["sigmoid", "hard_sigmoid", {"name": "sigmoid", "beta": 2.0}, "softmax"], ids=str
)
def test_sigmoids_in_deep_stacks(member, activation):
    deep, shallow = (member(hidden=[8] * count, activation=activation) for count in (3, 2))
    (note,) = saturating_stack(build_network(deep, CPU), deep)
    name = activation if isinstance(activation, str) else activation["name"]
    assert note.startswith(f"3 layers of {name} one after the other: where one saturates no gradient is left")
    skips = member(hidden=[8] * 4, activation=activation, residual=True)
    for other in (shallow, skips):
        assert list(saturating_stack(build_network(other, CPU), other)) == []


@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu", "softplus"])
def test_others_are_no_sigmoids(member, activation):
    given = member(hidden=[8] * 5, activation=activation)
    assert list(saturating_stack(build_network(given, CPU), given)) == []


def test_a_deep_network_without_a_normalization(member):
    deep = member(hidden=[8] * 6)
    (note,) = missing_normalization(build_network(deep, CPU), deep)
    assert note.startswith("7 affine layers without a normalization: signals and gradients grow or shrink")
    assert 'set model.norm = "batch" or "layer", or take selu' in note


@pytest.mark.parametrize(
    "model",
    [{"hidden": [16] * 6, "norm": norm} for norm in ("batch", "layer", "group", "instance", "rms")]
    + [{"hidden": [8] * 6, "activation": "selu"}, {"hidden": [8] * 4}, {"architecture": "cnn"}],
    ids=str,
)
def test_networks_that_are_not_deep_or_normalize(member, model):
    given = member(**model)
    assert list(missing_normalization(build_network(given, CPU), given)) == []


@pytest.mark.parametrize(
    ("activation", "hidden", "named"),
    [("relu", 5, "kaiming"), ("tanh", 5, "xavier"), ("selu", 2, "lecun_normal"), ("relu", 4, None), ("selu", 1, None)],
)
def test_torchs_initial_values_in_deep_networks(member, plugins, activation, hidden, named):
    given = member(hidden=[16] * hidden, activation=activation)
    network = build_network(given, CPU)
    notes = list(unsuited_initial_values(network, given))
    assert len(notes) == (named is not None)
    assert named is None or f"{hidden + 1} affine layers begin with torch's own weights" in notes[0]
    assert named is None or f'model.init = "auto" takes {named}' in notes[0]
    suited = replace(given, initializer=plugins.registry.create("initializer", "auto"))
    assert not list(unsuited_initial_values(network, suited))
    normalized = member(hidden=[16] * hidden, activation=activation, norm="layer")
    assert not list(unsuited_initial_values(build_network(normalized, CPU), normalized))


def test_what_is_said_of_torchs_initial_values_is_so():
    torch.manual_seed(0)
    x = torch.randn(512, 512)
    assert nn.Linear(512, 512, bias=False)(x).var().item() == pytest.approx(1 / 3, rel=0.05)


def test_a_recipe_gets_all_advice_at_once(folder, plugins, recipe):
    model = {"architecture": "cnn", "channels": [4, 4, 4], "kernel_size": 5, "convolutions": 2, "activation": "sigmoid"}
    notes = dlcli.build(recipe(model=model, train={"batch_size": 100}), plugins=plugins).notes
    said = ("is one 5×5 convolution", "is not a power of two", "layers of sigmoid", "without a normalization")
    for text in said:
        assert sum(text in note for note in notes) >= 1
