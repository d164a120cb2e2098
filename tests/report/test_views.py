"""What results look like on a console of 80 columns."""

import dataclasses
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dlcli.contracts.field import Field
from dlcli.contracts.task import Task
from dlcli.data.column_figures import ColumnFigures
from dlcli.data.describe import FieldDescription, FileDescription
from dlcli.data.field_pass import StepFigures
from dlcli.data.finding import Finding
from dlcli.data.slow_layouts import SlowLayouts
from dlcli.data.storage import Storage
from dlcli.experiment.building.preflight import LayerRow, Preflight, Regularized
from dlcli.experiment.components import ComponentPage, ComponentRow, ParameterRow
from dlcli.experiment.doctor import PluginHealth
from dlcli.experiment.evaluate import Evaluation
from dlcli.experiment.runs import RunRow
from dlcli.experiment.summary import Summary
from dlcli.report.components import list_view, page_view
from dlcli.report.dataset import classes_table, description_view, findings_view
from dlcli.report.doctor import health_view
from dlcli.report.evaluation import evaluation_view
from dlcli.report.layout import as_it_is, as_lines, as_name
from dlcli.report.preflight import preflight_view
from dlcli.report.runs import runs_view
from dlcli.report.summary import summary_view
from dlcli.training.step_costs import MemoryEstimate

SUMMARY = Summary(
    run=Path("runs/digits/0003"),
    name="digits",
    status="finished",
    best_epoch=9,
    epochs=14,
    seconds=5.61,
    monitor="val_loss",
    best_score=0.0712,
    stopped="early_stopping: no better val_loss for 5 epochs",
    train={"loss": 0.0012, "accuracy": 1.0},
    val={"loss": 0.0712, "accuracy": 0.9833},
    test={"loss": 0.0801, "accuracy": 0.975},
)


def lines(shown: str) -> list[str]:
    return [line.rstrip() for line in shown.splitlines()]


def test_the_summary_says_where_what_and_what_next(text):
    assert lines(text(summary_view(SUMMARY))) == [
        "run      runs/digits/0003  finished",
        "trained  14 epochs in 5.6 s",
        "stopped  early_stopping: no better val_loss for 5 epochs",
        "best     epoch 9, val_loss 0.0712",
        "",
        "         loss  accuracy",
        "train  0.0012    1.0000",
        "val    0.0712    0.9833",
        "test   0.0801    0.9750",
        "",
        "next     dlcli evaluate runs/digits/0003 --data FILE.h5",
        "compare  dlcli runs digits --sort best",
    ]


def test_an_interrupted_run_says_how_to_go_on(text):
    interrupted = dataclasses.replace(
        SUMMARY, status="interrupted", stopped=None, best_epoch=0, best_score=None, train=None, val=None, test=None
    )
    assert lines(text(summary_view(interrupted)))[-1] == "go on    dlcli train --resume runs/digits/0003"


def test_commands_of_runs_elsewhere_say_where_and_are_not_folded(text):
    elsewhere = dataclasses.replace(SUMMARY, run=Path("/data/of/many/experiments/with/long/names/runs/digits/0003"))
    shown = lines(text(summary_view(elsewhere), width=40))
    assert shown[-1].endswith("dlcli runs digits --sort best --runs /data/of/many/experiments/with/long/names/runs")


def test_an_evaluation(text):
    evaluation = Evaluation(Path("runs/digits/0003"), Path("d.h5"), "test", 270, {"loss": 0.25, "accuracy": 0.9})
    assert lines(text(evaluation_view(evaluation))) == [
        "run      runs/digits/0003",
        "data     d.h5",
        "split    test, 270 rows",
        "",
        "loss      0.2500",
        "accuracy  0.9000",
    ]


PREFLIGHT = Preflight(
    name="digits",
    task="multiclass",
    inputs=(Field("x", "input", "image", (1, 8, 8), "uint8"),),
    beside=(Field("age", "condition", "features", (2,), "float32"),),
    target=Field("y", "target", "categorical", (), "uint8"),
    splits={"train": 1257, "val": 270},
    outputs=10,
    classes=tuple(map(str, range(14))),
    layers=(
        LayerRow("blocks.0.affine", "Linear", (128,), 8320, 8192),
        LayerRow("blocks.0.activation", "ReLU", (128,), 0, 0, 32768),
        LayerRow("head", "Linear", (10,), 1290, 1280),
    ),
    parameters=9610,
    trainable=1290,
    loss="cross_entropy",
    loss_value=2.375,
    batch_size=64,
    steps_per_epoch=20,
    regularized={
        "l2": Regularized(("penalty",), tuple(f"layers.{i}" for i in range(6)), 49152, ()),
        "early_stopping": Regularized(("stop",), (), 0, ()),
        "mixup": Regularized(("mix",), (), 0, ()),
        "activity_l1": Regularized(("activity",), (), 0, ("blocks.0.activation",)),
    },
    device="cpu",
    forward_flops=18944,
    training_flops=40448,
    memory=MemoryEstimate(64, 38440, 38440, 76880, 38440, 16896, 35328, 2560, 246984),
    available_bytes=2 * 10**9,
    fits=True,
    largest_batch=1048576,
    notes=("head.bias got no gradient",),
    init={"name": "kaiming_normal", "gain": 2**0.5, "mode": "fan_in"},
)


