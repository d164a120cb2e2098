import logging
import warnings

import pytest
import torch
from torch import nn

from dlcli.layers.program import CannotExportError, export_program, identifier, without_torch_warnings


class Reads(nn.Module):
    """Reads a value in the middle, which no recorder can."""

    def forward(self, x):
        return x * float(x.sum())


def test_arguments_are_called_like_fields():
    class Pair(nn.Module):
        def forward(self, first, second):
            return first + second

    x = torch.randn(3, 2)
    program = export_program(Pair(), {"pixel values": x, "class": x}, {})
    assert program.graph_signature.user_inputs == ("pixel_values", "field_class")
    assert torch.equal(program.module()(x[:1], x[:1]), 2 * x[:1])


def test_names_that_become_one_are_numbered():
    class Pair(nn.Module):
        def forward(self, first, second):
            return first - second

    x = torch.randn(3, 2)
    program = export_program(Pair(), {"a b": x, "a-b": x}, {})
    assert program.graph_signature.user_inputs == ("field_0", "field_1")


@pytest.mark.parametrize(
    ("name", "plain"), [("x", "x"), ("in put", "in_put"), ("1st", "field_1st"), ("def", "field_def")]
)
def test_identifiers(name, plain):
    assert identifier(name) == plain


def test_the_layer_that_fails_is_named():
    module = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.ReLU(), Reads())).eval()
    with pytest.raises(CannotExportError, match="decides by values of the rows") as caught:
        export_program(module, {"x": torch.randn(3, 2)}, {})
    assert caught.value.layer == "1.1"
    assert isinstance(caught.value.module, Reads)


def test_a_module_for_one_number_of_rows_is_refused():
    class Three(nn.Module):
        def forward(self, x):
            return x.view(3, 2) + 1

    with pytest.raises(CannotExportError, match="one number of rows alone"):
        export_program(Three(), {"x": torch.randn(3, 2)}, {})


def test_logs_and_warnings_are_as_before_afterwards(caplog):
    logger = logging.getLogger("torch.export")
    level = logger.level
    with without_torch_warnings():
        logger.warning("about itself")
        warnings.warn("isinstance(treespec, LeafSpec) is deprecated", FutureWarning, stacklevel=1)
    assert logger.level == level
    assert not caplog.records
    with pytest.warns(UserWarning, match="of the user's"), without_torch_warnings():
        warnings.warn("of the user's", UserWarning, stacklevel=1)
