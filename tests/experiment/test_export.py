import json
import subprocess
import sys
from typing import ClassVar

import h5py
import numpy as np
import onnx
import onnxruntime
import pytest
import torch

import dlcli
from dlcli import Artefact, Exporter
from dlcli.errors import DataError, ExportError, PluginError, StorageError, UsageError
from dlcli.testing import isolated_plugins, tiny_dataset

pytestmark = pytest.mark.usefixtures("one_translation_table")


def recipe(path, architecture="logistic", **tables):
    base = {"name": "small", "data": {"path": str(path)}, "model": {"architecture": architecture}}
    return {**base, "train": {"epochs": 2, "batch_size": 8}, **tables}


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return dlcli.train(
        recipe(tiny_dataset(tmp_path / "tiny.h5"), data={"path": "tiny.h5", "preprocess": ["standardize"]})
    ).run


@pytest.fixture
def walks():
    return isolated_plugins("walks")


def rows_of(run, count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {f.name: torch.randn(count, *f.shape, generator=generator) for f in dlcli.load(run).description.fields}


def test_the_default_is_a_program_in_the_run(run):
    found = dlcli.export(run)
    assert found.path == run / "exports/model.pt2"
    assert found.bytes == found.path.stat().st_size
    assert found.weight_bytes == (run / "model/model.safetensors").stat().st_size
    assert found.parity.rows == 12
    assert found.parity.worst.excess <= 1
    x = rows_of(run, 5)["x"]
    program = torch.export.load(found.path).module()
    logits, probabilities = program(x)
    torch.testing.assert_close(logits, dlcli.load(run)(x), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(probabilities.sum(-1), torch.ones(5))
    assert sorted(path.name for path in found.path.parent.iterdir()) == ["model.pt2"]


def test_onnx_has_named_inputs_outputs_and_metadata(run):
    found = dlcli.export(run, format="onnx")
    session = onnxruntime.InferenceSession(found.path)
    assert [(i.name, i.shape, i.type) for i in session.get_inputs()] == [("x", ["rows", 5], "tensor(float)")]
    outputs = [(o.name, o.shape) for o in session.get_outputs()]
    assert outputs == [("logits", ["rows", 3]), ("probabilities", ["rows", 3])]
    texts = session.get_modelmeta().custom_metadata_map
    assert json.loads(texts["classes"]) == ["ash", "oak", "elm"]
    assert texts["run"] == "small/0001"
    import hashlib

    assert texts["recipe_sha256"] == hashlib.sha256((run / "recipe.toml").read_bytes()).hexdigest()
    assert json.loads(texts["versions"])["exported_with"]["torch"] == torch.__version__
    assert "licence" not in texts
    onnx.checker.check_model(onnx.load(found.path), full_check=True)
    assert not list(found.path.parent.glob("*.data"))


def test_a_licence_that_the_data_states_goes_with_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with h5py.File(tiny_dataset("tiny.h5"), "r+") as file:
        file.attrs["licence"] = "CC BY 4.0"
    run = dlcli.train(recipe("tiny.h5")).run
    path = dlcli.export(run, format="onnx").path
    assert onnxruntime.InferenceSession(path).get_modelmeta().custom_metadata_map["licence"] == "CC BY 4.0"


def test_regression_predicts_targets_in_their_units(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = dlcli.train(recipe(tiny_dataset("tiny.h5", task="regression"), "linear"), seeds=3).run
    found = dlcli.export(run, format="onnx")
    session = onnxruntime.InferenceSession(found.path)
    x = rows_of(run, 6)["x"]
    prediction, spread = session.run(["prediction", "spread"], {"x": x.numpy()})
    model = dlcli.load(run)
    each = torch.stack([output.detach() for output in model.outputs(x).values()])
    np.testing.assert_allclose(prediction, each.mean(0), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(spread, each.numpy().std(0), rtol=1e-5, atol=1e-5)


def test_folds_of_large_targets_are_exported(tmp_path, monkeypatch):
    """The spread of large numbers has their rounding, however small it is itself."""
    monkeypatch.chdir(tmp_path)
    with h5py.File(tiny_dataset("tiny.h5", task="regression", rows=200), "r+") as file:
        for split in file.values():
            split["y"][...] = 1e6 + 50 * split["y"][...]
    data = {"path": "tiny.h5", "preprocess": ["standardize"], "scale_target": True}
    run = dlcli.train(recipe("tiny.h5", "mlp", data=data), kfold=5).run
    assert dlcli.export(run, format="onnx").parity.worst.excess <= 1


def test_members_are_exported_by_their_address(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = dlcli.train(recipe(tiny_dataset("tiny.h5")), seeds=2).run
    found = dlcli.export(f"{run}@seed-1")
    assert found.path == run / "exports/seed-1.pt2"
    x = rows_of(run, 4)["x"]
    expected = dlcli.load(f"{run}@seed-1")(x)
    torch.testing.assert_close(torch.export.load(found.path).module()(x)[0], expected, rtol=1e-5, atol=1e-5)


def test_ten_members_are_one_file_of_batched_operations(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tiny_dataset("tiny.h5", "image", rows=60)
    model = {"architecture": "mlp", "hidden": [64], "norm": "batch"}
    counts, sizes = [], []
    for members in (2, 10):
        run = dlcli.train(
            recipe(path, model=model, data={"path": str(path), "preprocess": ["standardize"]}), seeds=members
        ).run
        found = dlcli.export(run, format="onnx")
        counts.append(len(onnx.load(found.path).graph.node))
        sizes.append(found.bytes / found.weight_bytes)
    assert counts[0] == counts[1]
    assert sizes[1] < 1.1


def test_members_of_several_architectures_are_one_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tiny_dataset("tiny.h5", "image", rows=60)
    runs = [dlcli.train(recipe(path, name, name=name, seed=s)).run for name in ("mlp", "cnn") for s in (0, 1)]
    inner = dlcli.ensemble(*runs[:2], strategy="voting").run
    run = dlcli.ensemble(inner, *runs[2:], strategy="voting").run
    found = dlcli.export(run)
    x = torch.randint(0, 255, (4, 1, 8, 8)).to(torch.uint8)
    logits, _, spread = torch.export.load(found.path).module()(x)
    torch.testing.assert_close(logits, dlcli.load(run)(x), rtol=1e-5, atol=1e-5)
    assert spread.shape == (4, 3)


def test_sequences_of_any_length(tmp_path, monkeypatch, walks):
    monkeypatch.chdir(tmp_path)
    path = tiny_dataset("tiny.h5", "sequence")
    run = dlcli.train(recipe(path, "walks"), plugins=walks, seeds=2).run
    model = dlcli.load(run, plugins=walks)
    with pytest.raises(DataError, match=r"trained with lengths \(length\) and got none, .*give them as lengths=…"):
        model(torch.randn(4, 11, 4))
    for format in ("pt2", "onnx"):
        found = dlcli.export(run, format=format, plugins=walks)
        assert found.steps_vary
        assert "sequences cut to 3 steps" in found.parity.cases
        x, length = torch.randn(4, 11, 4), torch.tensor([1, 4, 9, 11])
        expected = model(x, lengths=length).detach()
        if format == "pt2":
            logits = torch.export.load(found.path).module()(x, length)[0]
        else:
            session = onnxruntime.InferenceSession(found.path)
            assert session.get_inputs()[0].shape == ["rows", "steps", 4]
            logits = torch.from_numpy(session.run(["logits"], {"x": x.numpy(), "length": length.numpy()})[0])
        torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-5)


def test_a_network_of_one_length_says_so(tmp_path, monkeypatch, walks):
    monkeypatch.chdir(tmp_path)
    run = dlcli.train(recipe(tiny_dataset("tiny.h5", "sequence"), "fixed_walks"), plugins=walks).run
    found = dlcli.export(run, plugins=walks)
    assert found.steps_vary is False


def test_conditions_and_odd_names(tmp_path, monkeypatch, walks):
    monkeypatch.chdir(tmp_path)
    with h5py.File(tiny_dataset("tiny.h5", "sequence"), "r+") as file:
        for split in ("train", "val", "test"):
            count = len(file[split]["y"])
            file[split]["of the day"] = np.random.default_rng(0).normal(size=(count, 2)).astype("float32")
            file[split]["of the day"].attrs.update(role="condition", kind="features")
    run = dlcli.train(recipe("tiny.h5", "walks"), plugins=walks).run
    found = dlcli.export(run, format="onnx", plugins=walks)
    names = [entry.name for entry in onnxruntime.InferenceSession(found.path).get_inputs()]
    assert names == ["x", "of the day", "length"]
    dlcli.export(run, plugins=walks)


def test_a_network_that_cannot_be_recorded_is_told_with_its_layer(tmp_path, monkeypatch, walks):
    monkeypatch.chdir(tmp_path)
    run = dlcli.train(recipe(tiny_dataset("tiny.h5"), "decides"), plugins=walks).run
    match = r"the layer network\.layers\.1 \(Undecided\) of the architecture 'decides' cannot be exported: it decides"
    with pytest.raises(UsageError, match=match):
        dlcli.export(run, plugins=walks)
    assert not (run / "exports/model.pt2").exists()


def test_an_operation_that_onnx_lacks_is_told_with_its_layer(tmp_path, monkeypatch, walks):
    monkeypatch.chdir(tmp_path)
    run = dlcli.train(recipe(tiny_dataset("tiny.h5"), "special"), plugins=walks).run
    match = r"ONNX has no operation for prims\.bessel_j0, which the layer .*layers\.1 \(.*Bessel\) needs; use"
    with pytest.raises(UsageError, match=match):
        dlcli.export(run, format="onnx", plugins=walks)
    dlcli.export(run, format="pt2", plugins=walks)


class Wrong(Artefact):
    def run(self, inputs):
        x = inputs["x"]
        return {"logits": x[:, :3] * 0, "probabilities": x[:, :3] * 0 + 1 / 3}


class WritesWrong(Exporter):
    name: ClassVar[str] = "wrong"
    suffix: ClassVar[str] = ".wrong"

    def write(self, model, path):
        path.write_text("wrong")

    def open(self, path):
        return Wrong({})


def test_what_differs_is_not_left_and_what_was_there_stays(run, tmp_path):
    target = tmp_path / "kept.wrong"
    target.write_text("from before")
    with pytest.raises(ExportError, match=r"the worst is .* row \d+.*, logits: exported -?0, source .*nothing"):
        dlcli.export(run, format=WritesWrong(), output=target)
    assert target.read_text() == "from before"
    assert not list(tmp_path.glob(".partial-*"))


def test_eight_bits_cost_what_is_told_and_no_more_than_allowed(run):
    found = dlcli.export(run, format="onnx", parameters={"quantize": "int8"}, max_drop=1.0)
    assert found.path.name == "model-int8.onnx"
    assert found.parity.worst is None
    assert found.accuracy.rows == 12
    assert found.accuracy.drop == pytest.approx(found.accuracy.source - found.accuracy.exported)
    with h5py.File("tiny.h5") as file:
        x, y = file["val/x"][:], file["val/y"][:]
    session = onnxruntime.InferenceSession(found.path)
    said = session.run(["probabilities"], {"x": x})[0].argmax(-1)
    assert found.accuracy.exported == pytest.approx((said == y).mean())
    assert (dlcli.load(run)(torch.from_numpy(x)).argmax(-1).numpy() == y).mean() == pytest.approx(found.accuracy.source)
    calibrated = dlcli.export(run, format="onnx", parameters={"quantize": "int8", "calibration_rows": 20}, max_drop=1.0)
    assert "QuantizeLinear" in {node.op_type for node in onnx.load(calibrated.path).graph.node}


def test_a_drop_beyond_what_is_allowed_is_refused(run, monkeypatch):
    from dlcli.experiment.exporting import check as export_check

    figures = iter([0.9, 0.88])
    monkeypatch.setattr(export_check, "accuracy_of", lambda *_: next(figures))
    with pytest.raises(
        ExportError, match=r"accuracy falls from 0.9000 to 0.8800 on the val rows, by 0.0200, more than"
    ):
        dlcli.export(run, format="onnx", parameters={"quantize": "int8"})
    assert not (run / "exports/model-int8.onnx").exists()


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"format": "onxx"}, UsageError, "unknown exporter 'onxx'; did you mean 'onnx'"),
        (
            {"parameters": {"quantize": "int8"}},
            UsageError,
            "pt2 has no parameter 'quantize'; it has none; --format onnx has",
        ),
        (
            {"format": "onnx", "parameters": {"quantize": "int4"}},
            UsageError,
            'quantize: expected "int8", got "int4"',
        ),
        (
            {"format": "onnx", "parameters": {"calibration_rows": -1}},
            UsageError,
            "calibration_rows: expected a whole number ≥ 0",
        ),
        ({"output": "model.onnx"}, UsageError, "a file of --format pt2 ends with .pt2"),
        ({"max_drop": -1.0}, UsageError, "--max-drop takes a number from 0 on"),
        ({"max_drop": 0.5}, UsageError, "--max-drop is for what is not exact, .* --format pt2 loses nothing"),
        ({"output": ""}, UsageError, "-o is empty"),
        ({"max_drop": float("nan")}, UsageError, "--max-drop takes a number from 0 on"),
        ({"data": "gone.h5"}, DataError, r"gone\.h5, which .* was trained on, is not there any more; .*--data FILE"),
        ({"format": "safetensors", "output": "."}, UsageError, "writes a folder, and this holds something else"),
    ],
)
def test_what_cannot_be_done_is_told(run, options, error, match):
    with pytest.raises(error, match=match):
        dlcli.export(run, **options)
    assert not (run / "exports").exists() or not list((run / "exports").iterdir())


def test_a_folder_takes_the_file_under_its_usual_name(run, tmp_path):
    (tmp_path / "out").mkdir()
    assert dlcli.export(run, output="out").path == tmp_path.joinpath("out/model.pt2").relative_to(tmp_path)
    assert dlcli.export(run, output="new/deep/net.pt2").path.exists()


def test_a_hub_folder_keeps_what_else_is_in_it(run, tmp_path, monkeypatch):
    run = run.resolve()
    dlcli.export(run, format="safetensors", output="hub")
    (tmp_path / "hub/.git").mkdir()
    (tmp_path / "hub/.git/HEAD").write_text("main")
    (tmp_path / "hub/load.py").unlink()
    monkeypatch.chdir(tmp_path / "hub")
    dlcli.export(run, format="safetensors", output=".")
    there = {path.name for path in (tmp_path / "hub").iterdir()}
    assert there == {".git", "README.md", "load.py", "model.json", "model.safetensors"}
    assert (tmp_path / "hub/.git/HEAD").read_text() == "main"


def test_a_place_that_cannot_be_written_is_told(run, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"cannot write file/model\.pt2: File exists"):
        dlcli.export(run, output="file/model.pt2")


def test_data_that_moved_is_given_and_must_be_the_same(run, tmp_path):
    (tmp_path / "tiny.h5").rename(tmp_path / "moved.h5")
    with pytest.raises(DataError, match="is not there any more; .* give the same file with --data FILE"):
        dlcli.export(run)
    assert dlcli.export(run, data="moved.h5").path.exists()
    other = tiny_dataset(tmp_path / "other.h5", seed=1)
    with pytest.raises(DataError, match="has changed since; .* --data FILE"):
        dlcli.export(run, data=other)


def test_without_the_extra_the_line_that_installs_it_is_told(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(PluginError, match=r'needs the package onnxscript, .*: pip install "dlcli\[onnx\]"'):
        dlcli.export(run, format="onnx")


def test_a_bench_shows_source_and_formats_side_by_side(run, monkeypatch):
    from dlcli.experiment.exporting import latency

    monkeypatch.setattr(latency, "ROUNDS", 2)
    speeds = dlcli.export(run, bench=True).speeds
    assert [speed.name for speed in speeds] == ["source", "onnx", "pt2"]
    assert all(speed.latency_1 > 0 and speed.rows_a_second > 0 for speed in speeds)
    assert speeds[0].bytes == (run / "model/model.safetensors").stat().st_size


def test_a_program_needs_no_dlcli(run, tmp_path):
    found = dlcli.export(run)
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, torch\n"
        f"logits, probabilities = torch.export.load({str(found.path)!r}).module()(torch.zeros(1, 5))\n"
        "assert 'dlcli' not in sys.modules\n"
        "print(logits.shape)\n"
    )
    done = subprocess.run([sys.executable, "-I", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "torch.Size([1, 3])"
    assert done.stderr == ""
