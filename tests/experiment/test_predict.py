"""`dlcli predict` of runs and artefacts, against the loaded model and hand-made answers."""

import csv
import io
import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

import dlcli
from dlcli.errors import DataError, UsageError
from dlcli.experiment.predict import predict
from dlcli.experiment.train import train
from dlcli.testing.tiny import tiny_dataset


def trained(folder, task, plugins, kind="features", **more):
    """A run of a tiny dataset, and the dataset."""
    data = tiny_dataset(folder / f"{task}.h5", kind, task)
    tables = {"data": {"path": str(data)}, "model": {"architecture": "mlp", "hidden": [4]}, "train": {"epochs": 1}}
    return train({**tables, "name": task}, runs=folder / "runs", plugins=plugins, **more).run, data


@pytest.fixture(scope="module")
def runs(tmp_path_factory, plugins):
    folder = tmp_path_factory.mktemp("runs")
    made = {task: trained(folder, task, plugins) for task in ("multiclass", "binary", "multilabel")}
    made["image"] = trained(tmp_path_factory.mktemp("images"), "multiclass", plugins, kind="image")
    made["regression"] = trained(folder, "regression", plugins, seeds=3)
    return made


def raw(data):
    with h5py.File(data) as file:
        return {split: torch.from_numpy(file[f"{split}/x"][...]) for split in ("train", "val", "test")}


@pytest.mark.parametrize("task", ["multiclass", "binary", "multilabel", "image"])
def test_hdf5_holds_what_the_loaded_model_says(runs, plugins, tmp_path, task):
    run, data = runs[task]
    output = tmp_path / "out.h5"
    found = predict(run, data, output=output, batch_size=7, plugins=plugins)
    model, rows = dlcli.load(run, plugins=plugins), raw(data)
    x = torch.cat([*rows.values()])
    wanted = model.probabilities(x[:, None] if task == "image" else x).numpy()
    with h5py.File(output) as file:
        probabilities, prediction = file["probabilities"], file["prediction"]
        np.testing.assert_allclose(probabilities, wanted, rtol=1e-5, atol=1e-7)
        if task == "multilabel":
            np.testing.assert_array_equal(prediction, wanted > 0.5)
            said = np.maximum(wanted, 1 - wanted).mean(axis=1)
        elif task == "binary":
            np.testing.assert_array_equal(prediction, wanted[:, 0] > 0.5)
            said = np.maximum(wanted, 1 - wanted)[:, 0]
        else:
            np.testing.assert_array_equal(prediction, wanted.argmax(axis=1))
            assert prediction.dtype == np.int64
            said = wanted.max(axis=1)
        assert list(prediction.attrs["classes"]) == list(model.classes)
        assert len(probabilities.attrs["names"]) == wanted.shape[1]
        splits = np.array(file["split"].attrs["classes"])[file["split"][...]]
        assert splits.tolist() == [name for name, part in rows.items() for _ in part]
        assert file["row"][...].tolist() == [i for part in rows.values() for i in range(len(part))]
        assert file.attrs["task"] == ("multiclass" if task == "image" else task)
        assert file.attrs["model"] == str(run)
        assert json.loads(file.attrs["versions"])["torch"] == torch.__version__
        counted = prediction[...].sum(axis=0) if task == "multilabel" else np.bincount(prediction[...])
    counts = [count for count in found.counts.values() if count or task == "multilabel"]
    assert counts == [count for count in counted.tolist() if count or task == "multilabel"]
    assert found.mean_confidence == pytest.approx(float(said.mean()), rel=1e-5)
    assert (found.rows, found.shown) == (len(x), [])


