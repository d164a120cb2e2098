"""Every architecture, and every strategy over an mlp and a cnn, runs in onnxruntime and as a program without dlcli."""

import json
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

import dlcli
from dlcli import Task
from dlcli.plugins import load_plugins
from dlcli.testing import tiny_dataset
from dlcli.testing.tiny import CLASSES

pytestmark = pytest.mark.usefixtures("one_translation_table")
RUN = Path(__file__).parents[1] / "support/run_artefacts.py"
REGISTRY = load_plugins(third_parties=False).registry
ARCHITECTURES = [entry.name for entry in REGISTRY.entries("architecture")]
STRATEGIES = [entry.name for entry in REGISTRY.entries("ensemble")]
INPUTS = ("features", "image", "sequence", "tokens", "categorical")
SMALL = {
    "mlp": {"hidden": [8, 8], "norm": "batch"},
    "cnn": {"channels": [4], "hidden": [8], "norm": "batch"},
    "resnet": {"depth": None, "blocks": [1, 1], "width": 4},
    "transformer": {"width": 8, "heads": 2, "layers": 1},
    **{name: {"hidden": 8} for name in ("rnn", "lstm", "gru")},
}


def recipe(path, architecture, **tables):
    return {
        "name": architecture,
        "data": {"path": str(path)},
        "model": {"architecture": architecture, **SMALL.get(architecture, {})},
        "train": {"epochs": 20, "batch_size": 16, "optimizer": {"name": "adam", "lr": 1e-2}},
        **tables,
    }


def lay_out(run, folder):
    """Export a run in both formats, beside raw rows of its data and what it says of them."""
    folder.mkdir()
    for format in ("onnx", "pt2"):
        dlcli.export(run, format=format, output=folder / f"model.{format}")
    model = dlcli.load(run)
    fields = model.description.fields
    rows = torch.Generator().manual_seed(0)
    inputs = {f.name: torch.randint(0, 255, (12, *f.shape), generator=rows).to(getattr(torch, f.dtype)) for f in fields}
    for field in fields:
        if inputs[field.name].is_floating_point():
            inputs[field.name] = torch.randn(12, *field.shape, generator=rows)
        elif field.kind in ("tokens", "categorical"):
            inputs[field.name] %= 3
        elif field.role == "length":
            inputs[field.name] = inputs[field.name] % 7 + 1
    answering = dlcli.Answering(model)
    with torch.no_grad():
        expected = dict(zip(answering.interface.outputs, answering(*inputs.values()), strict=True))
    np.savez(folder / "inputs.npz", **{name: tensor.numpy() for name, tensor in inputs.items()})
    np.savez(folder / "expected.npz", **{name: tensor.numpy() for name, tensor in expected.items()})
    return expected


@pytest.fixture(scope="module")
def run_elsewhere():
    """Runs artefacts of folders in a process that cannot import dlcli, and which lasts: to start one takes seconds."""
    with subprocess.Popen(
        [sys.executable, "-I", RUN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:

        def run(*folders):
            process.stdin.write(json.dumps([str(folder) for folder in folders]) + "\n")
            process.stdin.flush()
            answer = json.loads(process.stdout.readline())
            assert answer == f"same {len(folders)}", answer[-3000:]

        yield run
        process.stdin.close()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_an_architecture_runs_without_dlcli(architecture, tmp_path, monkeypatch, run_elsewhere):
    monkeypatch.chdir(tmp_path)
    folders = []
    for kind in INPUTS:
        # The tasks differ in what follows the network, so one network shows them.
        for task in (*CLASSES, "regression") if (architecture, kind) == ("mlp", "features") else ("multiclass",):
            data = tiny_dataset(tmp_path / f"{kind}-{task}.h5", kind, task, rows=40)
            try:
                summary = dlcli.train(recipe(data, architecture, name=f"{kind}-{task}"))
            except dlcli.DlcliError:
                continue  # it is not made for such data
            folders.append(tmp_path / f"{kind}-{task}")
            lay_out(summary.run, folders[-1])
    assert len(folders) >= 1
    run_elsewhere(*folders)


def ensemble(strategy, architecture, path, **more):
    """Make an ensemble of at least two networks, of whatever the strategy takes."""
    takes = REGISTRY.find("ensemble", strategy).load().takes
    table = recipe(path, architecture, ensemble={"strategy": strategy, "members": 3}, **more)
    if takes != "given":
        if REGISTRY.find("ensemble", strategy).load().counts is None:
            del table["ensemble"]["members"]
        return dlcli.ensemble(table).run
    runs = [dlcli.train(recipe(path, architecture, seed=seed, **more)).run for seed in range(2)]
    if strategy == "distill":  # it learns from one model
        runs = [dlcli.ensemble(*runs, strategy="voting").run]
    return dlcli.ensemble(*runs, strategy=strategy).run


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_an_ensemble_runs_without_dlcli(strategy, tmp_path, monkeypatch, run_elsewhere):
    monkeypatch.chdir(tmp_path)
    tasks = REGISTRY.find("ensemble", strategy).load().tasks
    others = sorted(tasks & {Task.BINARY, Task.REGRESSION}) or [Task.MULTICLASS]
    other = others[STRATEGIES.index(strategy) % len(others)]  # an export takes seconds: one after the other, not all
    cases = [("cnn", "image", Task.MULTICLASS)] if Task.MULTICLASS in tasks else []
    folders = []
    for architecture, kind, task in [*cases, ("mlp", "features", other)]:
        path = tiny_dataset(tmp_path / f"{kind}-{task}.h5", kind, task, rows=80)
        if task is Task.REGRESSION:
            keep_one_target(path)  # some strategies take no more
        folders.append(tmp_path / f"{kind}-{task}")
        lay_out(ensemble(strategy, architecture, path, name=f"{kind}-{task}"), folders[-1])
    run_elsewhere(*folders)


def keep_one_target(path):
    with h5py.File(path, "r+") as file:
        for split in file:
            values, marks = file[split]["y"][:, :1], dict(file[split]["y"].attrs)
            del file[split]["y"]
            file[split]["y"] = values
            file[split]["y"].attrs.update({**marks, "names": list(marks["names"][:1])})
