import pytest
import torch
from torch import nn

from dlcli import ConditionalNormalization, Conditioning, Field, InputOutput, Task, conditionings

AGE = Field("age", "condition", "features", (2,), "float32")
DOSE = Field("dose", "condition", "features", (3,), "float32")
STYLE = Field("style", "condition", "categorical", (), "int64", classes=("a", "b"))
X = Field("x", "input", "features", (4,), "float32")


def io(*conditions):
    return InputOutput((X,), Task.MULTICLASS, 3, conditions=conditions)


@pytest.mark.parametrize(("shape", "feature_dim"), [((5, 4), 1), ((5, 4, 3, 2), 1), ((5, 6, 4), -1)])
def test_scale_and_shift_follow_the_norm(shape, feature_dim):
    torch.manual_seed(0)
    h, age, dose = torch.randn(shape), torch.randn(5, 2), torch.randn(5, 3)
    norm = nn.Tanh()
    module = ConditionalNormalization(norm, 4, Conditioning((0,), (0, 1), (2, 3)), feature_dim)
    torch.testing.assert_close(module(h, (age, dose)), norm(h))  # a fresh one changes nothing
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    scale = 1 + age @ module.scale.weight.T + module.scale.bias
    shift = torch.cat([age, dose], 1) @ module.shift.weight.T + module.shift.bias
    order = {1: "bc...->b...c", -1: "b...c->b...c"}[feature_dim]
    left, right = order.split("->")
    last = torch.einsum(f"{left}->{right}", norm(h))
    expanded = [row.view(5, *[1] * (h.ndim - 2), 4) for row in (scale, shift)]
    expected = torch.einsum(f"{right}->{left}", last * expanded[0] + expanded[1])
    torch.testing.assert_close(module(h, (age, dose)), expected)


def test_where_conditions_go():
    both = Conditioning((0, 1), (0, 1), (2, 3))
    assert conditionings("net", io(), 2) == (None, None)
    assert conditionings("net", io(AGE, DOSE), 2) == (both, both)
    assert conditionings("net", io(AGE, DOSE), 3, ["dose", "age"]) == (
        Conditioning((1,), (1,), (2, 3)),
        Conditioning((0,), (0,), (2, 3)),
        None,
    )
    assert conditionings("net", io(AGE, DOSE), 1, [{"scale": "age", "shift": "dose"}]) == (
        Conditioning((0,), (1,), (2, 3)),
    )


@pytest.mark.parametrize(
    ("conditions", "layers", "uses", "message"),
    [
        ((), 1, ["age"], "net is to take conditions \\(age\\), but the data has none; give fields the role condition"),
        ((STYLE,), 1, [], 'needs numbers, but condition style holds categorical; put "one_hot" into data.preprocess'),
        ((AGE,), 0, [], "net has no layer that could take the conditions age; add a hidden layer"),
        ((AGE,), 1, ["age", "age"], "net has 1 layer that takes conditions, but 2 entries in conditions"),
        ((AGE, DOSE), 2, ["age"], "net does not use the condition dose: add it to conditions, or leave it out"),
        ((AGE,), 1, ["agee"], "there is no condition 'agee' in the data; there are age"),
        ((AGE,), 1, [{"scal": "age"}], "an entry of conditions is a field, or has scale and shift.*got scal"),
        ((AGE,), 1, [{}], "net does not use the condition age"),
    ],
)
def test_conditions_that_cannot_be(conditions, layers, uses, message):
    with pytest.raises(ValueError, match=message):
        conditionings("net", io(*conditions), layers, uses)
