import json
import math

import pytest

from dlcli.contracts.search import Choice, Condition, Distribution, Normal, Uniform
from dlcli.search.space_file import frozen, space_from_json, space_to_json

SPACE = {
    "lr": Uniform(1e-5, 1e-1, log=True),
    "layers": Uniform(1, 4, whole=True),
    "hidden": Choice(((64,), (128, 128), None, True, 1, 1.5, "a", {"name": "glu", "sizes": (1, 2)})),
    "momentum": Normal(0.9, 0.05, high=1.0, when=Condition("optimizer", ("sgd", {"name": "x", "betas": (1, 2)}))),
    "optimizer": Choice(("sgd", "adam")),
}


def test_a_space_comes_back_from_json_as_it_was():
    text = json.dumps(space_to_json(SPACE), allow_nan=False)
    found = space_from_json(json.loads(text))
    assert found == SPACE
    assert list(found) == list(SPACE)
    assert found["momentum"].low == -math.inf
    assert isinstance(found["layers"].low, int)
    assert isinstance(found["hidden"].values[0], tuple)
    assert found["hidden"].values[3] is True


def test_a_setting_comes_back_with_tuples():
    setting = {"hidden": ((1, 2), {"a": (3,)}), "lr": 0.1}
    assert frozen(json.loads(json.dumps(setting))) == setting


def test_only_the_three_kinds_can_be_written():
    class Odd(Distribution):
        def at(self, quantile):
            return 0

        def contains(self, value):
            return False

    with pytest.raises(TypeError, match="a space cannot hold a Odd: only Uniform, Normal and Choice"):
        space_to_json({"a": Odd()})


def test_an_unknown_kind_is_refused():
    with pytest.raises(KeyError, match="cauchy"):
        space_from_json({"a": {"kind": "cauchy"}})
