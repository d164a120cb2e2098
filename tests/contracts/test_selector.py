import pytest
from torch import nn

from dlcli import select_parameters

NETWORK = nn.ModuleDict(
    {
        "blocks": nn.Sequential(
            nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.PReLU()), nn.Linear(2, 2, bias=False)
        ),
        "head": nn.Linear(2, 3),
    }
)
EVERYTHING = tuple(name for name, _ in NETWORK.named_parameters())


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("weights", ("blocks.0.0.weight", "blocks.1.weight", "head.weight")),
        ("all", EVERYTHING),
        ("head.*", ("head.weight", "head.bias")),
        (
            "blocks.0.*",
            ("blocks.0.0.weight", "blocks.0.0.bias", "blocks.0.1.weight", "blocks.0.1.bias", "blocks.0.2.weight"),
        ),
        ("*.bias", ("blocks.0.0.bias", "blocks.0.1.bias", "head.bias")),
        ("head.bias , blocks.1.*", ("blocks.1.weight", "head.bias")),
        (["head.bias", "blocks.1.*"], ("blocks.1.weight", "head.bias")),
        ("weights, head.*", ("blocks.0.0.weight", "blocks.1.weight", "head.weight", "head.bias")),
        ("Head.*", ()),
        ("tail", ()),
        ("", ()),
    ],
)
def test_selectors(selector, expected):
    assert select_parameters(NETWORK, selector) == expected


def test_a_frozen_parameter_is_still_named():
    linear = nn.Linear(2, 2).requires_grad_(False)
    assert select_parameters(linear, "all") == ("weight", "bias")
