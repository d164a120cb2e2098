"""What is in the picture of an evaluation, as its XML says."""

import math
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from dlcli.experiment.evaluate import Evaluation
from dlcli.experiment.evaluation.tables import CalibrationBin, CalibrationTable, Confusion, TargetFigures
from dlcli.report.evaluation_svg import BLUE, ORANGE, evaluation_svg

SVG = "{http://www.w3.org/2000/svg}"
BINS = (
    CalibrationBin(0.0, 0.5, 0.0, None, None),
    CalibrationBin(0.5, 0.75, 10.0, 0.6, 0.5),
    CalibrationBin(0.75, 1.0, 40.0, 0.9, 1.0),
)
CLASSES = Evaluation(
    Path("runs/<a>/0001"),
    Path("d.h5"),
    "test",
    50,
    {"loss": 0.25},
    confusion=Confusion(("ash", "oak"), ((0, 0, 25.0), (1, 0, 5.0), (1, 1, 20.0))),
    calibration=CalibrationTable(BINS, 0.1),
)


def picture(evaluation):
    return ElementTree.fromstring(evaluation_svg(evaluation))


def texts(root):
    return [element.text or (element[0].tail if len(element) else "") for element in root.iter(f"{SVG}text")]


def numbers(element, *names):
    return [float(element.get(name)) for name in names]


def test_a_dot_for_each_bin_at_its_confidence_and_accuracy():
    root = picture(CLASSES)
    assert root.find(f"{SVG}title").text == "runs/<a>/0001, test: 50 rows"
    frame = next(each for each in root.iter(f"{SVG}rect") if each.get("fill") == "none")
    left, top, width, height = numbers(frame, "x", "y", "width", "height")
    dots = [numbers(dot, "cx", "cy") for dot in root.iter(f"{SVG}circle")]
    expected = [[left + c * width, top + (1 - a) * height] for c, a in ((0.6, 0.5), (0.9, 1.0))]
    assert dots == [pytest.approx(each) for each in expected]
    bars = [each for each in root.iter(f"{SVG}rect") if each.get("fill-opacity") == "0.6"]
    assert numbers(bars[0], "height")[0] * 4 == pytest.approx(numbers(bars[1], "height")[0])


def test_a_cell_for_each_pair_as_dark_as_its_share_of_the_true_class():
    cells = [each for each in picture(CLASSES).iter(f"{SVG}rect") if len(each) and "taken for" in each[0].text]
    told = [(each[0].text, each.get("fill"), float(each.get("fill-opacity", 1))) for each in cells]
    assert told == [
        ("ash taken for ash: 25", BLUE, 1.0),
        ("oak taken for ash: 5", ORANGE, pytest.approx(0.15 + 0.85 * 0.2)),
        ("oak taken for oak: 20", BLUE, pytest.approx(0.15 + 0.85 * 0.8)),
    ]
    assert {"25", "5", "20", "ash", "oak"} <= set(texts(picture(CLASSES)))


def test_of_more_classes_there_are_no_numbers_and_of_very_many_the_pairs():
    def of(count):
        names = tuple(f"class {place}" for place in range(count))
        return texts(picture(replace(CLASSES, confusion=Confusion(names, ((0, 0, 33.0), (7, 2, 44.0))))))

    assert {"33", "44"} <= set(of(20))
    assert not {"33", "44"} & set(of(21))
    assert "class 7 taken for class 2: 44" in of(101)
    assert not any("class 0 taken" in text for text in of(101))


def test_labels_have_no_confusion_and_right_answers_no_pairs():
    assert not any("true class" in text for text in texts(picture(replace(CLASSES, confusion=None))))
    right = Confusion(tuple(map(str, range(101))), ((0, 0, 3.0),))
    assert "no class was taken for another" in texts(picture(replace(CLASSES, confusion=right)))


def test_targets_are_drawn_predicted_against_true():
    points = ((0.0, 1.0), (2.0, 2.0), (4.0, math.nan))
    target = TargetFigures("height", 1.0, 1.5, 0.5, {}, points)
    found = Evaluation(Path("r"), Path("d.h5"), "test", 3, {}, targets=(target,) * 5)
    root = picture(found)
    dots = [numbers(dot, "cx", "cy") for dot in root.iter(f"{SVG}circle")]
    assert len(dots) == 2 * 4  # what is not finite has no place; more than four targets no plot
    assert dots[1][0] - dots[0][0] == pytest.approx(2 * (dots[0][1] - dots[1][1]), abs=0.2)
    assert sum(text.startswith("height: RMSE 1.5000, R² 0.5000") for text in texts(root)) == 4
    nothing = replace(found, targets=(replace(target, points=points[2:]),))
    assert "no finite answers" in texts(picture(nothing))
