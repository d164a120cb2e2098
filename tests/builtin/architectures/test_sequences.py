"""Networks that read sequences: against torch's own, with padding that must not matter."""

import pytest
import torch
from torch import nn

from dlcli import Field, InputOutput, Task

STEPS, WIDTH = 7, 3
SERIES = Field("series", "input", "sequence", (STEPS, WIDTH), "float32")
AGE = Field("age", "condition", "features", (2,), "float32")
LENGTHS = torch.tensor([7, 1, 4, 6])
NAMES = ["rnn", "lstm", "gru", "transformer"]
SMALL = {"transformer": {"width": 8, "heads": 2}}


def io(*inputs, per_position=False, conditions=()):
    return InputOutput(inputs or (SERIES,), Task.MULTICLASS, 4, per_position=per_position, conditions=conditions)


@pytest.fixture
def built(registry):
    def build(name, told=None, **parameters):
        torch.manual_seed(0)
        defaults = SMALL.get(name, {"hidden": 6})
        return registry.create("architecture", name, **{**defaults, **parameters}).build(told or io()).eval()

    return build


def rows(count=4):
    return torch.randn(count, STEPS, WIDTH, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize(("name", "theirs"), [("rnn", nn.RNN), ("lstm", nn.LSTM), ("gru", nn.GRU)])
def test_recurrent_layers_are_torchs(built, name, theirs, bidirectional):
    module = built(name, layers=2, bidirectional=bidirectional)
    reference = theirs(WIDTH, 6, num_layers=2, bidirectional=bidirectional, batch_first=True)
    for layer, own in enumerate(module.layers):
        for direction, cells in enumerate(own.directions):
            for key in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                target = getattr(reference, f"{key}_l{layer}{'_reverse' * direction}")
                target.data.copy_(getattr(cells, f"{key}_l0"))
    x = rows()
    packed = nn.utils.rnn.pack_padded_sequence(x, LENGTHS, batch_first=True, enforce_sorted=False)
    for lengths, given in ((None, x), (LENGTHS, packed)):
        outputs, state = reference(given)
        last = (state[0] if name == "lstm" else state)[-2 if bidirectional else -1 :]
        expected = module.head(last.transpose(0, 1).flatten(1))
        torch.testing.assert_close(module(x, lengths=lengths), expected)
        if lengths is None:
            module.per_position = True
            torch.testing.assert_close(module(x), module.head(outputs))
            module.per_position = False


def test_transformer_is_torchs(built):
    module = built("transformer", layers=2, positions="none", activation="relu")
    reference = nn.TransformerEncoder(
        nn.TransformerEncoderLayer(8, 2, 32, dropout=0, batch_first=True, norm_first=True),
        2,
        norm=nn.LayerNorm(8),
        enable_nested_tensor=False,
    ).eval()
    for own, other in zip(module.blocks, reference.layers, strict=True):
        pairs = (
            (own.attention.projection.weight, other.self_attn.in_proj_weight),
            (own.attention.projection.bias, other.self_attn.in_proj_bias),
            (own.attention.output.weight, other.self_attn.out_proj.weight),
            (own.attention.output.bias, other.self_attn.out_proj.bias),
            (own.feed_forward[0].affine.weight, other.linear1.weight),
            (own.feed_forward[0].affine.bias, other.linear1.bias),
            (own.feed_forward[1].weight, other.linear2.weight),
            (own.feed_forward[1].bias, other.linear2.bias),
        )
        for source, target in pairs:
            target.data.copy_(source)
    x = rows()
    padding = torch.arange(STEPS) >= LENGTHS[:, None]
    made = reference(module.projection(x), src_key_padding_mask=padding)
    weight = (~padding).float()[:, :, None]
    expected = module.head((made * weight).sum(1) / weight.sum(1))
    torch.testing.assert_close(module(x, lengths=LENGTHS), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(module(x), module.head(reference(module.projection(x)).mean(1)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("norm", ["batch", "layer", "rms", {"name": "group", "groups": 2}, "instance"], ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_no_norm_sees_later_steps_or_padding(built, name, norm):
    causal = {"causal": True} if name == "transformer" else {}
    if norm == "instance":
        with pytest.raises(ValueError, match="a step would see later ones and padding"):
            built(name, norm=norm)
        return
    module = built(name, io(per_position=True), norm=norm, **causal)
    x, other = rows(), rows()
    other[:, 4:] = 5.0
    torch.testing.assert_close(module(other)[:, :4], module(x)[:, :4])
    module = built(name, norm=norm)
    lengths = torch.full((4,), 4)
    torch.testing.assert_close(module(other, lengths=lengths), module(x, lengths=lengths))
    torch.testing.assert_close(module(x[:, :4], lengths=lengths), module(x, lengths=lengths), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "parameters", [{}, {"pool": "last"}, {"causal": True, "pool": "last"}, {"bidirectional": True}]
)
@pytest.mark.parametrize("per_position", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_padding_tells_nothing(built, registry, name, per_position, parameters):
    fields = type(registry.create("architecture", name)).model_fields
    module = built(name, io(per_position=per_position), **{k: v for k, v in parameters.items() if k in fields})
    x, other = rows(), rows()
    padding = torch.arange(STEPS) >= LENGTHS[:, None]
    other[padding] = 1e3
    first, second = module(x, lengths=LENGTHS), module(other, lengths=LENGTHS)
    valid = ~padding if per_position else slice(None)
    torch.testing.assert_close(first[valid], second[valid])
    if not per_position:  # and a row without padding gives the same, however long the others are
        alone = module(x[2:3, :4], lengths=LENGTHS[2:3])
        torch.testing.assert_close(first[2:3], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("rnn", {}),
        ("lstm", {}),
        ("gru", {}),
        ("transformer", {"causal": True}),
        ("lstm", {"layers": 2, "norm": "layer"}),
    ],
)
def test_no_step_sees_a_later_one(built, name, parameters):
    module = built(name, io(per_position=True), **parameters)
    x, other = rows(), rows()
    other[:, 4:] = 5.0
    torch.testing.assert_close(module(x)[:, :4], module(other)[:, :4])
    assert not torch.allclose(module(x)[:, 4:], module(other)[:, 4:])


@pytest.mark.parametrize("name", NAMES)
def test_conditions_scale_and_shift_layers(built, name):
    module = built(name, io(conditions=(AGE,)), layers=2, conditions=["age"])
    x, age = rows(), torch.randn(4, 2)
    names = {key.rpartition(".")[0] for key in module.state_dict() if ".scale." in key}
    assert len(names) == (2 if name == "transformer" else 1)  # the first layer alone
    torch.testing.assert_close(module(x, conditions=(age,)), module(x, conditions=(-age,)))  # fresh: no effect yet
    for key, parameter in module.named_parameters():
        if ".scale." in key or ".shift." in key:
            nn.init.normal_(parameter)
    assert not torch.allclose(module(x, conditions=(age,)), module(x, conditions=(-age,)))


def test_sequences_side_by_side_and_positions(built):
    more = Field("more", "input", "sequence", (STEPS, 2), "float32")
    assert built("lstm", io(SERIES, more))(rows(), torch.randn(4, STEPS, 2)).shape == (4, 4)
    module = built("transformer")
    column = torch.arange(8)
    angle = torch.arange(STEPS)[:, None] / 10_000 ** (2 * (column // 2) / 8)
    expected = torch.where(column % 2 == 0, angle.sin(), angle.cos())
    torch.testing.assert_close(module.positions, expected)
    assert module(torch.randn(2, 20, WIDTH)).shape == (2, 4)  # longer than any row of training
    with pytest.raises(ValueError, match="there are learned positions for 7 steps, but rows have 20"):
        built("transformer", positions="learned")(torch.randn(2, 20, WIDTH))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (
            (Field("x", "input", "features", (4,), "float32"),),
            "needs sequences N×T×F, but input x is features; give it",
        ),
        ((Field("t", "input", "tokens", (4,), "int64"),), 'input t holds tokens; put "embed" into model.inputs'),
        ((SERIES, Field("z", "input", "sequence", (5, 2), "float32")), "they differ in steps: series 7, z 5"),
    ],
)
def test_inputs_that_are_no_sequences(built, name, inputs, message):
    with pytest.raises(ValueError, match=message):
        built(name, io(*inputs))


def test_heads_divide_the_width(registry):
    with pytest.raises(ValueError, match="width 10 is no multiple of heads 4; use 8, or other heads"):
        registry.create("architecture", "transformer", width=10)
