"""`dlcli export` as it is typed: what is printed, and what is left."""

from pathlib import Path

import pytest

from dlcli.testing.tiny import tiny_dataset

RECIPE = """
name = "tiny"
[data]
path = "tiny.h5"
[model]
architecture = "logistic"
[train]
epochs = 2
"""


@pytest.fixture(autouse=True)
def _run(dlcli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiny_dataset("tiny.h5")
    Path("recipe.toml").write_text(RECIPE)
    assert dlcli("train", "--seeds", "2", "-q").code == 0


def test_what_was_left_and_how_it_was_checked(dlcli):
    outcome = dlcli("export", "tiny")
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    assert lines[0] == "run      runs/tiny/0001"
    assert lines[1].startswith("left     runs/tiny/0001/exports/model.pt2  ")
    assert lines[2] == "takes    x  float32 (rows, 5)"
    assert lines[3:5] == ["gives    logits, probabilities, spread", "         ash, oak, elm"]
    assert lines[5].startswith("checked  12 rows and 5 edge cases: differs by ")
    assert Path("runs/tiny/0001/exports/model.pt2").exists()


def test_json_is_one_object(dlcli):
    found = dlcli("export", "tiny@seed-1", "--format", "onnx", "-o", "net.onnx", "--json").json
    assert found["run"] == "runs/tiny/0001@seed-1"
    assert found["path"] == "net.onnx"
    assert found["bytes"] == Path("net.onnx").stat().st_size
    assert found["inputs"] == [{"name": "x", "dtype": "float32", "shape": ["rows", 5]}]
    assert found["outputs"] == ["logits", "probabilities"]
    assert found["parity"]["rows"] == 12
    assert found["parity"]["share_of_allowed"] <= 1


def test_eight_bits(dlcli):
    arguments = ("export", "tiny", "--format", "onnx", "--quantize", "int8", "--calibrate", "20", "--max-drop", "1")
    lines = dlcli(*arguments).out.splitlines()
    assert lines[1].startswith("left     runs/tiny/0001/exports/model-int8.onnx")
    assert lines[5].startswith("checked  finite on 12 rows and 5 edge cases")
    assert lines[-1].startswith("costs    accuracy ")
    assert " on 12 val rows: " in lines[-1]


def test_a_parameter_is_set_by_its_name(dlcli):
    outcome = dlcli("export", "tiny", "--format", "onnx", "--set", "quantize=int8", "--max-drop", "1", "-q")
    assert outcome == (0, "", "")
    assert Path("runs/tiny/0001/exports/model-int8.onnx").exists()


def test_what_was_exported_can_be_predicted_with(dlcli):
    assert dlcli("predict", "tiny", "tiny.h5", "-o", "run.csv", "-q").code == 0
    expected = [line.split(",") for line in Path("run.csv").read_text().splitlines()]
    for format, path in (("pt2", "m.pt2"), ("onnx", "m.onnx"), ("safetensors", "folder")):
        assert dlcli("export", "tiny", "--format", format, "-o", path, "-q").code == 0
        assert dlcli("predict", path, "tiny.h5", "-o", "artefact.csv", "-q").code == 0
        found = [line.split(",") for line in Path("artefact.csv").read_text().splitlines()]
        assert found[0] == expected[0]
        assert [row[:3] for row in found] == [row[:3] for row in expected]
        for row, other in zip(found[1:], expected[1:], strict=True):
            assert [float(x) for x in row[3:]] == pytest.approx([float(x) for x in other[3:]], abs=1e-5)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["nobody"], 2, "there is no run 'nobody'"),
        (["tiny@seed-7"], 2, "has no member 'seed-7'; there are seed-0, seed-1"),
        (["tiny", "--quantize", "int8"], 2, "--format pt2 has no parameter 'quantize'"),
        (["tiny", "--set", "quantize"], 2, "quantize"),
        (["tiny", "--format", "coreml"], 2, "unknown exporter 'coreml'"),
    ],
)
def test_errors_have_their_code(dlcli, words, code, message):
    outcome = dlcli("export", *words)
    assert outcome.code == code
    assert message in outcome.err
    assert outcome.out == ""
