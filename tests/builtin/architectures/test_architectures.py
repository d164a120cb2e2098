import pytest
import torch
from pydantic import ValidationError

from dlcli import Field, InputOutput, Task

FEATURES = Field("x", "input", "features", (6,), "float32")
IMAGE = Field("image", "input", "image", (3, 8, 12), "float32")
SEQUENCE = Field("series", "input", "sequence", (5, 2), "float32")
TOKENS = Field("text", "input", "tokens", (5,), "int64")
CONDITION = Field("style", "condition", "categorical", (), "int64", classes=("a", "b"))


def io(*inputs, outputs=4, task=Task.MULTICLASS, **others):
    return InputOutput(inputs, task, outputs, **others)


def rows(*inputs, count=7):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(count, *field.shape, generator=generator) for field in inputs]


def sizes(module):
    return {name: tuple(parameter.shape) for name, parameter in module.named_parameters()}


FLAT = ["linear", "logistic", "mlp"]


@pytest.mark.parametrize("name", FLAT)
@pytest.mark.parametrize("inputs", [(FEATURES,), (IMAGE,), (SEQUENCE,), (FEATURES, IMAGE, SEQUENCE)])
def test_flat_networks_take_any_numbers(registry, name, inputs):
    module = registry.create("architecture", name).build(io(*inputs))
    x = rows(*inputs)
    assert module(*x).shape == (7, 4)
    torch.testing.assert_close(module(*(tensor[:1] for tensor in x)), module(*x)[:1])


@pytest.mark.parametrize("name", ["linear", "logistic"])
def test_affine_is_one_matrix_product(registry, name):
    module = registry.create("architecture", name).build(io(FEATURES, IMAGE))
    assert sizes(module) == {"head.weight": (4, 294), "head.bias": (4,)}
    x, image = rows(FEATURES, IMAGE)
    expected = torch.cat([x, image.flatten(1)], 1) @ module.head.weight.T + module.head.bias
    torch.testing.assert_close(module(x, image), expected)


def test_linear_regresses_and_logistic_refuses_to(registry):
    regression = io(FEATURES, outputs=2, task=Task.REGRESSION)
    assert registry.create("architecture", "linear").build(regression)(*rows(FEATURES)).shape == (7, 2)
    with pytest.raises(
        ValueError, match='logistic classifies, but the task is regression; use architecture = "linear"'
    ):
        registry.create("architecture", "logistic").build(regression)


def test_mlp_layers(registry):
    mlp = registry.create(
        "architecture", "mlp", hidden=[5, 3], activation={"name": "leaky_relu", "slope": 0.2}, norm="layer"
    )
    module = mlp.build(io(FEATURES))
    assert sizes(module) == {
        "blocks.0.affine.weight": (5, 6),
        "blocks.0.affine.bias": (5,),
        "blocks.0.normalization.weight": (5,),
        "blocks.0.normalization.bias": (5,),
        "blocks.1.affine.weight": (3, 5),
        "blocks.1.affine.bias": (3,),
        "blocks.1.normalization.weight": (3,),
        "blocks.1.normalization.bias": (3,),
        "head.weight": (4, 3),
        "head.bias": (4,),
    }
    (x,) = rows(FEATURES)
    hidden = x
    for block in module.blocks:
        affine = torch.nn.functional.linear(hidden, block.affine.weight, block.affine.bias)
        hidden = torch.nn.functional.leaky_relu(torch.nn.functional.layer_norm(affine, affine.shape[1:]), 0.2)
    torch.testing.assert_close(module(x), module.head(hidden))


def test_mlp_without_hidden_layers_is_linear(registry):
    assert sizes(registry.create("architecture", "mlp", hidden=[]).build(io(FEATURES))) == sizes(
        registry.create("architecture", "linear").build(io(FEATURES))
    )


