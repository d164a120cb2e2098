"""What results look like on a console of 80 columns."""

import dataclasses
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dlcli.contracts.field import Field
from dlcli.data.finding import Finding
from dlcli.experiment.build import LayerRow, Preflight
from dlcli.experiment.evaluate import Evaluation
from dlcli.experiment.runs import RunRow
from dlcli.experiment.summary import Summary
from dlcli.report.dataset import classes_table, findings_view
from dlcli.report.evaluation import evaluation_view
from dlcli.report.preflight import preflight_view
from dlcli.report.runs import runs_view
from dlcli.report.summary import summary_view

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


def test_a_preflight(text):
    preflight = Preflight(
        name="digits",
        task="multiclass",
        inputs=(Field("x", "input", "image", (1, 8, 8), "uint8"),),
        target=Field("y", "target", "categorical", (), "uint8"),
        splits={"train": 1257, "val": 270},
        outputs=10,
        classes=tuple(map(str, range(14))),
        layers=(LayerRow("blocks.0.affine", "Linear", (128,), 8320), LayerRow("head", "Linear", (10,), 1290)),
        parameters=9610,
        trainable=1290,
        loss="cross_entropy",
        loss_value=2.375,
        batch_size=64,
        steps_per_epoch=20,
        regularized={"l2": ("head.weight",), "early_stopping": ()},
        device="cpu",
        notes=("head.bias got no gradient",),
    )
    assert lines(text(preflight_view(preflight))) == [
        "recipe   digits",
        "task     multiclass, 14 classes: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, …",
        "input    x, image 1 × 8 × 8, uint8",
        "target   y, categorical, uint8",
        "rows     train 1,257, val 270",
        "batches  20 steps of 64 rows an epoch",
        "",
        "layer            kind    output shape  parameters",
        "blocks.0.affine  Linear           128       8,320",
        "head             Linear            10       1,290",
        "total                                       9,610",
        "",
        "device   cpu",
        "trained  1,290 of 9,610 parameters",
        "loss     cross_entropy 2.3750 on the first batch, before training",
        "l2         acts on head.weight",
        "early_stopping  acts on no parameters",
        "note     head.bias got no gradient",
    ]


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
        "run          status    best             epochs   time  when",
        "digits/0003  finished  val_loss 0.0712    9/14  5.6 s  2026-01-02 03:04",
        "digits/0004  damaged   –                     –      –  –",
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
