import json

import pytest
import torch
from dlcli_example.weights_json import WeightsJson

import dlcli
from dlcli import DataError, UsageError
from dlcli.testing import tiny_dataset


@pytest.fixture
def train(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(task, architecture, **model):
        path = tiny_dataset("tiny.h5", "features", task)
        recipe = {"name": "tiny", "data": {"path": str(path)}, "train": {"epochs": 1}}
        return dlcli.train({**recipe, "model": {"architecture": architecture, **model}}).run

    return run


@pytest.mark.parametrize(("task", "architecture"), [("regression", "linear"), ("binary", "logistic")])
def test_the_numbers_in_the_file_are_the_model(train, task, architecture):
    run = train(task, architecture)
    table = json.loads(dlcli.export(run, format=WeightsJson()).path.read_text())
    x = torch.randn(4, 5)
    expected = dlcli.load(run)(x)
    torch.testing.assert_close(x @ torch.tensor(table["weight"]).T + torch.tensor(table["bias"]), expected)


def test_what_is_more_than_a_layer_is_refused(train):
    with pytest.raises(UsageError, match="holds one affine layer of one input without preprocessing"):
        dlcli.export(train("binary", "mlp", hidden=[4]), format=WeightsJson())


@pytest.mark.parametrize("text", ["", "[]", '{"metadata": {}}'])
def test_a_damaged_file_is_refused(tmp_path, text):
    (tmp_path / "layer.json").write_text(text)
    with pytest.raises(DataError, match=r"cannot read the layer .*layer\.json"):
        WeightsJson().open(tmp_path / "layer.json")
