from pathlib import Path

import pytest
import torch
from torch import nn

from dlcli import Exportable


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(5, 3)

    def forward(self, x):
        logits = self.layer(x)
        return logits, logits.softmax(-1)


@pytest.fixture
def exportable():
    """A small module as an exporter gets it."""
    torch.manual_seed(0)
    inputs = {"x": torch.randn(4, 5)}
    outputs, texts = ("logits", "probabilities"), {"dlcli": "{}", "classes": '["ä", "b"]'}
    return Exportable(
        Small().eval(), inputs, {}, outputs, texts, Path(), "", lambda count: {"x": torch.randn(count, 5)}
    )