def test_a_preflight(text):
    assert lines(text(preflight_view(PREFLIGHT))) == [
        "recipe   digits",
        "task     multiclass, 14 classes: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, …",
        "input    x, image 1 × 8 × 8, uint8",
        "beside   condition age, features 2, float32",
        "target   y, categorical, uint8",
        "rows     train 1,257, val 270",
        "batches  20 steps of 64 rows an epoch",
        "",
        "                                                        multiply-   memory",
        "layer                kind    output shape  parameters  adds a row  a batch",
        "blocks.0.affine      Linear           128       8,320      8.19 k",
        "blocks.0.activation  ReLU             128                            33 kB",
        "head                 Linear            10       1,290      1.28 k",
        "total                                           9,610      9.47 k    35 kB",
        "",
        "device   cpu",
        "init     kaiming_normal, gain 1.4142, mode fan_in",
        "trained  1,290 of 9,610 parameters",
        "flops    18.9 k forward, 40.4 k in training a row; 2.59 M a step",
        "memory   about 247 kB with 64 rows in a batch: parameters 38 kB, gradients 38",
        "         kB, optimizer 77 kB, copies 38 kB, data 17 kB, activations 35 kB,",
        "         working 2.6 kB",
        "room     2.0 GB left on cpu: it fits; the largest power of two that would is",
        "         1,048,576 rows",
        "loss     cross_entropy 2.3750 on the first batch, before training",
        "",
        "regularizer     does                  parameters  where",
        "l2              penalizes parameters      49,152  layers.0, layers.1, layers.2,",
        "                                                  … 3 more",
        "early_stopping  may end training",
        "mixup           mixes training rows",
        "activity_l1     penalizes outputs                 blocks.0.activation",
        "note     head.bias got no gradient",
    ]


def test_a_preflight_that_does_not_fit(text):
    full = dataclasses.replace(PREFLIGHT, available_bytes=100_000, fits=False, largest_batch=0)
    assert "room     100 kB left on cpu: it does not fit; not even one row would" in text(preflight_view(full))
    unknown = dataclasses.replace(PREFLIGHT, available_bytes=None, fits=None, largest_batch=None)
    assert "room" not in text(preflight_view(unknown))


def test_on_a_narrow_console_layers_stand_below_the_part_that_they_are_in(text):
    parts = ("branch.0.affine", "branch.0.normalization", "activation")
    layers = tuple(LayerRow(f"stages.0.0.sum.{part}", "Conv2d", (128, 224, 224), 11_000_000) for part in parts)
    deep = dataclasses.replace(PREFLIGHT, layers=layers)
    shown = [line.split()[0] for line in lines(text(preflight_view(deep))) if "Conv2d" in line or "branch" in line]
    assert shown == ["stages.0.0.sum.branch.0", "affine", "normalization", "stages.0.0.sum.activation"]
    wide = text(preflight_view(deep), width=120)
    assert [layer.name for layer in layers] == [line.split()[0] for line in lines(wide) if "Conv2d" in line]


def test_runs(text):
    when = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
    rows = [
        RunRow(
            Path("runs/digits/0003"),
            "digits",
            "finished",
            monitor="val_loss",
            best_score=0.0712,
            best_epoch=9,
            epochs=14,
            seconds=5.6,
            started=when,
        ),
        RunRow(Path("runs/digits/0004"), "digits", "damaged", problem="runs/digits/0004 is no readable run"),
    ]
    assert lines(text(runs_view(rows, Path("runs")))) == [
        "run          status    best             best epoch   time  when",
        "digits/0003  finished  val_loss 0.0712     9 of 14  5.6 s  2026-01-02 03:04",
        "digits/0004  damaged   –                         –      –  –",
        "",
        "digits/0004  runs/digits/0004 is no readable run",
    ]


def test_no_runs(text):
    assert lines(text(runs_view([], Path("runs")))) == ["no such runs under runs/; `dlcli train` makes one"]


