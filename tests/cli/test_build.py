from pathlib import Path

import pytest

from dlcli.experiment.overfitting import attempt

RECIPE = str(Path(__file__).parents[2] / "recipes/digits/mlp.toml")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_overfit_batch_tells_its_verdict_and_leaves_nothing(dlcli, folder):
    outcome = dlcli("build", RECIPE, "--overfit-batch", "--set", "model.hidden=[32]")
    assert outcome.code == 0
    assert "learnt: loss" in outcome.out
    assert "100 % of the batch right" in outcome.out
    assert not list(folder.iterdir())


def test_overfit_batch_as_json(dlcli):
    outcome = dlcli("build", RECIPE, "--overfit-batch", "--json", "--set", "model.hidden=[32]")
    assert outcome.code == 0
    assert outcome.json["reached"] is True
    assert outcome.json["attempts"][0]["losses"][0] == outcome.json["first"]


def test_a_batch_that_is_not_learnt_is_exit_code_5(dlcli, monkeypatch):
    monkeypatch.setattr(attempt, "STEPS", 2)
    words = ("build", RECIPE, "--overfit-batch")
    outcome = dlcli(*words)
    assert outcome.code == 5
    assert "not learnt: loss" in outcome.out
    assert not outcome.err
    quiet = dlcli(*words, "-q")
    assert (quiet.code, quiet.out, quiet.err) == (5, "", "")
    told = dlcli(*words, "--json")
    assert told.code == 5
    assert told.json["reached"] is False


def test_ctrl_c_ends_it_with_130(dlcli, monkeypatch, folder):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(attempt, "right_share", interrupted)
    outcome = dlcli("build", RECIPE, "--overfit-batch")
    assert outcome.code == 130
    assert "interrupted" in outcome.err
    assert not list(folder.iterdir())


def test_diagram_is_drawn_beside_what_build_tells(dlcli, folder):
    outcome = dlcli("build", RECIPE, "--diagram", "net.svg")
    assert outcome.code == 0
    assert "drawn    net.svg" in outcome.out
    assert "total" in outcome.out
    assert Path("net.svg").read_text().startswith("<svg ")
    assert dlcli("build", RECIPE, "--diagram", "net.svg", "--json").json["name"] == "digits-mlp"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--diagram", "net.png"), "their names end with .svg; got --diagram net.png"),
        (("--diagram", "no/net.svg"), "there is no folder no"),
        (("--diagram", "net.svg", "--overfit-batch"), "--diagram goes with a plain build"),
    ],
)
def test_what_cannot_be_drawn_is_exit_code_2(dlcli, folder, words, message):
    outcome = dlcli("build", RECIPE, *words)
    assert outcome.code == 2
    assert message in outcome.err
    assert not list(folder.iterdir())
