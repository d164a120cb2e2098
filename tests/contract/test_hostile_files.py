"""Five hundred damaged or hostile model folders, and files of runs: each works or is refused, and that is all."""

import os
import resource
import shutil
import time
from pathlib import Path

import pytest
import torch
from mutations import changed_description, changed_tensors, changed_text, seeded

from dlcli import ensemble, evaluate, train
from dlcli.errors import DataError, DlcliError, PluginError
from dlcli.experiment.models.model_folder import read_model
from dlcli.experiment.row_file import RunRows, read_rows, write_rows
from dlcli.experiment.run_directory import RunDirectory
from dlcli.plugins import load_plugins

DIGITS = Path(__file__).parents[2] / "recipes/digits/digits.h5"
MUTATIONS = 500
MEMORY = 600 * 2**10
"""KiB that the process may grow by in all: three times what one refused network may take."""


@pytest.fixture(scope="module")
def plugins():
    torch.set_num_threads(1)
    return load_plugins()


@pytest.fixture(scope="module")
def runs(tmp_path_factory, plugins):
    """A plain run, one of folds with preprocessing and batch normalization, and a stack of members that are fed."""
    root = tmp_path_factory.mktemp("runs")

    def recipe(name, norm, preprocess, **tables):
        data = {"path": str(DIGITS), "preprocess": preprocess}
        model = {"architecture": "mlp", "hidden": [8], "norm": norm}
        return {"name": name, "data": data, "model": model, "train": {"epochs": 1}, **tables}

    strategy = {"strategy": {"name": "stacking", "folds": 2, "meta_epochs": 1}, "members": 2}
    return {
        "plain": train(recipe("plain", "none", []), runs=root, plugins=plugins).run,
        "folds": train(recipe("folds", "batch", ["standardize"]), kfold=2, runs=root, plugins=plugins).run,
        "stack": ensemble(recipe("stack", "batch", ["standardize"], ensemble=strategy), runs=root, plugins=plugins).run,
    }


@pytest.fixture(scope="module")
def models(runs):
    return {
        "plain": runs["plain"] / "model",
        "norm": runs["folds"] / "members/fold-0/model",
        "stack": runs["stack"] / "model",
    }


def tree(folder):
    """Every file below a folder, with its size and time."""
    return {path: (path.lstat().st_size, path.lstat().st_mtime_ns) for path in sorted(folder.rglob("*"))}


def rows_of(field):
    """Three rows of a field: raw values between 0 and 1."""
    dtype = getattr(torch, field.dtype)
    return torch.rand(3, *field.shape, generator=torch.Generator().manual_seed(0)).mul(1.99).to(dtype)


def works(folder, plugins):
    """Load a model and let it answer; return whether it was not refused."""
    refusal = None
    try:
        model = read_model(folder, plugins)
    except DlcliError as error:
        refusal = error
    if refusal is not None:
        assert isinstance(refusal, DataError | PluginError)
        assert str(refusal).isprintable(), str(refusal)
        assert len(str(refusal)) < 1000
        return False
    if max(torch.Size(field.shape).numel() for field in model.inputs) < 10**6:  # rows that may be had
        answers = model.probabilities(*map(rows_of, model.inputs))
        assert answers.shape == (3, model.description.io.outputs)
        assert bool(answers.isfinite().all())
    return True


@pytest.mark.parametrize("part", range(10))
@pytest.mark.parametrize("which", ["model.json", "model.safetensors"])
def test_damaged_models_work_or_are_refused(models, tmp_path, plugins, which, part):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    worked, slowest = 0, 0.0
    folder = tmp_path / "outer/model"
    for number in range(MUTATIONS // 20):
        name = list(models)[number % 3]
        draw = seeded("fuzz", which, part, number)
        shutil.rmtree(tmp_path / "outer", ignore_errors=True)
        shutil.copytree(models[name], folder)
        content = (folder / which).read_bytes()
        if which == "model.json":
            content = changed_description(content.decode(), draw)
        else:
            content = changed_tensors(content, draw)
        (folder / which).write_bytes(content)
        there, begun = tree(tmp_path), time.process_time()
        try:
            worked += works(folder, plugins)
        except BaseException as error:
            error.add_note(f"mutation {number} of part {part}, of {which} of {name}")
            raise
        slowest = max(slowest, time.process_time() - begun)
        assert tree(tmp_path) == there, f"mutation {number} of part {part} wrote files"
    assert worked < MUTATIONS // 20, "no mutation was refused"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEMORY
    assert slowest < 5, f"one took {slowest:.1f} s"


def test_models_that_nothing_was_done_to_work(models, plugins):
    assert all(works(folder, plugins) for folder in models.values())


FILES = [
    ("plain", "run.json", ""),
    ("plain", "recipe.toml", ""),
    ("folds", "folds.json", "@fold-0"),
    ("folds", "run.json", "@fold-1"),
]


@pytest.mark.parametrize(("name", "which", "member"), FILES)
def test_damaged_files_of_runs_work_or_are_refused(runs, tmp_path, plugins, name, which, member):
    original = (runs[name] / which).read_text()
    run = tmp_path / "runs" / name / "0001"
    shutil.copytree(runs[name], run)
    # Elsewhere its relative paths would lead elsewhere.
    original = original.replace(os.path.relpath(DIGITS, runs[name].resolve()), str(DIGITS))
    recipe = (run / "recipe.toml").read_text().replace(os.path.relpath(DIGITS, runs[name].resolve()), str(DIGITS))
    (run / "recipe.toml").write_text(recipe)
    there = {path for path in tree(tmp_path)}
    for number in range(50):
        draw = seeded("run", which, member, number)
        changed = changed_text if which.endswith(".toml") else changed_description
        (run / which).write_bytes(changed(original, draw))
        try:
            evaluate(f"{run}{member}", split="fold" if member else "test", plugins=plugins)
        except DlcliError:
            pass
        except BaseException as error:
            error.add_note(f"mutation {number} of {which} of {name}")
            raise
    assert set(tree(tmp_path)) == there
    (run / which).write_text(original)
    assert evaluate(f"{run}{member}", split="fold" if member else "test", plugins=plugins).metrics


def test_damaged_lists_of_rows_are_read_or_refused(tmp_path):
    run = RunDirectory(tmp_path)
    write_rows(run, RunRows(torch.arange(9), torch.arange(9, 12), torch.arange(12, 15)))
    original, read = (tmp_path / "rows.json").read_text(), 0
    for number in range(50):
        (tmp_path / "rows.json").write_bytes(changed_description(original, seeded("rows", number)))
        try:
            rows = read_rows(run)
        except DataError:
            continue
        assert all(int(each.min()) >= 0 for each in rows.splits.values())
        read += 1
    assert 0 < read < 50