def test_findings(text):
    findings = [Finding("error", "train/y", "label 12 [of 10]"), Finding("note", "", "odd"), Finding("note", "", "so")]
    assert lines(text(findings_view(findings, Path("d.h5")))) == [
        "error    train/y: label 12 [of 10]",
        "note     odd",
        "note     so",
        "",
        "d.h5: 1 error, 2 notes",
    ]
    assert lines(text(findings_view([], Path("d.h5")))) == ["d.h5: nothing wrong was found"]


@pytest.mark.parametrize(("classes", "rows"), [(30, 31), (31, 32), (1000, 32)])
def test_many_classes_are_summed_up(text, classes, rows):
    counts = {"train": {str(number): 2 for number in range(classes)}, "val": {"0": 1}}
    shown = lines(text(classes_table(counts)))
    assert len(shown) == rows
    if classes > 30:
        assert shown[-1].split() == [str(classes - 30), "more", str(2 * (classes - 30)), "0"] or classes == 1000


def test_the_list_of_components_has_one_line_each(text):
    rows = [
        ComponentRow("activation", "relu", "dlcli", "0.1.0", "Rectified linear unit: " + "so on " * 20),
        ComponentRow("activation", "snake", "dlcli-example", "0.2", "Periodic [bold]."),
        ComponentRow("loss", "mse", "dlcli", "0.1.0", "Mean squared error."),
    ]
    shown = lines(text(list_view(rows)))
    assert shown[0].split() == ["component", "package", "what", "it", "is", "for"]
    assert shown[1] == "activation"
    assert shown[2].startswith("  relu      dlcli 0.1.0        Rectified linear unit: so on")
    assert shown[2].endswith("…")
    assert len(shown[2]) <= 80
    assert shown[3] == "  snake     dlcli-example 0.2  Periodic [bold]."
    assert shown[4:] == ["loss", "  mse       dlcli 0.1.0        Mean squared error."]


def test_a_components_page(text):
    page = ComponentPage(
        kind="activation",
        name="snake",
        distribution="dlcli-example",
        version="0.2",
        documentation="""Periodic activation:
x + sin²(f x) / f.

Args:
    frequency: Too much.

Shape:
    Any shape;
        the same.
    Any dtype.

Raises:
    ValueError: Never.""",
        parameters=(
            ParameterRow("frequency", "a number > 0", 1.0, "how often", True),
            ParameterRow("inner", "an activation", {"name": "relu"}, "", False),
            ParameterRow("mode", "a text", "a", "", False),
            ParameterRow("sizes", "a list", [1, {"name": "x", "on": True}], "", False),
            ParameterRow("width", "a whole number", None, "", False),
        ),
        snippet='[model]\nactivation = "snake"\n',
    )
    assert lines(text(page_view(page))) == [
        "snake  activation of dlcli-example 0.2",
        "",
        "Periodic activation: x + sin²(f x) / f.",
        "",
        "Shape:",
        "    Any shape; the same.",
        "    Any dtype.",
        "",
        "Parameters",
        "  frequency*  a number > 0; default 1.0",
        "    how often",
        '  inner  an activation; default "relu"',
        '  mode  a text; default "a"',
        '  sizes  a list; default [1, { name = "x", on = true }]',
        "  width  a whole number; optional",
        "  * may differ between members that train together",
        "",
        "In a recipe",
        "",
        "[model]",
        'activation = "snake"',
    ]


