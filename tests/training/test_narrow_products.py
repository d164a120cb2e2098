"""Products with few columns are computed transposed; the function stays."""

import pytest
import torch

from dlcli.training.capture import capture_anew
from dlcli.training.narrow_products import transpose_narrow_products

MEMBERS, ROWS = 3, 20


def run(columns, then, *, bias=True):
    """Capture a stacked affine map and what follows; return results, expected results and the shapes of products."""
    generator = torch.Generator().manual_seed(0)
    x, weight, offset = (
        torch.randn(shape, generator=generator, dtype=torch.float64)
        for shape in ((MEMBERS, ROWS, 7), (MEMBERS, columns, 7), (MEMBERS, columns))
    )

    def one(x, weight, offset):
        return torch.nn.functional.linear(x, weight, offset if bias else None)

    def function(flat, names):
        return [then(torch.vmap(one)(*flat))]

    captured = capture_anew(function, [x, weight, offset], [transpose_narrow_products])
    products = [
        n
        for n in captured.run.__self__.graph.nodes
        if n.target in (torch.ops.aten.bmm.default, torch.ops.aten.baddbmm.default)
    ]
    exact = torch.einsum("mbf,mof->mbo", x, weight) + (offset[:, None] if bias else 0)
    factors = [tuple(n.args[-2].meta["val"].shape) for n in products]
    return captured.run(x, weight, offset)[0], then(exact), factors


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    "then",
    [
        lambda y: y,
        torch.relu,
        lambda y: y.flatten(1),
        lambda y: torch.log_softmax(y, -1).exp().mean(0),
        lambda y: y.transpose(1, 2).contiguous().view(MEMBERS, -1),
        lambda y: torch.stack(y.unbind()).sum(0),
    ],
)
def test_few_columns(bias, then):
    result, expected, factors = run(5, then, bias=bias)
    torch.testing.assert_close(result, expected)
    assert factors == [(MEMBERS, 5, 7)]


@pytest.mark.parametrize("columns", [17, 20, 64])
def test_many_columns_stay(columns):
    result, expected, factors = run(columns, torch.relu)
    torch.testing.assert_close(result, expected)
    assert factors == [(MEMBERS, ROWS, 7)]