def test_regression_with_spread(runs, plugins, tmp_path):
    run, data = runs["regression"]
    found = predict(run, data, output=tmp_path / "out.csv", split="test", explain=2, plugins=plugins)
    model, x = dlcli.load(run, plugins=plugins), raw(data)["test"]
    with torch.no_grad():
        members = torch.stack([model.part(f"seed-{i}")(x) for i in range(3)])
    wanted, spread = members.mean(dim=0), members.std(dim=0, correction=0)
    header, *lines = csv.reader(io.StringIO((tmp_path / "out.csv").read_text(), newline=""))
    assert header == ["row", "split", "prediction_height", "prediction_width", "spread_height", "spread_width"]
    figures = np.array([line[2:] for line in lines], dtype=float)
    np.testing.assert_allclose(figures, torch.cat([wanted, spread], dim=1), rtol=1e-4, atol=1e-6)
    assert found.counts is None
    assert found.targets["width"]["mean"] == pytest.approx(float(wanted[:, 1].mean()), rel=1e-5)
    assert found.targets["height"]["lowest"] == pytest.approx(float(wanted[:, 0].min()), rel=1e-5)
    order = spread.mean(dim=1).argsort(stable=True).tolist()
    assert [record["row"] for record in found.most_certain] == order[:2]
    assert [record["row"] for record in found.least_certain] == order[:-3:-1]


def test_json_lines_and_the_first_and_the_extreme_rows(runs, plugins, tmp_path):
    run, data = runs["multiclass"]
    output = tmp_path / "out.jsonl"
    found = predict(run, data, output=output, split="train", explain=3, show=2, batch_size=5, plugins=plugins)
    lines = [json.loads(line) for line in output.read_text().splitlines()]
    wanted = dlcli.load(run, plugins=plugins).probabilities(raw(data)["train"])
    assert [[*line["probabilities"]] for line in lines] == [["ash", "oak", "elm"]] * len(wanted)
    np.testing.assert_allclose([[*line["probabilities"].values()] for line in lines], wanted, rtol=1e-5)
    assert [line["prediction"] for line in lines] == [("ash", "oak", "elm")[i] for i in wanted.argmax(dim=1)]
    assert found.shown == lines[:2]
    order = (-wanted.max(dim=1).values).argsort(stable=True).tolist()
    assert found.most_certain == [lines[i] for i in order[:3]]
    assert [record["row"] for record in found.least_certain] == order[:-4:-1]


def test_other_files_are_read_by_name(runs, plugins, tmp_path):
    run, data = runs["multiclass"]
    x = raw(data)["test"].numpy()
    with h5py.File(tmp_path / "moved.h5", "w") as file:
        file["x"] = np.column_stack([x[:, ::-1].astype("float64"), np.full(len(x), np.nan)])
        file["x"].attrs["names"] = ["x4", "x3", "x2", "x1", "x0", "id"]
    np.savez(tmp_path / "same.npz", x=x, anything=np.zeros(3))
    one = predict(run, data, split="test", plugins=plugins)
    moved = predict(run, tmp_path / "moved.h5", plugins=plugins)
    same = predict(run, tmp_path / "same.npz", batch_size=4, plugins=plugins)
    strip = [{key: value for key, value in record.items() if key != "split"} for record in one.shown]
    assert [record["prediction"] for record in same.shown] == [record["prediction"] for record in strip]
    for record, other, third in zip(strip, moved.shown, same.shown, strict=True):
        assert record["probabilities"] == pytest.approx(other["probabilities"], rel=1e-5)
        assert record["probabilities"] == pytest.approx(third["probabilities"], rel=1e-5)
    assert moved.notes == ("x: columns are taken by name; the model does not take 'id'",)
    assert same.notes == ()


