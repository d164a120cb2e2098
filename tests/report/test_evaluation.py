"""How evaluations and comparisons look on a console."""

from dataclasses import replace
from pathlib import Path

import pytest

from dlcli.experiment.evaluate import Evaluation
from dlcli.experiment.evaluation.bootstrap import Bootstrap, Interval
from dlcli.experiment.evaluation.compare import LossTest, McNemar, RunComparison
from dlcli.experiment.evaluation.tables import (
    CalibrationBin,
    CalibrationTable,
    ClassFigures,
    Confusion,
    TargetFigures,
)
from dlcli.experiment.evaluation.worst_rows import WorstRow
from dlcli.report.evaluation import evaluation_view
from dlcli.report.evaluation_comparison import comparison_view, p_text

CLASSES = Evaluation(
    Path("runs/leaves/0001"),
    Path("leaves.h5"),
    "test",
    40,
    {"loss": 0.25, "auc": 0.9},
    task="binary",
    intervals={"loss": Interval(0.1, 0.4), "auc": None},
    bootstrap=Bootstrap(95, 2000, "groups", 13),
    confusion=Confusion(("ash", "[oak]"), ((0, 0, 20.0), (1, 0, 3.0), (1, 1, 17.0))),
    classes=(ClassFigures("ash", 20 / 23, 1.0, 0.93, 20.0), ClassFigures("[oak]", None, 0.85, 0.91, 20.0)),
    mean_of_classes=ClassFigures("mean", 0.5, 0.6, 0.7, 40.0),
    calibration=CalibrationTable(
        (CalibrationBin(0.5, 0.75, 0.0, None, None), CalibrationBin(0.75, 1.0, 40.0, 0.95, 0.925)), 0.025
    ),
    worst=(WorstRow(12, "test/12", 4.5, "[oak]", "ash", 0.98, 0.02),),
)
COMPARISON = RunComparison(
    first=Path("runs/a/0001"),
    second=Path("runs/b/0001"),
    data=Path("d.h5"),
    split="test",
    rows=270,
    metrics=({"loss": 0.2, "accuracy": 0.9}, {"loss": 0.15, "accuracy": 0.88}),
    directions={"loss": "min", "accuracy": "max"},
    intervals={"loss": Interval(-0.08, 0.01), "accuracy": None},
    bootstrap=Bootstrap(90, 500, "rows", 270),
    loss_test=LossTest(0.0123, "exact"),
    mcnemar=McNemar(7, 2, 0.1797),
    verdict="They differ.",
    limits=("Not more.", "Nor less."),
    notes=("mind this",),
)


def lines(shown: str) -> list[str]:
    return [line.rstrip() for line in shown.splitlines()]


def test_classes(text):
    assert lines(text(evaluation_view(CLASSES))) == [
        "run      runs/leaves/0001",
        "data     leaves.h5",
        "split    test, 40 rows",
        "",
        "loss  0.2500  0.1000 to 0.4000",
        "auc   0.9000  no interval",
        "95 % intervals: percentile bootstrap, 2,000 times 13 groups drawn anew",
        "",
        "confusion: a line for each true class, a column for each predicted one",
        "true   ash  [oak]",
        "ash     20      ·",
        "[oak]    3     17",
        "",
        "class            precision  recall      F1  support",
        "ash                 0.8696  1.0000  0.9300       20",
        "[oak]                    –  0.8500  0.9100       20",
        "mean of classes     0.5000  0.6000  0.7000       40",
        "",
        "calibration: expected error 0.0250 in 2 bins",
        "  confidence  answers  mean confidence  accuracy  accuracy − confidence",
        "0.75 to 1.00       40           0.9500    0.9250                -0.0250",
        "",
        "rows with the highest loss; counted from 0",
        "row  in the file  true   predicted  probability  of the true    loss",
        " 12  test/12      [oak]  ash             0.9800       0.0200  4.5000",
    ]


