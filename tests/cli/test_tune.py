"""`dlcli tune` as it is typed."""

import os
import signal
import subprocess
import sys

import pytest

from dlcli.cli.tune import minutes
from dlcli.errors import UsageError
from dlcli.testing import tiny_dataset

RECIPE = """
[data]
path = "blobs.h5"
[model]
architecture = "mlp"
hidden = [4]
[train]
epochs = 2
batch_size = 16
[tune]
method = "random"
trials = 3
kfold_line
[tune.space]
"train.optimizer.lr" = { log_uniform = [1e-3, 1e-1] }
"model.dropout" = { uniform = [0.0, 0.5] }
"""


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A folder with a dataset and a `recipe.toml`, in which commands are typed."""
    folder = tmp_path / "blobs"
    folder.mkdir()
    monkeypatch.chdir(folder)
    tiny_dataset(folder / "blobs.h5")
    write(folder)
    return folder


def write(folder, **changes):
    text = RECIPE.replace("kfold_line", changes.pop("kfold", ""))
    for old, new in changes.items():
        text = text.replace(old, new)
    (folder / "recipe.toml").write_text(text)


def test_the_recipe_of_the_folder_is_searched(dlcli, workplace):
    outcome = dlcli("tune")
    assert outcome.code == 0, outcome.err
    lines = [line.strip() for line in outcome.out.splitlines()]
    assert "run      runs/blobs/0001  finished" in lines
    assert any(line.startswith("tried    3 trials in ") for line in lines)
    assert "train    dlcli train runs/blobs/0001/best.toml" in lines
    assert "evaluate dlcli evaluate runs/blobs/0001" in lines
    assert "picture  runs/blobs/0001/history.svg" in lines
    assert outcome.err == ""
    for words in (("train", "runs/blobs/0001/best.toml", "-q"), ("evaluate", "runs/blobs/0001"), ("runs",)):
        assert dlcli(*words).code == 0


def test_json_is_one_object_with_progress_on_stderr(dlcli, workplace):
    outcome = dlcli("tune", "--json", "--trials", "4")
    assert outcome.code == 0
    assert outcome.json["status"] == "finished"
    assert sum(outcome.json["trials"].values()) == 4
    assert outcome.json["best"]["trial"] == outcome.json["top"][0]["trial"]
    assert outcome.json["best_recipe"] == "runs/blobs/0001/best.toml"
    assert "trial 0" in outcome.err
    again = dlcli("tune", "--json", "-q", "--trials", "4")
    assert again.err == ""
    assert again.json["best"] == outcome.json["best"]


@pytest.mark.parametrize(("words", "folds"), [(["--kfold", "2"], 2), (["--kfold"], 3), ([], 3)])
def test_folds(dlcli, workplace, words, folds):
    write(workplace, kfold="kfold = 3")
    assert dlcli("tune", *words, "--json", "--trials", "1").json["folds"] == folds


def test_kfold_without_a_number_is_five(dlcli, workplace):
    assert dlcli("tune", "--kfold", "--json", "--trials", "1").json["folds"] == 5


def test_the_space_is_shown(dlcli, workplace):
    shown = dlcli("tune", "--show-space")
    assert shown.code == 0
    assert shown.out.split()[:2] == ["train.optimizer.lr", "model.dropout"]
    assert len(shown.out.strip().splitlines()) == 11
    settings = dlcli("tune", "--show-space", "--json").json["settings"]
    assert len(settings) == 10
    assert all(0 <= setting["model.dropout"] <= 0.5 for setting in settings)
    assert not (workplace / "runs").exists()
    other = dlcli("tune", "--show-space", "--json", "--set", "seed=5").json["settings"]
    assert other != settings


def test_quiet_prints_nothing(dlcli, workplace):
    assert dlcli("tune", "-q") == (0, "", "")


def test_a_used_up_grid_says_why_it_stopped(dlcli, workplace):
    write(workplace, **{"{ uniform = [0.0, 0.5] }": "{ choice = [0.0, 0.5] }"})
    text = (workplace / "recipe.toml").read_text()
    (workplace / "recipe.toml").write_text("\n".join(line for line in text.splitlines() if "log_uniform" not in line))
    outcome = dlcli("tune", "--method", "grid", "--trials", "9")
    assert "stopped  grid has nothing else to try, after 2 of 9 trials" in outcome.out


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--trials", "0"], 2, "tune.trials: expected a whole number ≥ 1, got 0"),
        (["--workers", "0"], 2, "Invalid value for '--workers'"),
        (["--time", "nonsense"], 2, "--time takes minutes above 0, such as 30, or 90s, 45m, 2h; got 'nonsense'"),
        (["--time", "0"], 2, "--time takes minutes above 0"),
        (["--kfold", "1"], 2, "tune.kfold: expected a whole number ≥ 2, got 1"),
        (["--kfold=2.5"], 2, "--kfold takes a whole number of folds"),
        (["--kfold", "1000"], 3, "rows cannot make 1000 folds"),
        (["--method", "tpee"], 2, "unknown search 'tpee'; did you mean 'tpe'"),
        (["--set", "data.path=gone.h5"], 3, "gone.h5"),
        (["gone.toml"], 2, "gone.toml: there is no such recipe"),
        (["--set", "model.dropout=2"], 2, "model.dropout"),
    ],
)
def test_what_cannot_be_is_told_without_a_traceback(dlcli, workplace, words, code, message):
    outcome = dlcli("tune", *words)
    assert outcome.code == code, outcome.err
    assert message in " ".join(outcome.err.split())
    assert "Traceback" not in outcome.err
    assert not (workplace / "runs").exists()


def test_a_hopeless_search_ends_with_5(dlcli, workplace):
    write(workplace, **{"[1e-3, 1e-1]": "[1e30, 1e36]"})
    outcome = dlcli("tune", "--trials", "40")
    assert outcome.code == 5
    assert "narrow the ranges in [tune.space]" in " ".join(outcome.err.split())
    assert "Traceback" not in outcome.err


def test_another_recipe_is_refused_with_the_difference(dlcli, workplace):
    assert dlcli("tune", "-q").code == 0
    outcome = dlcli("tune", "--set", "train.epochs=3")
    assert outcome.code == 2
    assert "is a search of another recipe: train.epochs: 2 → 3." in " ".join(outcome.err.split())
    assert dlcli("tune", "--set", "train.epochs=3", "--new", "-q").code == 0


def test_ctrl_c_saves_and_the_same_command_goes_on(dlcli, workplace, monkeypatch):
    from dlcli.report.tune_plain import PlainTuneDisplay, QuietTuneDisplay

    def stop(display, number, epoch, value):
        signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(PlainTuneDisplay, "trial_reported", stop)
        patch.setattr(QuietTuneDisplay, "trial_reported", stop)
        outcome = dlcli("tune")
        assert outcome.code == 130
        assert "run      runs/blobs/0001  interrupted" in outcome.out
        assert "go on    the same command" in outcome.out
        quiet = dlcli("tune", "-q")
        assert (quiet.code, quiet.out) == (130, "")
        assert "the same command goes on" in quiet.err
        assert dlcli("runs", "--json").json["runs"][0]["status"] == "interrupted"
    finished = dlcli("tune", "--json")
    assert finished.json["status"] == "finished"
    assert finished.json["run"] == "runs/blobs/0001"


@pytest.mark.parametrize(
    ("text", "expected"), [(None, None), ("30", 30), ("90s", 1.5), ("45m", 45), ("2h", 120), ("1.5 H", 90), (".5", 0.5)]
)
def test_times(text, expected):
    assert minutes(text) == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize("text", ["", "x", "-5", "0", "0s", "5d", "1,5", "inf", "nan"])
def test_no_times(text):
    with pytest.raises(UsageError, match="--time takes minutes above 0, such as 30, or 90s, 45m, 2h; got "):
        minutes(text)


def test_the_help_needs_no_torch(tmp_path):
    code = "import sys; from dlcli.cli.app import run; run(['tune', '--help']); sys.exit('torch' in sys.modules)"
    environment = {**os.environ, "DLCLI_PLUGINS": ""}
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, cwd=tmp_path)
    assert found.returncode == 0
    assert "--join" not in found.stdout
