import pytest
import torch
from torch.nn import functional

from dlcli import Field
from dlcli.builtin.input_layers.embed import Embed

COLOR = Field("color", "input", "categorical", (), "int64", classes=("red", "green", "blue"))
TEXT = Field("text", "input", "tokens", (7,), "int64", classes=tuple("abcdefghij"))


@pytest.mark.parametrize(("field", "width", "kind"), [(COLOR, 3, "features"), (TEXT, 6, "sequence")])
def test_a_row_of_a_table(field, width, kind):
    # fastai: emb_sz_rule(3) is 3, emb_sz_rule(10) is 6
    output = Embed().output(field)
    assert (output.kind, output.shape, output.classes) == (kind, (*field.shape, width), ())
    layer = Embed().build(field)
    codes = torch.randint(len(field.classes), (5, *field.shape))
    found = layer(codes)
    assert found.shape == (5, *output.shape)
    one_hot = functional.one_hot(codes, len(field.classes)).float()
    torch.testing.assert_close(found, one_hot @ layer.weight)


def test_a_width_that_is_given():
    assert Embed(width=9).build(COLOR)(torch.tensor([2])).shape == (1, 9)


def test_categories_without_names():
    with pytest.raises(ValueError, match="which values color has; give it the attribute `classes`"):
        Embed().output(Field("color", "input", "categorical", (), "int64"))


def test_numbers_are_left_to_others():
    assert not Embed().accepts(Field("x", "input", "features", (3,), "float32"))