def test_of_many_classes_the_confused_pairs_and_the_worst_classes(text):
    names = tuple(f"c{place}" for place in range(21))
    figures = tuple(ClassFigures(name, 1.0, 1.0, place / 20, 1.0) for place, name in enumerate(names))
    confusion = Confusion(names, ((0, 0, 5.0), (3, 4, 2.0), (7, 1, 9.5)))
    shown = lines(text(evaluation_view(replace(CLASSES, confusion=confusion, classes=figures))))
    start = shown.index("classes that are confused most")
    assert shown[start + 1 : start + 4] == [
        "true  predicted  answers",
        "c7    c1             9.5",
        "c3    c4               2",
    ]
    start = shown.index("20 of 21 classes, those with the lowest F1")
    assert [line.split()[0] for line in shown[start + 2 : start + 22]] == list(names[:20])
    right = Confusion(names, ((0, 0, 5.0),))
    assert "no class was taken for another" in text(evaluation_view(replace(CLASSES, confusion=right)))


def test_targets_and_positions(text):
    target = TargetFigures("height", 1.0, 1.5, None, {0.0: -3.0, 0.05: -2.0, 0.5: 0.25, 1.0: 4.0})
    worst = WorstRow(3, "17", 9.0, (1.0, 2.0), (3.0, 2.5), None, None, position=6)
    found = Evaluation(Path("r"), Path("d.h5"), "val", 5, {}, positions=31, targets=(target,), worst=(worst,))
    shown = lines(text(evaluation_view(found)))
    assert "split    val, 5 rows, 31 positions that count" in shown
    assert shown[shown.index("target     MAE    RMSE  R²") + 1] == "height  1.0000  1.5000   –"
    start = shown.index("residuals, predicted − true: quantiles")
    assert shown[start + 1 : start + 3] == [
        "target    least      5 %  median    most",
        "height  -3.0000  -2.0000  0.2500  4.0000",
    ]
    assert shown[-3:] == [
        "rows with the highest loss, each with its worst position; counted from 0",
        "row  in the file  position  true            predicted         loss",
        "  3  17                  6  1.0000, 2.0000  3.0000, 2.5000  9.0000",
    ]


def test_labels(text):
    labels = WorstRow(0, "0", 1.0, ("red", "wet"), (), 0.6, 0.1)
    shown = lines(text(evaluation_view(replace(CLASSES, task="multilabel", confusion=None, worst=(labels,)))))
    assert any(line.startswith("mean of labels") for line in shown)
    assert shown[-1] == "  0  0            red, wet  none            0.6000       0.1000  1.0000"


def test_a_comparison(text):
    assert lines(text(comparison_view(COMPARISON))) == [
        "first    runs/a/0001",
        "second   runs/b/0001",
        "data     d.h5",
        "split    test, 270 rows",
        "note     mind this",
        "",
        "           first  second  second − first  90 % interval       better",
        "loss      0.2000  0.1500         −0.0500  −0.0800 to +0.0100  second",
        "accuracy  0.9000  0.8800         −0.0200  –                   first",
        "90 % intervals: percentile bootstrap, 500 times 270 rows drawn anew",
        "",
        "loss      p = 0.0123  paired test by flipping signs (all signs)",
        "accuracy  p = 0.18    McNemar's exact test; right alone: first 7, second 2",
        "",
        "verdict  They differ.",
        "but      Not more.",
        "         Nor less.",
    ]


def test_without_intervals_and_tests_there_is_the_verdict(text):
    plain = replace(COMPARISON, bootstrap=None, intervals={}, loss_test=None, mcnemar=None, notes=())
    shown = lines(text(comparison_view(plain)))
    assert shown[4:10] == [
        "",
        "           first  second  second − first  better",
        "loss      0.2000  0.1500         −0.0500  second",
        "accuracy  0.9000  0.8800         −0.0200  first",
        "",
        "verdict  They differ.",
    ]


@pytest.mark.parametrize(
    ("p_value", "told"), [(1.0, "= 1.00"), (0.0496, "= 0.0496"), (0.0049, "= 0.0049"), (0.00001, "below 0.0001")]
)
def test_a_p_value_has_no_more_digits_than_mean_anything(p_value, told):
    assert p_text(p_value) == told
