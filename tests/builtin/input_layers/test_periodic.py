import numpy as np
import torch

from dlcli import Field
from dlcli.builtin.input_layers.periodic import Periodic

FIELD = Field("x", "input", "features", (4,), "float32")


def test_the_formula_of_the_paper():
    torch.manual_seed(0)
    waves, linear = Periodic(frequencies=3, width=5, scale=0.5).build(FIELD)
    x = torch.randn(6, 4)
    found = linear(waves(x)).detach().numpy()
    c, weight, bias = (tensor.detach().double().numpy() for tensor in (waves.frequencies, linear.weight, linear.bias))
    for row in range(6):
        for column in range(4):
            v = 2 * np.pi * c[column] * float(x[row, column])
            expected = np.maximum(np.concatenate([np.cos(v), np.sin(v)]) @ weight[column] + bias[column], 0)
            np.testing.assert_allclose(found[row, 5 * column : 5 * column + 5], expected, atol=1e-5)


def test_frequencies_start_as_wide_as_is_said():
    torch.manual_seed(0)
    waves, _ = Periodic(frequencies=5000, scale=0.3).build(FIELD)
    assert abs(float(waves.frequencies.detach().std()) - 0.3) < 0.005
    assert Periodic(width=7).output(FIELD).shape == (28,)