def test_the_recipes_paths_are_followed(runs, plugins, tmp_path):
    _, data = runs["binary"]
    elsewhere = tmp_path / "own.h5"
    with h5py.File(data) as file, h5py.File(elsewhere, "w") as other:
        for split in ("train", "val", "test"):
            file.copy(f"{split}/x", other, f"in_{split}")
            file.copy(f"{split}/y", other, f"out_{split}")
    fields = {"x": "in_{split}", "y": "out_{split}"}
    recipe = {"name": "own", "data": {"path": str(elsewhere), "fields": fields}}
    recipe |= {"model": {"architecture": "linear"}, "train": {"epochs": 1}}
    run = train(recipe, runs=tmp_path / "runs", plugins=plugins).run
    answers = [predict(run, path, plugins=plugins) for path in (elsewhere, data)]
    assert answers[0].shown == answers[1].shown
    assert answers[0].rows == 60


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"output": "out.parquet"}, r"allowed are \.h5, \.hdf5, \.csv, \.jsonl"),
        ({"output": "none/out.csv"}, "there is no folder none; make the folder first"),
        ({"output": "folder.csv"}, "folder.csv is a folder"),
        ({"output": "link.h5"}, "link.h5 is what is read, so it is not written over"),
        ({"batch_size": 0}, "--batch-size is 1 or more; got 0"),
        ({"explain": -1}, "--explain is 0 or more"),
        ({"show": -1}, "--show is 0 or more"),
        ({"split": "fold"}, "has no split 'fold'; there are train, val, test"),
        ({"device": "tpu"}, "unknown device 'tpu'"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_done(runs, plugins, folder, more, message):
    run, data = runs["multiclass"]
    (folder / "folder.csv").mkdir()
    (folder / "link.h5").symlink_to(data)
    with pytest.raises(UsageError, match=message):
        predict(run, data, plugins=plugins, **more)
    assert {path.name for path in folder.iterdir()} == {"folder.csv", "link.h5"}


def test_a_single_network_of_targets_cannot_be_certain(plugins, tmp_path):
    run, data = trained(tmp_path, "regression", plugins)
    with pytest.raises(UsageError, match=r"cannot say how certain it is: leave out --explain, or train several"):
        predict(run, data, explain=1, plugins=plugins)


def test_nothing_is_left_of_a_prediction_that_fails_or_is_interrupted(runs, plugins, folder):
    run, data = runs["multiclass"]
    x = raw(data)["train"].numpy().copy()
    x[-1, 2] = np.nan
    np.savez(folder / "bad.npz", x=x)

    def interrupt(done, total):
        raise KeyboardInterrupt

    Path("out.csv").write_text("what was there")
    for output in ("out.csv", "out.h5", "out.jsonl"):
        with pytest.raises(DataError, match=r"bad\.npz: x: the value in row 35, column 2 \('x2'\) is nan"):
            predict(run, "bad.npz", output=output, batch_size=8, plugins=plugins)
        with pytest.raises(KeyboardInterrupt):
            predict(run, data, output=output, plugins=plugins, progress=interrupt)
    assert {path.name for path in folder.iterdir()} == {"bad.npz", "out.csv"}
    assert Path("out.csv").read_text() == "what was there"


def test_files_of_no_known_format_and_fields_that_are_missing(runs, plugins, folder):
    run, _ = runs["multiclass"]
    Path("rows.xml").write_text("<x/>")
    with pytest.raises(UsageError, match=r"no importer reads a file like rows\.xml .*--format, csv, .*npz"):
        predict(run, "rows.xml", plugins=plugins)
    Path("rows.h5").write_text("<x/>")
    with pytest.raises(DataError, match=r"rows\.h5 is not an HDF5 file"):
        predict(run, "rows.h5", plugins=plugins)
    with pytest.raises(UsageError, match="--set is for files that an importer reads"):
        predict(run, "rows.h5", settings={"header": True}, plugins=plugins)
    with pytest.raises(DataError, match=r"there is no file none\.h5"):
        predict(run, "none.h5", plugins=plugins)
    np.savez("empty.npz", x=np.zeros((0, 5)))
    with pytest.raises(DataError, match=r"empty\.npz has no rows to predict"):
        predict(run, "empty.npz", output="out.csv", plugins=plugins)
    assert not Path("out.csv").exists()
    np.savez("other.npz", y=np.zeros(3))
    with pytest.raises(DataError, match=r"other\.npz: there is no dataset x, .*there are: y"):
        predict(run, "other.npz", plugins=plugins)
