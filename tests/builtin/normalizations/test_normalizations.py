import pytest
import torch
from pydantic import ValidationError
from torch import nn

GENERATOR = torch.Generator().manual_seed(3)
ROWS = torch.randn(16, 6, generator=GENERATOR) * 4 + 2
IMAGES = torch.randn(8, 6, 5, 4, generator=GENERATOR) * 4 + 2
SEQUENCES = torch.randn(8, 7, 6, generator=GENERATOR) * 4 + 2


def test_none_changes_nothing(registry):
    normalization = registry.create("normalization", "none")
    assert normalization.build(6)(IMAGES) is IMAGES
    assert not normalization.removes_bias


@pytest.mark.parametrize(
    ("x", "feature_dim", "oracle", "there", "back"),
    [
        (ROWS, 1, nn.BatchNorm1d, lambda x: x, lambda y: y),
        (IMAGES, 1, nn.BatchNorm2d, lambda x: x, lambda y: y),
        (SEQUENCES, -1, nn.BatchNorm1d, lambda x: x.transpose(1, 2), lambda y: y.transpose(1, 2)),
    ],
    ids=["rows", "images", "sequences"],
)
def test_batch_is_torch_batch_norm(registry, x, feature_dim, oracle, there, back):
    normalization = registry.create("normalization", "batch", eps=1e-3, momentum=0.3)
    ours, theirs = normalization.build(6, feature_dim), oracle(6, eps=1e-3, momentum=0.3)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for module in (ours, theirs):
        with torch.no_grad():
            module.weight.copy_(torch.arange(6) + 1.0)
            module.bias.copy_(-torch.arange(6.0))
    for _ in range(3):
        torch.testing.assert_close(ours(x), back(theirs(there(x))))
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict())
    torch.testing.assert_close(ours.eval()(x), back(theirs.eval()(there(x))))
    assert ours(x).shape == x.shape


def test_batch_removes_bias(registry):
    normalization = registry.create("normalization", "batch")
    assert normalization.removes_bias
    module = normalization.build(6)
    torch.testing.assert_close(module(ROWS + torch.arange(6.0)), module(ROWS), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("x", "feature_dim"), [(ROWS, 1), (IMAGES, 1), (SEQUENCES, -1)])
def test_layer_normalizes_each_position_over_its_features(registry, x, feature_dim):
    module = registry.create("normalization", "layer", eps=1e-3).build(6, feature_dim)
    with torch.no_grad():
        module.weight.copy_(torch.arange(6) + 1.0)
        module.bias.copy_(-torch.arange(6.0))
    mean = x.mean(feature_dim, keepdim=True)
    variance = x.var(feature_dim, correction=0, keepdim=True)
    shape = [1] * x.ndim
    shape[feature_dim] = 6
    expected = (x - mean) / (variance + 1e-3).sqrt() * module.weight.view(shape) + module.bias.view(shape)
    torch.testing.assert_close(module(x), expected)
    torch.testing.assert_close(module.eval()(x[:1]), expected[:1])


def test_layer_keeps_biases(registry):
    normalization = registry.create("normalization", "layer")
    assert not normalization.removes_bias
    module = normalization.build(6)
    assert not torch.allclose(module(ROWS + torch.arange(6.0)), module(ROWS), atol=1e-2)


@pytest.mark.parametrize(("x", "feature_dim"), [(ROWS, 1), (IMAGES, 1), (SEQUENCES, -1)])
@pytest.mark.parametrize("name", ["group", "instance", "rms"])
def test_they_are_torchs(registry, name, x, feature_dim):
    parameters = {"groups": 2} if name == "group" else {}
    component = registry.create("normalization", name, eps=1e-3, **parameters)
    if name == "instance" and feature_dim == -1:
        with pytest.raises(ValueError, match="a step would see later ones and padding; choose layer, rms or group"):
            component.build(6, feature_dim)
        return
    ours = component.build(6, feature_dim)
    if name == "instance" and x.ndim == 2:
        with pytest.raises(ValueError, match=r"one value a feature, shape \(6,\).* choose group, layer or batch"):
            ours(x)
        return
    instance = nn.InstanceNorm2d if x.ndim == 4 else nn.InstanceNorm1d
    theirs = {
        "group": nn.GroupNorm(2, 6, eps=1e-3),
        "instance": instance(6, eps=1e-3, affine=True),
        "rms": nn.RMSNorm(6, eps=1e-3),
    }[name]
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for module in (ours, theirs):
        for parameter, start in zip(module.parameters(), (1.0, -3.0), strict=False):
            nn.init.constant_(parameter, 0).data.add_(torch.arange(6) + start)
    place = -1 if name == "rms" else 1
    for values in (x, x * 1e4, x * 1e-4):
        if name == "group" and feature_dim == -1:  # step by step
            expected = theirs(values.flatten(0, 1)).view_as(values)
        else:
            expected = theirs(values.movedim(feature_dim, place)).movedim(place, feature_dim)
        torch.testing.assert_close(ours(values), expected)
        torch.testing.assert_close(ours.eval()(values[:1]), expected[:1])


@pytest.mark.parametrize("name", ["group", "instance", "rms"])
def test_gradients_are_those_of_finite_differences(registry, name):
    parameters = {"groups": 2} if name == "group" else {}
    feature_dim, x = (1, IMAGES) if name == "instance" else (-1, SEQUENCES)
    module = registry.create("normalization", name, **parameters).build(6, feature_dim).double()
    learned = dict(module.named_parameters())

    def call(x, *values):
        return torch.func.functional_call(module, dict(zip(learned, values, strict=True)), (x,))

    assert torch.autograd.gradcheck(call, (x[:2].double().requires_grad_(), *learned.values()))


@pytest.mark.parametrize(
    ("groups", "width", "advice"),
    [
        (8, 100, r"8 groups do not divide a layer of 100 features.* one of 1, 2, 4, 5, 10, 20, 25, 50, or"),
        (6, 6, "6 groups do not divide a layer of 6 features into groups of 2 or more; choose one of 1, 2, 3, or"),
        (2, 1, "choose another norm, or another width"),
    ],
)
def test_group_says_which_groups_there_can_be(registry, groups, width, advice):
    with pytest.raises(ValueError, match=advice):
        registry.create("normalization", "group", groups=groups).build(width)


@pytest.mark.parametrize("name", ["batch", "group", "instance", "layer", "rms"])
def test_stacks_under_vmap(registry, name):
    parameters = {"groups": 2} if name == "group" else {}
    modules = [registry.create("normalization", name, **parameters).build(6) for _ in range(2)]
    with torch.no_grad():
        modules[1].weight.mul_(3)
    parameters, buffers = torch.func.stack_module_state(modules)
    x = torch.stack([IMAGES, IMAGES * 2 + 1])

    def call(parameters, buffers, x):
        return torch.func.functional_call(modules[0], (parameters, buffers), (x,))

    y = torch.vmap(call)(parameters, buffers, x)
    for index, module in enumerate(modules):
        torch.testing.assert_close(y[index], module(x[index]))
    for key, value in buffers.items():
        torch.testing.assert_close(value, torch.stack([module.get_buffer(key) for module in modules]))


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("batch", {"eps": 0.0}, "greater than 0"),
        ("batch", {"momentum": 1.5}, "less than or equal to 1"),
        ("batch", {"momentum": 0.0}, "greater than 0"),
        ("group", {"groups": 0}, "greater than or equal to 1"),
        ("layer", {"eps": -1.0}, "greater than 0"),
    ],
)
def test_ranges(registry, name, parameters, message):
    with pytest.raises(ValidationError, match=message):
        registry.create("normalization", name, **parameters)
