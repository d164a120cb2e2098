from pathlib import Path

from dlcli.contracts.field import Field
from dlcli.contracts.task import Task
from dlcli.experiment.address import Address
from dlcli.experiment.export import Export
from dlcli.experiment.exporting.check import Accuracy
from dlcli.experiment.exporting.latency import Speed
from dlcli.experiment.exporting.parity import Case, Difference, Parity
from dlcli.experiment.models.interface import Interface
from dlcli.experiment.run_directory import RunDirectory
from dlcli.report.export import export_view

X = Field("x", "input", "sequence", (7, 4), "float32")
Y = Field("y", "target", "categorical", (), "int64", tuple(f"class {i}" for i in range(12)))


def export(**changes):
    worst = Difference(Case("one row alone", {}), "logits", 0, 1.0, 1.00001, 0.5)
    facts = {
        "run": Address(RunDirectory(Path("runs/walks/0001"))),
        "format": "pt2",
        "path": Path("model.pt2"),
        "bytes": 12_345,
        "weight_bytes": 12_000,
        "interface": Interface((X,), Y, Task.MULTICLASS, False, Y.classes, ("logits", "probabilities")),
        "parity": Parity(270, ("one row alone",), worst, 1e-5),
    }
    return Export(**{**facts, **changes})


def shown(text, found, width=100):
    return [line.rstrip() for line in text(export_view(found), width=width).splitlines()]


def test_many_classes_are_cut_and_steps_are_told(text):
    lines = shown(text, export(steps_vary=True))
    assert "takes    x  float32 (rows, steps, 4)" in lines
    assert lines[4].endswith("class 9, …")
    assert lines[5].startswith(
        "checked  270 rows and 1 edge case: differs by 1e-05 at most, 50 % of what is allowed (one"
    )


def test_a_fixed_number_of_steps_is_told(text):
    lines = shown(text, export(steps_vary=False))
    assert "takes    x  float32 (rows, 7, 4)" in lines
    assert "         sequences must have exactly these steps: the network's own code fixes them" in lines


def test_what_eight_bits_cost(text):
    parity = Parity(270, ("one row alone",), None, 0.0)
    lines = shown(text, export(parity=parity, accuracy=Accuracy("accuracy", "val", 270, 0.97, 0.962)))
    assert "checked  finite on 270 rows and 1 edge case; its outputs are not those of float32" in lines
    assert "costs    accuracy 0.9620 instead of 0.9700 on 270 val rows: 0.0080 lost" in lines


def test_speeds_side_by_side(text):
    speeds = (Speed("source", 0.2, 0.4, 80_000.0, 109_000, 1), Speed("onnx", 0.03, 0.1, 200_000.0, 118_000, 1))
    assert shown(text, export(speeds=speeds))[-3:] == [
        "1 thread      1 row    64 rows  rows a second    size",
        "source    0.2000 ms  0.4000 ms         80,000  109 kB",
        "onnx      0.0300 ms  0.1000 ms        200,000  118 kB",
    ]