@pytest.mark.parametrize(("name", "parameters", "field"), [("mlp", {}, FEATURES), ("cnn", {"hidden": [9]}, IMAGE)])
def test_no_bias_before_batch_norm(registry, name, parameters, field):
    module = registry.create("architecture", name, norm="batch", **parameters).build(io(field))
    assert [key for key in sizes(module) if key.endswith("affine.bias")] == []
    module = registry.create("architecture", name, **parameters).build(io(field))
    assert all(key.replace("weight", "bias") in sizes(module) for key in sizes(module) if key.endswith("affine.weight"))


@pytest.mark.parametrize(("name", "field", "places"), [("mlp", FEATURES, 2), ("cnn", IMAGE, 2)])
def test_dropout_acts_in_training_alone(registry, name, field, places):
    module = registry.create("architecture", name, dropout=0.5).build(io(field))
    x = rows(field)
    assert not torch.equal(module(*x), module(*x))
    module.eval()
    assert torch.equal(module(*x), module(*x))
    rates = [float(buffer) for key, buffer in module.named_buffers() if key.endswith("rate")]
    assert rates.count(0.5) == places


def test_members_stack_with_rates_of_their_own(registry):
    base = registry.create("architecture", "mlp", hidden=[50], dropout=0.25)
    other = base.with_per_member({"dropout": 0.75})
    assert base.stack_key() == other.stack_key()
    modules = [component.build(io(FEATURES)) for component in (base, other)]
    assert list(modules[0].state_dict()) == list(modules[1].state_dict())
    parameters, buffers = torch.func.stack_module_state(modules)
    x = torch.stack(rows(FEATURES) * 2)

    def call(parameters, buffers, x):
        return torch.func.functional_call(modules[0].eval(), (parameters, buffers), (x,))

    stacked = torch.vmap(call)(parameters, buffers, x)
    for index, module in enumerate(modules):
        torch.testing.assert_close(stacked[index], module.eval()(x[index]))


@pytest.mark.parametrize(
    ("parameters", "flat"),
    [
        ({}, 64 * 2 * 3),
        ({"pool": "none", "channels": [2]}, 2 * 8 * 12),
        ({"padding": "valid", "pool": "avg", "convolutions": 2, "channels": [2]}, 2 * 2 * 4),
        ({"padding": "valid", "pool": "none", "kernel_size": 4, "channels": [2, 5]}, 5 * 2 * 6),
        ({"channels": [2], "pool_size": 4}, 2 * 2 * 3),
    ],
)
def test_cnn_sizes(registry, parameters, flat):
    module = registry.create("architecture", "cnn", hidden=[9], **parameters).build(io(IMAGE))
    assert sizes(module)["hidden.0.affine.weight"] == (9, flat)
    assert module(*rows(IMAGE)).shape == (7, 4)


def test_cnn_layers(registry):
    cnn = registry.create("architecture", "cnn", channels=[2, 5], convolutions=2, hidden=[])
    module = cnn.build(io(IMAGE))
    weights = {name: size for name, size in sizes(module).items() if name.endswith("weight")}
    assert weights == {
        "blocks.0.convolution_0.affine.weight": (2, 3, 3, 3),
        "blocks.0.convolution_1.affine.weight": (2, 2, 3, 3),
        "blocks.1.convolution_0.affine.weight": (5, 2, 3, 3),
        "blocks.1.convolution_1.affine.weight": (5, 5, 3, 3),
        "head.weight": (4, 5 * 2 * 3),
    }
    (x,) = rows(IMAGE)
    maps = x
    for block in module.blocks:
        for layer in (block.convolution_0, block.convolution_1):
            maps = torch.nn.functional.conv2d(maps, layer.affine.weight, layer.affine.bias, padding=1).relu()
        maps = torch.nn.functional.max_pool2d(maps, 2)
    torch.testing.assert_close(module(x), module.head(maps.flatten(1)))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"channels": [2, 2, 2, 2]},
            r"blocks.3.pool takes patches of 2 pixels, but only 1 of the image's 8 are left there; use fewer channels",
        ),
        (
            {"padding": "valid", "channels": [2, 2], "convolutions": 2},
            r"blocks.1.convolution_0: N' = .* = \(2 − 3 \+ 2·0\) / 1 \+ 1 = 0 for height 2, .*: the window is larger",
        ),
        (
            {"padding": "valid", "channels": [2], "convolutions": 10**12},
            r"blocks.0.convolution_3: N' = .* = 0 for height 2, .* the window is larger than what is left there; pad",
        ),
    ],
)
def test_cnn_names_the_layer_that_leaves_nothing(registry, parameters, message):
    with pytest.raises(ValueError, match=message):
        registry.create("architecture", "cnn", **parameters).build(io(IMAGE))


