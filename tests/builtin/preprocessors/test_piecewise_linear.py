import numpy as np
import pytest
import torch

from dlcli import Field
from dlcli.builtin.preprocessors.piecewise_linear import PiecewiseLinear

FIELD = Field("x", "input", "features", (3,), "float32", names=("a", "b", "c"))


def by_hand(value: float, edges: np.ndarray) -> list[float]:
    """Formula (1) of Gorishniy et al. 2022, bin by bin."""
    found = []
    for t in range(1, len(edges)):
        low, high = edges[t - 1], edges[t]
        if high == low:
            found.append(float(value >= high))
        elif value < low and t > 1:
            found.append(0.0)
        elif value >= high and t < len(edges) - 1:
            found.append(1.0)
        else:
            found.append((value - low) / (high - low))
    return found


def test_shares_of_bins_between_quantiles():
    rows = torch.randn(500, 3, generator=torch.Generator().manual_seed(0))
    rows[:300, 1] = 0.5  # several quantiles are equal
    rows[:, 2] = 4.0
    component = PiecewiseLinear(bins=8)
    state = component.finish(component.fit(rows), FIELD)
    edges = np.quantile(rows.numpy(), np.linspace(0, 1, 9), axis=0).T
    np.testing.assert_allclose(state["edges"], edges, rtol=1e-6)
    batch = torch.tensor([[-9.0, 0.5, 4.0], [0.3, 0.49, 3.0], [9.0, 0.6, 5.0], [0.0, -1.0, 4.0]])
    kept = {name: value.float() for name, value in state.items()}
    found = component.apply(kept, batch).view(4, 3, 8)
    for row in range(4):
        for column in range(3):
            expected = by_hand(float(batch[row, column]), kept["edges"][column].numpy())
            np.testing.assert_allclose(found[row, column], expected, rtol=1e-4, atol=1e-5)


def test_columns_are_named_by_bin():
    output = PiecewiseLinear(bins=2).output(FIELD)
    assert output.shape == (6,)
    assert output.names == ("a[0]", "a[1]", "b[0]", "b[1]", "c[0]", "c[1]")


def test_nothing_to_fit_on():
    with pytest.raises(ValueError, match="at least one row"):
        PiecewiseLinear().fit(torch.zeros(0, 3))
