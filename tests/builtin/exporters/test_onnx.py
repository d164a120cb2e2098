"""What onnxruntime gets, and that a hostile file is refused."""

import numpy as np
import onnx
import pytest
import torch

from dlcli.builtin.exporters import onnx as exporter
from dlcli.builtin.exporters.onnx import ONNX
from dlcli.errors import DataError, UsageError


@pytest.fixture
def file(exportable, tmp_path):
    path = tmp_path / "model.onnx"
    ONNX().write(exportable, path)
    return path


def test_it_gives_what_the_module_gives(file, exportable):
    found = ONNX().open(file)
    assert found.metadata == exportable.metadata
    for rows in (1, 4, 9):
        x = torch.randn(rows, 5)
        for actual, expected in zip(found.run({"x": x}).values(), exportable.module(x), strict=True):
            torch.testing.assert_close(actual, expected.detach(), rtol=1e-5, atol=1e-5)


def test_where_it_was_recorded_stays_out_of_the_file(file):
    model = onnx.load(file)
    assert not any(node.metadata_props or node.doc_string for node in model.graph.node)
    assert b"conftest.py" not in file.read_bytes()


def test_weights_in_another_file_are_refused(file, tmp_path):
    model = onnx.load(file)
    onnx.save_model(model, file, save_as_external_data=True, location="secret", size_threshold=0)
    with pytest.raises(DataError, match="in another file; a model must be whole in one"):
        ONNX().open(file)


def test_weights_of_a_branch_in_another_file_are_refused(file):
    model = onnx.load(file)
    tensor = onnx.TensorProto(name="secret", data_type=1, dims=[1], data_location=onnx.TensorProto.EXTERNAL)
    branch = onnx.GraphProto(name="branch", initializer=[tensor])
    model.graph.node[0].attribute.append(onnx.AttributeProto(name="then", type=onnx.AttributeProto.GRAPH, g=branch))
    onnx.save(model, file)
    with pytest.raises(DataError, match="keeps secret in another file"):
        ONNX().open(file)


@pytest.mark.parametrize("content", [b"", b"junk", b"\x08" * 1000])
def test_a_file_that_is_no_model_is_refused(tmp_path, content):
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"cannot (read the model|load)"):
        ONNX().open(path)


def test_an_operation_that_nobody_knows_is_refused(file):
    model = onnx.load(file)
    model.graph.node[0].op_type = "Launch"
    onnx.save(model, file)
    with pytest.raises(DataError, match="onnxruntime cannot load .*Launch"):
        ONNX().open(file)


def test_what_takes_memory_or_time_without_end_is_refused(file):
    model = onnx.load(file)
    shape = onnx.numpy_helper.from_array(np.array([750_000_000], dtype=np.int64), "shape")
    model.graph.initializer.append(shape)
    model.graph.node.append(onnx.helper.make_node("ConstantOfShape", ["shape"], ["zeros"]))
    onnx.save(model, file)
    with pytest.raises(DataError, match=r"asks for a tensor of the shape \[750000000\]"):
        ONNX().open(file)
    model.graph.node[-1].op_type = "Loop"
    onnx.save(model, file)
    with pytest.raises(DataError, match="holds the operation Loop, which may never end"):
        ONNX().open(file)


def test_calibration_without_quantization_is_refused():
    with pytest.raises(ValueError, match="calibration_rows is for quantize, which is not set"):
        ONNX(calibration_rows=10)


def test_rows_that_do_not_fit_are_told(file):
    with pytest.raises(DataError, match="onnxruntime cannot run the model on these rows"):
        ONNX().open(file).run({"x": torch.zeros(1, 6)})


def test_more_weights_than_one_file_holds_are_refused(exportable, tmp_path, monkeypatch):
    monkeypatch.setattr(exporter, "LARGEST", 10)
    with pytest.raises(UsageError, match="one onnx file holds 2 GiB; use --format pt2"):
        ONNX().write(exportable, tmp_path / "model.onnx")


def test_eight_bits_take_a_quarter_of_the_space(exportable, tmp_path):
    wide = torch.nn.Linear(512, 512)

    class Wide(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.wide = wide

        def forward(self, x):
            logits = self.wide(x)
            return logits, logits.softmax(-1)

    inputs = {"x": torch.randn(3, 512)}
    rows = torch.randn(100, 512, generator=torch.Generator().manual_seed(0))
    large = type(exportable)(
        Wide().eval(),
        inputs,
        {},
        exportable.outputs,
        exportable.metadata,
        exportable.folder,
        "",
        lambda n: {"x": rows[:n]},
    )
    sizes = {}
    for name, component in {
        "float": ONNX(),
        "dynamic": ONNX(quantize="int8"),
        "static": ONNX(quantize="int8", calibration_rows=64),
    }.items():
        path = tmp_path / f"{name}.onnx"
        component.write(large, path)
        sizes[name] = path.stat().st_size
        found = component.open(path)
        assert {"dlcli", "classes"} <= found.metadata.keys()
        error = (found.run({"x": rows})["logits"] - wide(rows).detach()).abs().max()
        assert error < (1e-5 if name == "float" else 0.2)
    assert sizes["dynamic"] < 0.3 * sizes["float"]
    assert sizes["static"] < 0.3 * sizes["float"]
    assert not ONNX(quantize="int8").exact