def test_cnn_drops_no_pixels_unasked(registry):
    seven = Field("image", "input", "image", (1, 8, 7), "float32")
    told = (
        r"cnn: blocks.0.pool: N' = .* = \(7 − 2 \+ 2·0\) / 2 \+ 1 = 3.5 for width 7, .*: pixels at the end would be "
        "dropped; stride 1 would fit, or floor = true to drop them"
    )
    with pytest.raises(ValueError, match=told):
        registry.create("architecture", "cnn", channels=[2], pool_size=2).build(io(seven))
    cut = registry.create("architecture", "cnn", channels=[2], pool_size=2, floor=True).build(io(seven))
    assert cut.hidden[0].affine.in_features == 2 * 4 * 3


@pytest.mark.parametrize(
    ("kind", "name", "parameters", "told"),
    [
        ("architecture", "mlp", {"stochastic_depth": 0.1}, "stochastic_depth is not used without residual = true"),
        ("architecture", "mlp", {"dropout_kind": "alpha"}, 'dropout_kind = "alpha" is not used, since dropout = 0'),
        ("architecture", "cnn", {"pool": "none", "pool_size": 3}, 'pool_size is not used, since pool = "none"'),
        ("architecture", "cnn", {"pool": "none", "pool_stride": 2}, 'pool_stride is not used, since pool = "none"'),
        ("architecture", "cnn", {"dropout_kind": "alpha"}, 'dropout_kind = "alpha" is not used, since dropout = 0'),
        (
            "schedule",
            "cosine",
            {"warmup_start_factor": 0.1},
            "warmup_start_factor is not used, since warmup_epochs = 0",
        ),
        ("regularizer", "clip_gradients", {"max_norm": 0.0}, "max_norm and max_value are 0, so nothing is clipped"),
    ],
)
def test_parameters_without_effect_are_told(registry, kind, name, parameters, told):
    (clause,) = registry.create(kind, name, **parameters).ignored()
    assert clause.startswith(told)
    assert not registry.create(kind, name).ignored()


@pytest.mark.parametrize("name", [*FLAT, "cnn"])
def test_what_none_of_them_can_do(registry, name):
    architecture = registry.create("architecture", name)
    with pytest.raises(ValueError, match=f"{name} gives one answer a row, but the target has one for every position"):
        architecture.build(io(IMAGE, per_position=True))
    with pytest.raises(ValueError, match=f"{name} needs numbers, but condition style"):
        architecture.build(io(IMAGE, conditions=(CONDITION,)))


@pytest.mark.parametrize("name", FLAT)
def test_flat_networks_refuse_tokens(registry, name):
    with pytest.raises(ValueError, match=f"{name} needs numbers, but input text holds tokens; allowed are features"):
        registry.create("architecture", name).build(io(FEATURES, TOKENS))