def test_a_dataset(text):
    def field(name, role, kind, shape, dtype, figures, **more):
        storage = Storage(more.pop("chunks", (1257, *shape)), more.pop("filters", ("gzip 4",)), 90_000, 30_000)
        described = {"classes": (), "names": (), "of": None, "rows": 1527, "read_rows": 1527, **more}
        return FieldDescription(
            name=name, role=role, kind=kind, shape=shape, dtype=dtype, storage=storage, figures=figures, **described
        )

    def column(name, low, mean, high, missing=0.0, histogram=(1, 0, 8)):
        return ColumnFigures(name, low, mean, high, missing, histogram)

    steps = StepFigures(8, column("", 1.0, 2.0, 3.5), 0.25)
    description = FileDescription(
        path="d.h5",
        bytes=74_000,
        memory_bytes=180_000,
        available_bytes=None,
        layout="groups",
        splits={"train": 1257, "val": 270},
        task=Task.MULTICLASS,
        per_position=False,
        fields=(
            field("x", "input", "image", (8, 8), "uint8", column("", 0.0, 4.8842, 16.0), read_rows=500),
            field("y", "target", "categorical", (), "uint8", column("", 0.0, 4.5, 9.0), chunks=None, filters=()),
            field("z", None, None, (2,), "float32", None),
            field(
                "w",
                "condition",
                "features",
                (3,),
                "float32",
                column("", 0.0, 1.0, 2.0),
                chunks=(100, 1),
                columns=(column("[a]", 0.0, 1.0, 2.0, 0.25), *(column("b", 0.0, 1.0, 2.0),) * 2),
            ),
            field("n", "length", None, (), "int64", column("", 1.0, 2.0, 3.5), of="x", steps=steps),
        ),
        class_counts={"train": {"a": 1200, "b": 57}, "val": {"a": 270, "b": 0}},
        attributes={"source": "here"},
        slow=SlowLayouts(("w: a row lies in 3 chunks",), "dlcli data repack d.h5 -o d-repacked.h5"),
        notes=("z: it has no role [and] is not used",),
    )
    assert lines(text(description_view(description, columns=1), width=110)) == [
        "file     d.h5, 74 kB",
        "rows     train 1,257, val 270",
        "task     multiclass",
        "memory   180 kB for all rows",
        "figures  x from 500 of 1,527 rows; --full reads all",
        "",
        "field  role         kind           row  type     chunks        filters   size   packed",
        "x      input        image        8 × 8  uint8    1,257 rows    gzip 4   90 kB  3.0 : 1",
        "y      target       categorical      –  uint8    in one piece  none     90 kB        –",
        "z      not used     –                2  float32  1,257 rows    gzip 4   90 kB  3.0 : 1",
        "w      condition    features         3  float32  100 × 1       gzip 4   90 kB  3.0 : 1",
        "n      length of x  –                –  int64    1,257 rows    gzip 4   90 kB  3.0 : 1",
        "",
        "values             min    mean     max  missing  distribution",
        "x                    0  4.8842      16        –  ▁ █",
        "y                    0  4.5000       9        –  ▁ █",
        "w: [a]               0  1.0000       2    25.0%  ▁ █",
        "w: 2 more columns",
        "n                    1  2.0000  3.5000        –  ▁ █",
        "x: rows have 1 to 3.5000 steps, 2.0000 on average, 25% of the 8 that are stored  ▁ █",
        "",
        "class  train  val",
        "a      1,200  270  ████████████████████",
        "b         57    0  ▊",
        "",
        "source     here",
        "",
        "slow  w: a row lies in 3 chunks",
        "mend  dlcli data repack d.h5 -o d-repacked.h5",
        "note  z: it has no role [and] is not used",
    ]


def test_the_health_of_plugins(text):
    def health(**changes):
        facts = {
            "name": "main",
            "module": "dlcli_x",
            "distribution": "dlcli-x",
            "version": "1.2",
            "seconds": 0.0123,
            "cause": None,
            "imports": (),
            "hooks": ("register",),
            "components": 1,
            "faults": (),
        }
        return PluginHealth(**{**facts, **changes})

    shown = lines(
        text(
            health_view(
                [
                    health(),
                    health(cause="ImportError: no", hooks=(), components=0),
                    health(imports=("torch",), faults=("relu cannot be loaded",)),
                ]
            ),
            width=120,
        )
    )
    assert shown == [
        "ok      dlcli-x 1.2 (dlcli_x): loads in 12 ms; 1 component; hooks register",
        "broken  dlcli-x 1.2 (dlcli_x): loads in 12 ms; 0 components",
        "        ImportError: no",
        "mend    dlcli-x 1.2 (dlcli_x): loads in 12 ms; 1 component; hooks register",
        "        loading it imports torch, and every command pays for that: import them where they are used",
        "        relu cannot be loaded",
    ]


def test_a_model_of_the_last_epoch_is_not_passed_off_as_the_best_one(text):
    last = Summary(
        run=Path("runs/a/0001"),
        name="a",
        status="finished",
        best_epoch=12,
        epochs=13,
        seconds=1.0,
        monitor="train_loss",
        best_score=0.1,
        stopped=None,
        train=None,
        val=None,
        test=None,
        selected_epoch=13,
    )
    shown = text(summary_view(last), 100)
    assert "best     epoch 12, train_loss 0.1000" in shown
    assert "model    of epoch 13, the last" in shown
    assert "model " not in text(summary_view(dataclasses.replace(last, selected_epoch=12)), 100)


def test_what_a_file_says_is_escaped_and_long_names_are_cut(text):
    assert as_it_is("a\nb\tc\x1b[31m").plain == r"a\nb\tc\x1b[31m"
    assert as_lines("two:\n  x\t1", 2).plain == "two:\n    x\\t1"
    assert as_name("short").plain == "short"
    cut = as_name("a" * 3000 + "b" * 3000).plain
    assert cut == "a" * 50 + "…" + "b" * 49
    assert r"no\tone" in text(classes_table({"train": {"no\tone": 1}}))
    shown = text(findings_view([Finding("error", "x", "two:\n\x1b[2J")], Path("a.h5")))
    assert r"\x1b[2J" in shown
