import json

import pytest

from dlcli.contracts.search import Uniform
from dlcli.errors import DataError
from dlcli.search.stages import freeze_space, frozen_space, rungs, stage_epochs


@pytest.mark.parametrize(
    ("epochs", "stages", "expected"),
    [(25, 3, (1, 5, 25)), (30, 3, (1, 5, 30)), (30, 1, (30,)), (30, 2, (1, 30)), (3, 3, (1, 2, 3)), (2, 4, (1, 2)),
     (1, 3, (1,)), (81, 5, (1, 3, 9, 27, 81))],
)  # fmt: skip
def test_epochs_rise_from_one_to_all_by_one_factor(epochs, stages, expected):
    assert stage_epochs(epochs, stages) == expected


@pytest.mark.parametrize(
    ("epochs", "expected"),
    [(1, ()), (2, ()), (3, (1,)), (4, (2,)), (8, (3,)), (9, (1, 3)), (10, (2, 4)), (30, (4, 10)), (81, (9, 27))],
)
def test_halving_compares_after_a_ninth_and_a_third(epochs, expected):
    assert rungs(epochs) == expected


@pytest.mark.parametrize("epochs", range(1, 200))
def test_rungs_rise_below_the_end(epochs):
    found = rungs(epochs)
    assert list(found) == sorted(set(found))
    assert all(1 <= rung < epochs for rung in found)


def test_a_stage_is_frozen_once(tmp_path):
    assert frozen_space(tmp_path, 2) is None
    first = {"a": Uniform(0.0, 1.0)}
    assert freeze_space(tmp_path, 2, first) == first
    assert freeze_space(tmp_path, 2, {"a": Uniform(0.5, 0.6)}) == first
    assert frozen_space(tmp_path, 2) == first
    assert [path.name for path in (tmp_path / "stages").iterdir()] == ["2.json"]


@pytest.mark.parametrize("text", ["{", json.dumps({"format": 2}), json.dumps({"format": 1, "space": {"a": {}}})])
def test_a_damaged_stage_is_told(tmp_path, text):
    freeze_space(tmp_path, 1, {})
    (tmp_path / "stages" / "1.json").write_text(text)
    with pytest.raises(DataError, match=r"stages.1\.json is damaged: .*; restore the file from a copy, or start"):
        frozen_space(tmp_path, 1)
