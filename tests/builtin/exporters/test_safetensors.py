import json
import runpy
from pathlib import Path

import h5py
import pytest
import torch

import dlcli
from dlcli import DESCRIPTION_KEY, Answering, DataError, Exportable
from dlcli.builtin.exporters.safetensors import SafetensorsFolder

DIGITS = Path(__file__).parents[3] / "recipes/digits/digits.h5"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    torch.set_num_threads(1)
    recipe = {
        "name": "bag",
        "data": {"path": str(DIGITS), "preprocess": ["standardize"]},
        "model": {"architecture": "mlp", "hidden": [8]},
        "train": {"epochs": 1},
        "ensemble": {"strategy": "bagging", "members": 2},
    }
    return dlcli.ensemble(recipe, runs=tmp_path_factory.mktemp("runs")).run


@pytest.fixture(scope="module")
def rows():
    with h5py.File(DIGITS) as file:
        return torch.from_numpy(file["test/x"][:50]).reshape(50, 1, 8, 8)


@pytest.fixture
def written(run, rows, tmp_path):
    model = Answering(dlcli.load(run))
    outputs = model.interface.outputs
    exportable = Exportable(
        model, {"x": rows}, {}, outputs, {"run": "é"}, run / "model", "---\n---\n# card\n", lambda count: {}
    )
    SafetensorsFolder().write(exportable, tmp_path / "left")
    return tmp_path / "left"


def test_it_leaves_what_a_model_hub_expects(written, run):
    assert {path.name for path in written.iterdir()} == {"model.safetensors", "model.json", "load.py", "README.md"}
    assert (written / "model.safetensors").read_bytes() == (run / "model/model.safetensors").read_bytes()
    assert (written / "README.md").read_text() == "---\n---\n# card\n"


def test_what_it_opens_answers_as_the_run_does(written, run, rows):
    source = Answering(dlcli.load(run))
    artefact = SafetensorsFolder().open(written)
    assert artefact.metadata == {DESCRIPTION_KEY: source.interface.as_text(), "run": "é"}
    with torch.no_grad():
        expected = dict(zip(source.interface.outputs, source(rows), strict=True))
    found = artefact.run({"x": rows})
    assert found.keys() == expected.keys() == {"logits", "probabilities", "spread"}
    for name, values in expected.items():
        torch.testing.assert_close(found[name], values, rtol=0, atol=0)


def test_its_script_rebuilds_the_module(written, run, rows):
    model = runpy.run_path(str(written / "load.py"))["model"]
    torch.testing.assert_close(model.probabilities(rows), dlcli.load(run).probabilities(rows), rtol=0, atol=0)


def test_its_script_is_not_executed(written):
    (written / "load.py").write_text("raise SystemExit('executed')")
    SafetensorsFolder().open(written)


def test_what_is_no_such_folder_is_refused(written, tmp_path):
    with pytest.raises(DataError, match=r"is no folder of a model: it holds no model\.safetensors and model\.json"):
        SafetensorsFolder().open(tmp_path)
    table = json.loads((written / "model.json").read_text())
    table["models"][0]["architecture"]["name"] = "os:system"
    (written / "model.json").write_text(json.dumps(table))
    with pytest.raises(DataError, match="unknown architecture 'os:system'"):
        SafetensorsFolder().open(written)


def test_metadata_that_are_no_texts_are_refused(written):
    table = json.loads((written / "model.json").read_text())
    (written / "model.json").write_text(json.dumps({**table, "metadata": {"run": 1}}))
    with pytest.raises(DataError, match=r"model\.json is damaged: its metadata are no table of texts"):
        SafetensorsFolder().open(written)
    del table["metadata"]  # of earlier versions
    (written / "model.json").write_text(json.dumps(table))
    assert SafetensorsFolder().open(written).metadata.keys() == {DESCRIPTION_KEY}


def test_rows_that_do_not_fit_are_an_error(written):
    with pytest.raises(DataError, match="the model cannot answer these rows: "):
        SafetensorsFolder().open(written).run({"x": torch.zeros(2, 1, 8, 9)})
