import pytest
import torch
from torch.nn import functional

from dlcli import Field
from dlcli.builtin.input_layers.piecewise_linear import PiecewiseLinearEmbedding

FIELD = Field("x", "input", "features", (3,), "float32")


@pytest.mark.parametrize("relu", [True, False])
def test_an_affine_map_for_each_column(relu):
    component = PiecewiseLinearEmbedding(bins=4, width=2, relu=relu)
    (step,) = component.preprocessors()
    seen = step.output(FIELD)
    layer = component.build(seen)
    assert component.output(seen).shape == (6,)
    filled = torch.rand(5, 12)
    weight, bias = layer[1].weight, layer[1].bias
    each = [functional.linear(filled[:, 4 * i : 4 * i + 4], weight[i].T, bias[i]) for i in range(3)]
    expected = torch.cat(each, dim=1)
    torch.testing.assert_close(layer(filled), expected.relu() if relu else expected)


def test_bins_that_are_missing():
    with pytest.raises(ValueError, match="all 16 bins of every column of x, got 3"):
        PiecewiseLinearEmbedding().build(FIELD)
