import json
from pathlib import Path

import pytest

from dlcli import DataError, evaluate, train

DIGITS = Path(__file__).parents[3] / "recipes/digits/digits.h5"


def test_rows_and_folds_that_are_not_there_are_told(folder, plugins):
    recipe = {
        "name": "folds",
        "data": {"path": str(DIGITS)},
        "model": {"architecture": "mlp", "hidden": [4]},
        "train": {"epochs": 1},
    }
    run = train(recipe, kfold=2, plugins=plugins).run
    table = json.loads((run / "folds.json").read_text())
    table["folds"][1]["held_out"][0] = 5000
    (run / "folds.json").write_text(json.dumps(table))
    with pytest.raises(DataError, match="was changed: its rows are not those of its sha256"):
        evaluate(f"{run}@fold-1", split="fold", plugins=plugins)
    table["sha256"] = None
    (run / "folds.json").write_text(json.dumps(table))
    assert evaluate(f"{run}@fold-0", split="fold", plugins=plugins).rows
    with pytest.raises(DataError, match=r"fold-1 lists row 5000, but .*digits\.h5 has 1797; restore its files"):
        evaluate(f"{run}@fold-1", split="fold", plugins=plugins)
    table["folds"][1]["held_out"][0] = -1
    (run / "folds.json").write_text(json.dumps(table))
    with pytest.raises(DataError, match="there is no row -1"):
        evaluate(f"{run}@fold-0", split="fold", plugins=plugins)
    (run / "folds.json").write_text(json.dumps({**table, "folds": table["folds"][:1]}))
    with pytest.raises(DataError, match=r"folds\.json has 1 folds, and none for .*@fold-1; restore the file"):
        evaluate(f"{run}@fold-1", split="fold", plugins=plugins)
