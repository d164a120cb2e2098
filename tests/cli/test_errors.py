"""What a user's mistakes look like: exit code and text of every error that the first issue names, no traceback."""

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import h5py
import numpy as np
import pytest

from dlcli.cli.app import run

DIGITS = Path(__file__).parents[2] / "recipes/digits/digits.h5"
RECIPE = """
[data]
path = "digits.h5"
preprocess = ["standardize"]
[model]
architecture = "mlp"
hidden = [8]
[train]
epochs = 1
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(DIGITS, "digits.h5")
    Path("recipe.toml").write_text(RECIPE)
    return tmp_path


@pytest.fixture
def told(capsys):
    """Run a command line; return its exit code and what it said on stderr, in one line of single spaces."""

    def run_and_read(*arguments):
        code = run(arguments)
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err + captured.out
        return code, " ".join(captured.err.split())

    return run_and_read


RECIPES = {
    "unknown key at the top": ("sed = 1\n" + RECIPE, "recipe.toml:1: sed: unknown key 'sed'; did you mean 'seed'?"),
    "unknown key in a component": (
        RECIPE.replace("hidden = [8]", 'activation = { name = "leaky_relu", slop = 1 }'),
        "recipe.toml:7: model.activation.slop: unknown key 'slop'; did you mean 'slope'?",
    ),
    "wrong type": (
        RECIPE.replace("epochs = 1", 'epochs = "one"'),
        'train.epochs: expected a whole number ≥ 1, got "one"',
    ),
    "out of range": (
        RECIPE.replace("hidden = [8]", "dropout = 1.0"),
        "model.dropout: expected a number ≥ 0 and < 1, got 1.0",
    ),
    "unknown component": (
        RECIPE.replace("standardize", "standardise"),
        "recipe.toml:4: data.preprocess[0]: unknown preprocessor 'standardise'; did you mean 'standardize'?",
    ),
    "component of a known package": (
        RECIPE.replace("hidden = [8]", 'activation = "snake"'),
        "it comes with the package dlcli-example: pip install dlcli-example",
    ),
    "no TOML": ("[data\n", "recipe.toml:1"),
}


@pytest.mark.parametrize("case", RECIPES)
@pytest.mark.parametrize("command", ["train", "build"])
def test_recipes(folder, told, command, case):
    text, expected = RECIPES[case]
    Path("recipe.toml").write_text(text)
    code, said = told(command)
    assert code == 2
    assert expected in said
    assert not Path("runs").exists()


def test_all_problems_at_once(folder, told):
    Path("recipe.toml").write_text("sed = 1\n" + RECIPE.replace("hidden", "hiden").replace("epochs = 1", "epochs = 0"))
    code, said = told("train", "--set", "train.batch_size=none")
    assert code == 2
    for expected in ("4 problems", ":1: sed", ":8: model.hiden", ":10: train.epochs", "--set train.batch_size"):
        assert expected in said


def change(path, value=None, attribute=None):
    with h5py.File("digits.h5", "a") as file:
        if attribute:
            file[path].attrs[attribute] = value
            return
        attributes = dict(file[path].attrs)
        del file[path]
        if value is not None:
            file[path] = value
            file[path].attrs.update(attributes)


def cut():
    data = Path("digits.h5").read_bytes()
    Path("digits.h5").write_bytes(data[: len(data) // 2])


def nan():
    x = np.zeros((270, 8, 8), np.float32)
    x[3, 2, 1] = np.nan
    for split, rows in (("train", 1257), ("val", 270), ("test", 270)):
        change(f"{split}/x", x if split == "val" else np.zeros((rows, 8, 8), np.float32))


DATA = {
    "missing file": (lambda: Path("digits.h5").unlink(), "there is no file"),
    "not HDF5": (lambda: Path("digits.h5").write_text("hello"), "is not an HDF5 file"),
    "cut in the middle": (cut, "digits.h5"),
    "no target": (lambda: [change(f"{s}/y") for s in ("train", "val", "test")], "target"),
    "missing in one split": (lambda: change("val/y"), "val"),
    "wrong shape": (lambda: change("val/x", np.zeros((270, 8, 9), np.uint8)), "val/x"),
    "wrong length": (lambda: change("val/x", np.zeros((269, 8, 8), np.uint8)), "269"),
    "objects": (lambda: change("val/x", np.array(["a"] * 270, dtype=h5py.string_dtype())), "val/x"),
    "label outside": (lambda: change("val/y", np.full(270, 10, np.uint8)), "10"),
    "NaN": (nan, "NaN"),
}


@pytest.mark.parametrize("case", DATA)
def test_data(folder, told, case):
    damage, expected = DATA[case]
    damage()
    code, said = told("train")
    assert code == 3
    assert expected in said
    assert not Path("runs").exists()


def test_a_missing_dataset_names_those_that_exist(folder, told):
    code, said = told("train", "--set", 'data.fields.x="images"')
    assert code == 3
    assert "images" in said
    assert "train/x" in said or "x, y" in said


def test_divergence(folder, told):
    code, said = told("train", "--set", "train.optimizer={name='sgd', lr=1e25}", "--set", "train.epochs=3")
    assert code == 5
    assert "training diverged in epoch 1, batch" in said
    assert "at learning rate 1e+25" in said
    assert "Try a lower rate (--set train.optimizer.lr=1e+24)" in said


def test_a_full_disk(folder, told, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("dlcli.training.checkpoint.save_file", full)
    code, said = told("train")
    assert code == 5
    assert "No space left on device; free some space" in said


def test_a_folder_that_cannot_be_written(folder, told):
    Path("runs").write_text("a file where the folder should be")
    code, said = told("train")
    assert code == 5
    assert "cannot write runs/" in said


def install(site: Path, distribution: str, module: str, body: str) -> None:
    """Make a package that importlib.metadata finds, as pip would leave it."""
    (site / f"{module}.py").write_text(textwrap.dedent(body))
    info = site / f"{distribution.replace('-', '_')}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[dlcli]\nplugin = {module}\n")


def dlcli(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "DLCLI_PLUGINS"}
    return subprocess.run(
        [sys.executable, "-m", "dlcli", *arguments],
        capture_output=True,
        text=True,
        env={**environment, "PYTHONPATH": str(site)},
    )


def test_a_broken_plugin_is_named_and_the_rest_goes_on(folder):
    install(folder, "dlcli-broken", "dlcli_broken", "import nothing_of_that_name")
    done = dlcli(folder, "train", "-q")
    assert done.returncode == 0
    assert "dlcli-broken 1.0" in done.stderr
    assert "No module named 'nothing_of_that_name'" in done.stderr
    assert "Traceback" not in done.stderr


def test_two_plugins_with_one_name_are_told_apart(folder):
    body = """
        from dlcli import hookimpl

        @hookimpl
        def register(registry):
            registry.add("activation", "twin", "{module}:Twin")
    """
    for name in ("one", "two"):
        install(folder, f"dlcli-{name}", f"dlcli_{name}", body.format(module=f"dlcli_{name}"))
    done = dlcli(folder, "build", "--set", "model.activation=twin")
    assert done.returncode == 2
    said = " ".join(done.stderr.split())
    assert "2 packages provide an activation 'twin': write 'dlcli-one:twin' or 'dlcli-two:twin'" in said


def test_an_architecture_that_does_not_suit_the_task_is_told_with_its_line(folder, told):
    with h5py.File("digits.h5", "w") as file:
        file["x"], file["y"] = np.random.rand(60, 3).astype("f4"), np.random.rand(60).astype("f4")
    Path("recipe.toml").write_text(RECIPE.replace('"mlp"\nhidden = [8]', '"logistic"'))
    code, said = told("train")
    assert code == 2
    assert "recipe.toml:6: model.architecture: logistic classifies, but" in said
    assert not Path("runs").exists()


def test_a_loss_that_does_not_suit_the_task_is_told_with_its_line(folder, told):
    Path("recipe.toml").write_text(RECIPE + 'loss = "mse"\n')
    code, said = told("build")
    assert code == 2
    assert "recipe.toml:10: train.loss: mse is for regression" in said


def test_batch_normalization_of_one_row_is_told_before_training(folder, told):
    text = RECIPE.replace("epochs = 1", "epochs = 1\nbatch_size = 1").replace("hidden = [8]", 'norm = "batch"')
    with h5py.File("digits.h5", "w") as file:
        file["x"], file["y"] = np.random.rand(60, 3).astype("f4"), np.random.rand(60).astype("f4")
    Path("recipe.toml").write_text(text)
    code, said = told("train")
    assert code == 2
    assert "recipe.toml:10: train.batch_size: batch normalization needs at least 2 rows" in said


def test_a_damaged_hdf5_file_is_a_fault_of_the_data(folder, told):
    data = bytearray(Path("digits.h5").read_bytes())
    data[5000:9000] = bytes(4000)
    Path("digits.h5").write_bytes(data)
    for command in (("train",), ("data", "check", "digits.h5"), ("data", "show", "digits.h5"), ("init", "digits.h5")):
        code, said = told(*command, *(["-o", "x.toml"] if command[0] == "init" else []))
        assert code == 3, said


def test_a_batch_that_fits_no_memory(folder, told):
    code, said = told("train", "--set", "train.batch_size=99999999999")
    assert code == 5
    assert "memory" in said