def test_cnn_takes_one_image(registry):
    architecture = registry.create("architecture", "cnn")
    with pytest.raises(ValueError, match=r"exactly one input, of kind image, got x \(features\); or choose mlp"):
        architecture.build(io(FEATURES))
    with pytest.raises(ValueError, match=r"got image \(image\), x \(features\)"):
        architecture.build(io(IMAGE, FEATURES))


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("mlp", {"hidden": [0]}, "greater than or equal to 1"),
        ("mlp", {"hidden": 64}, "valid tuple"),
        ("mlp", {"dropout": 1.0}, "less than 1"),
        ("mlp", {"activation": "rleu"}, "unknown activation 'rleu'; did you mean 'relu'"),
        ("mlp", {"norm": "relu"}, "'relu' is the name of an? activation, but here a normalization is wanted"),
        ("cnn", {"channels": []}, "at least 1 item"),
        ("cnn", {"kernel_size": 4}, r'padding = "same" needs an odd kernel_size, got 4; use 5, or padding = "valid"'),
        ("cnn", {"pool": "mean"}, "'max', 'avg' or 'none'"),
        ("linear", {"bias": False}, "Extra inputs are not permitted"),
    ],
)
def test_ranges(registry, name, parameters, message):
    with pytest.raises(ValidationError, match=message):
        registry.create("architecture", name, **parameters)


@pytest.mark.parametrize(("name", "field"), [("linear", FEATURES), ("mlp", FEATURES), ("cnn", IMAGE)])
def test_initial_values_come_from_torchs_stream(registry, name, field):
    built = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        built.append(registry.create("architecture", name).build(io(field)).state_dict())
    assert all(torch.equal(built[0][key], built[1][key]) for key in built[0])
    assert not torch.equal(built[0]["head.weight"], built[2]["head.weight"])


AGE = Field("age", "condition", "features", (2,), "float32")


@pytest.mark.parametrize("name", ["linear", "logistic", "svm"])
def test_affine_maps_with_conditions(registry, name):
    torch.manual_seed(0)
    (x,), age = rows(FEATURES), torch.rand(7, 2)
    module = registry.create("architecture", name).build(io(FEATURES, conditions=(AGE,)))
    head, scaled = module.head, module.blocks[0]
    torch.testing.assert_close(module(x, conditions=(age,)), head(x))  # conditions begin without effect
    torch.nn.init.normal_(scaled.scale.weight)
    torch.nn.init.normal_(scaled.shift.bias)
    expected = head(x * (1 + age @ scaled.scale.weight.T) + scaled.shift.bias)
    torch.testing.assert_close(module(x, conditions=(age,)), expected)
    shifted = registry.create("architecture", name, conditions=[{"shift": "age"}])
    (only,) = shifted.build(io(FEATURES, conditions=(AGE,))).blocks
    assert sizes(only) == {"shift.weight": (6, 2), "shift.bias": (6,)}


def test_mlp_with_residual_blocks_and_conditions(registry):
    told = io(FEATURES, conditions=(AGE,))
    parameters = {"hidden": [5, 5, 4], "residual": True, "stochastic_depth": 0.3, "norm": "layer"}
    module = registry.create("architecture", "mlp", **parameters).build(told).eval()
    assert [type(block).__name__ for block in module.blocks] == ["AffineBlock", "Residual", "AffineBlock"]
    assert module.blocks[1].drop.rate.item() == pytest.approx(0.2, abs=1e-4)
    (x,), age = rows(FEATURES), torch.randn(7, 2)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter)
    hidden = module.blocks[0](x, (age,))
    hidden = hidden + module.blocks[1].branch(hidden, (age,))
    torch.testing.assert_close(module(x, conditions=(age,)), module.head(module.blocks[2](hidden, (age,))))
    assert not torch.allclose(module(x, conditions=(age,)), module(x, conditions=(-age,)))
    with pytest.raises(ValueError, match=r"mlp: residual needs two equal widths one after the other, .* \[6, 5, 4\]"):
        registry.create("architecture", "mlp", hidden=[5, 4], residual=True).build(io(FEATURES))


def test_svm_brings_its_loss_and_its_penalty(registry):
    svm = registry.create("architecture", "svm", C=2.0)
    assert [svm.default_loss(task) for task in (Task.BINARY, Task.MULTICLASS, Task.REGRESSION)] == [
        "hinge",
        "hinge",
        "epsilon_insensitive",
    ]
    (penalty,) = svm.own_regularizers(50)
    assert (penalty.name, penalty.strength) == ("l2", 0.01)
    assert sizes(svm.build(io(FEATURES))) == {"head.weight": (4, 6), "head.bias": (4,)}
