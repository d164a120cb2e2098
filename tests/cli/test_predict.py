"""`dlcli predict` as it is typed: what is printed, and where."""

import io
import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from rich.console import Console

from dlcli.cli.app import run
from dlcli.report.prediction_progress import PredictionProgress
from dlcli.testing.tiny import tiny_dataset

RECIPE = """
name = "{task}"
[data]
path = "{task}.h5"
[model]
architecture = "linear"
[train]
epochs = 1
"""


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with a run for each of two tasks."""
    folder = tmp_path_factory.mktemp("workplace")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DLCLI_PLUGINS", "")
        patch.chdir(folder)
        for task, more in (("binary", []), ("regression", ["--seeds", "2"])):
            tiny_dataset(folder / f"{task}.h5", "features", task)
            Path(f"{task}.toml").write_text(RECIPE.format(task=task))
            assert run(["train", f"{task}.toml", "-q", *more]) == 0
    return folder


@pytest.fixture(autouse=True)
def _inside(workplace, monkeypatch):
    monkeypatch.chdir(workplace)


def test_the_first_rows_and_how_many_more_there_are(dlcli):
    outcome = dlcli("predict", "binary", "binary.h5", "--show", "2", "--explain", "1", "--split", "test")
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    assert lines[0] == "model    runs/binary/0001"
    assert lines[1].startswith("data     binary.h5, test, 12 rows in ")
    table = lines.index("row  split  prediction  probability")
    assert [line.split()[:2] for line in lines[table + 1 : table + 3]] == [["0", "test"], ["1", "test"]]
    assert 0.5 <= float(lines[table + 1].split()[-1]) <= 1
    assert lines[table + 3] == "and 10 more; -o FILE writes them all, --show N shows N"
    assert lines.index("most certain") < lines.index("least certain")
    counts = [line.split() for line in lines if line.startswith(("yes", "no"))]
    assert sum(int(count) for _, count, _ in counts) == 12


def test_names_from_files_are_shown_as_they_are(dlcli, tmp_path):
    with h5py.File("binary.h5") as file, h5py.File(tmp_path / "odd.h5", "w") as other:
        for split in ("train", "val"):
            file.copy(split, other)
            other[f"{split}/y"].attrs["classes"] = ["[/red]", "\x1b[2J"]
    Path("odd.toml").write_text(RECIPE.format(task="odd").replace("odd.h5", str(tmp_path / "odd.h5")))
    assert dlcli("train", "odd.toml", "-q").code == 0
    outcome = dlcli("predict", "odd", "binary.h5")
    assert outcome.code == 0
    assert "[/red]" in outcome.out
    assert r"\x1b[2J" in outcome.out
    assert "\x1b[2J" not in outcome.out


def test_targets_have_their_spread(dlcli):
    lines = dlcli("predict", "regression", "regression.h5", "--show", "1").out.splitlines()
    assert lines[lines.index("") + 1].split() == ["target", "mean", "lowest", "highest"]
    assert "row split height ± spread width ± spread" in [" ".join(line.split()) for line in lines]


def test_json_is_one_object(dlcli):
    found = dlcli("predict", "regression@seed-1", "regression.h5", "--json", "--show", "1").json
    assert {"model", "rows", "answers", "seconds", "counts", "targets", "shown", "notes"} <= found.keys()
    assert found["model"] == "runs/regression/0001@seed-1"
    assert [*found["shown"][0]] == ["row", "split", "prediction"]
    assert found["targets"]["height"].keys() == {"mean", "lowest", "highest"}


def test_quiet_writes_the_file_and_says_nothing(dlcli, tmp_path):
    output = tmp_path / "out.jsonl"
    assert dlcli("predict", "binary", "binary.h5", "-o", str(output), "-q") == (0, "", "")
    assert len(output.read_text().splitlines()) == 60
    told = dlcli("predict", "binary", "binary.h5", "-o", str(output)).out.splitlines()
    assert f"written  {output}" in told
    assert not [line for line in told if line.startswith("row")]


def test_errors_have_their_code(dlcli, tmp_path):
    np.savez(tmp_path / "x.npz", x=np.ones((2, 4)))
    assert dlcli("predict", "nobody", "binary.h5").code == 2
    outcome = dlcli("predict", "binary", str(tmp_path / "x.npz"), "--json")
    assert outcome.code == 3
    assert "its rows are 4, but the model takes 5: 'x0', 'x1'" in json.loads(outcome.out)["error"]["message"]


def test_the_bar_is_drawn_on_a_terminal_alone():
    terminal = Console(file=io.StringIO(), force_terminal=True, width=60, _environ={"TERM": "xterm"})
    with PredictionProgress(terminal) as progress:
        progress(250, 1000)
    assert "250/1,000" in terminal.file.getvalue()
    assert "left" in terminal.file.getvalue()
    with PredictionProgress(terminal := Console(file=io.StringIO(), force_terminal=True, width=60)) as progress:
        progress(250, None)
    assert "0m250  " in terminal.file.getvalue()
    for console, quiet in (
        (Console(file=io.StringIO()), False),
        (Console(file=io.StringIO(), force_terminal=True), True),
    ):
        with PredictionProgress(console, quiet=quiet) as progress:
            progress(1, 2)
        assert console.file.getvalue() == ""
