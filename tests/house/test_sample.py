"""The script beside the recipes of a text writes text with a network of it."""

import runpy
from pathlib import Path

import pytest
import torch

import dlcli
from dlcli.experiment.import_data import import_data

SCRIPT = Path(__file__).parents[2] / "recipes" / "shakespeare" / "sample.py"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("text")
    (folder / "text.txt").write_text("to be or not to be, that is the question\n" * 20)
    import_data(folder / "text.txt", folder / "text.h5", parameters={"window": 8})
    recipe = {
        "name": "text",
        "data": {"path": str(folder / "text.h5")},
        "model": {"architecture": "lstm", "inputs": ["embed"], "hidden": 16},
        "train": {"epochs": 20, "batch_size": 8, "optimizer": {"name": "adamw", "lr": 0.03}},
    }
    return dlcli.train(recipe, runs=folder / "runs").run


@pytest.fixture
def write(run, capsys, monkeypatch):
    def make(*options):
        monkeypatch.setattr("sys.argv", [str(SCRIPT), str(run), *options])
        runpy.run_path(str(SCRIPT), run_name="__main__")
        return capsys.readouterr().out.removesuffix("\n")

    return make


def test_a_cold_sample_is_the_likeliest_text(run, write):
    model = dlcli.load(run)
    known, text = model.inputs[0].classes, "to be"
    with torch.inference_mode():
        for _ in range(12):
            places = torch.tensor([[known.index(letter) for letter in text[-8:]]])
            text += known[int(model(places)[0, -1].argmax())]
    found = write("--prompt", "to be", "--letters", "12", "--window", "8", "--temperature", "0.001")
    assert found == text
    assert found.startswith("to be or")


def test_a_warm_one_depends_on_the_seed_alone(write):
    options = ("--prompt", "to", "--letters", "40", "--temperature", "2", "--seed")
    first = write(*options, "1")
    assert len(first) == 42
    assert write(*options, "1") == first
    assert write(*options, "2") != first


def test_a_character_that_is_not_in_the_text_is_refused(write):
    with pytest.raises(SystemExit, match="the network has never seen '7'; give a prompt without"):
        write("--prompt", "to 7")
