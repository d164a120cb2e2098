import numpy as np
import pytest
import torch
from sklearn.preprocessing import OneHotEncoder

from dlcli import Field

COLOUR = Field("colour", "input", "categorical", (), "int16", classes=("red", "green", "blue", "missing"))
CODES = torch.tensor([2, 0, 2, 1, 0], dtype=torch.int16)  # no row is the last class


@pytest.mark.parametrize("drop_first", [False, True])
def test_as_scikit_learn(registry, drop_first):
    component = registry.create("preprocessor", "one_hot", drop_first=drop_first)
    state = component.finish(component.merge(component.fit(CODES[:2]), component.fit(CODES[2:])), COLOUR)
    oracle = OneHotEncoder(categories=[range(4)], drop="first" if drop_first else None, sparse_output=False)
    got = component.apply(state, CODES)
    assert got.dtype == torch.float32
    np.testing.assert_array_equal(got, oracle.fit_transform(CODES.numpy()[:, None]))
    output = component.output(COLOUR)
    assert (output.kind, output.dtype, output.classes) == ("features", "float32", ())
    assert output.shape == got.shape[1:]
    assert output.names == tuple(name.replace("x0_", "colour=") for name in named(oracle))


def named(oracle):
    """The oracle's columns by the names of classes."""
    return [f"x0_{COLOUR.classes[int(name[3:])]}" for name in oracle.get_feature_names_out()]


def test_what_is_no_class_has_no_column(registry):
    component = registry.create("preprocessor", "one_hot")
    state = component.finish(component.fit(CODES), COLOUR)
    assert torch.equal(
        component.apply(state, torch.tensor([-1, 4, 3])), torch.tensor([[0.0] * 4, [0] * 4, [0, 0, 0, 1]])
    )


def test_classes_must_be_known(registry):
    component = registry.create("preprocessor", "one_hot", drop_first=True)
    with pytest.raises(ValueError, match=r"colour does not say which categories there are; give it the attribute `cl"):
        component.finish({}, Field("colour", "input", "categorical", (), "int64"))
    with pytest.raises(ValueError, match=r"colour has one class, so that without the first no column is left"):
        component.finish({}, Field("colour", "input", "categorical", (), "int64", classes=("red",)))


def test_accepts_categories_alone(registry):
    component = registry.create("preprocessor", "one_hot")
    kinds = ("features", "sequence", "image", "tokens", "categorical")
    assert [k for k in kinds if component.accepts(Field("x", "input", k, (4,), "int64"))] == ["categorical"]
