"""`dlcli evaluate` as it is typed: what is printed, and what is left in the run."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from dlcli.cli.app import run


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with two finished runs."""
    folder = tmp_path_factory.mktemp("evaluating")
    generator = np.random.default_rng(0)
    with h5py.File(folder / "blobs.h5", "w") as file:
        for split, rows in (("train", 90), ("val", 30), ("test", 30)):
            labels = np.arange(rows) % 3
            file[f"{split}/x"] = (generator.normal(size=(rows, 4)) + labels[:, None]).astype("float32")
            file[f"{split}/y"] = labels
            file[f"{split}/y"].attrs["classes"] = ["low", "mid", "high"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DLCLI_PLUGINS", "")
        patch.chdir(folder)
        assert run(["init", "blobs.h5", "--quiet"]) == 0
        for name, epochs in (("short", 3), ("long", 12)):
            assert run(["train", "--set", f"train.epochs={epochs}", "--name", name, "--quiet"]) == 0
    return folder


@pytest.fixture(autouse=True)
def inside(workplace, monkeypatch):
    monkeypatch.chdir(workplace)


def test_figures_are_shown_and_kept(dlcli):
    outcome = dlcli("evaluate", "long", "--worst", "2")
    assert (outcome.code, outcome.err) == (0, "")
    shown = outcome.out.splitlines()
    assert "95 % intervals: percentile bootstrap, 2,000 times 30 rows drawn anew" in shown
    assert "kept     runs/long/0001/evaluations/test.json" in [line.rstrip() for line in shown]
    worst = shown[shown.index(next(line for line in shown if line.startswith("rows with the highest loss"))) + 2 :]
    assert [line.split()[1][:5] for line in worst[:2]] == ["test/", "test/"]
    assert worst[2] == ""
    kept = json.loads(Path("runs/long/0001/evaluations/test.json").read_text())
    assert dlcli("evaluate", "long", "--worst", "2", "--json").json == kept
    assert np.sum(kept["confusion"]["matrix"]) == 30


def test_intervals_of_another_level_or_none(dlcli):
    wide, narrow = (dlcli("evaluate", "long", "--ci", level, "--json").json for level in ("99", "50"))
    assert wide["intervals"]["loss"][0] < narrow["intervals"]["loss"][0] < narrow["intervals"]["loss"][1]
    assert dlcli("evaluate", "long", "--ci", "0", "--json").json["intervals"] == {}
    refused = dlcli("evaluate", "long", "--ci", "0.95")
    assert (refused.code, "--ci is a level in percent" in refused.err) == (2, True)


@pytest.mark.parametrize(
    "words", [("--compare", "short", "long"), ("short", "--compare", "long"), ("short", "long", "--compare")]
)
def test_two_runs_are_compared_in_the_order_in_which_they_are_typed(dlcli, words):
    outcome = dlcli("evaluate", *words)
    assert outcome.code == 0, outcome.err
    shown = [line.rstrip() for line in outcome.out.splitlines()]
    assert shown[:2] == ["first    runs/short/0001", "second   runs/long/0001"]
    assert sum(line.startswith("verdict  ") for line in shown) == 1
    assert "kept     runs/short/0001/evaluations/test-against-long-0001.json" in shown
    found = dlcli("evaluate", *words, "--json").json
    assert found["metrics"]["difference"]["loss"] < 0
    assert found == json.loads(Path("runs/short/0001/evaluations/test-against-long-0001.json").read_text())


def test_the_number_of_runs_must_fit(dlcli):
    refused = dlcli("evaluate", "short", "long")
    assert refused.code == 2
    assert "it takes one run; two are compared with --compare, got 2: short, long" in refused.err
    refused = dlcli("evaluate", "--compare", "short")
    assert refused.code == 2
    assert "--compare takes two runs, got 1: short" in refused.err
    refused = dlcli("evaluate", "--compare", "short", "long", "--worst", "3")
    assert (refused.code, "--worst is for one run; leave it out with --compare" in refused.err) == (2, True)


def test_a_run_that_cannot_be_written_is_evaluated_all_the_same(dlcli):
    Path("runs/long/0001/evaluations").rename("aside")
    Path("runs/long/0001/evaluations").write_text("in the way")
    try:
        for words in (("long",), ("--compare", "long", "short")):
            outcome = dlcli("evaluate", *words)
            assert outcome.code == 0
            assert "loss" in outcome.out
            assert "kept" not in outcome.out
            assert "warning: the figures were not kept: cannot write runs/long/0001/evaluations" in outcome.err
        assert dlcli("evaluate", "long", "--json").json["rows"] == 30
    finally:
        Path("runs/long/0001/evaluations").unlink()
        Path("aside").rename("runs/long/0001/evaluations")
