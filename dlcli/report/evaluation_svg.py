"""A picture of an evaluation: reliability beside the confusion of classes, or predicted against true."""

from typing import TYPE_CHECKING

from dlcli.report.axis import Axis, spanning
from dlcli.report.evaluation import amount
from dlcli.report.figures import count_of, number
from dlcli.report.panel import EDGE, Box, draw_frame, draw_message, draw_x_axis, draw_y_axis
from dlcli.report.svg import INK, Drawing, text_width
from dlcli.report.tune_marks import drawable

if TYPE_CHECKING:
    from dlcli.experiment.evaluate import Evaluation
    from dlcli.experiment.evaluation.tables import CalibrationTable, Confusion, TargetFigures

LEFT, TOP, SIZE, GAP, EDGES = 84.0, 96.0, 380.0, 150.0, 24.0
"""Of the plots: where the first begins, their size, what is between two, and what is left free at the sides."""
STRIP = 60.0
"""Height of the plot of how many answers there are of each confidence."""
BLUE, ORANGE = "#0072b2", "#d55e00"
DASH = "5 4"
NUMBERED, DRAWN, PAIRS = 20, 100, 20
"""Up to so many classes have numbers in their cells, are drawn as cells; of more, so many confused pairs are told."""
TARGETS = 4
"""Most targets of a regression that have a plot."""
LETTER = 11.0


def evaluation_svg(evaluation: "Evaluation") -> str:
    """Return the picture of an evaluation.

    Args:
        evaluation: What was evaluated.

    Returns:
        An SVG document. Of more than 20 classes cells have no numbers, of more than 100 the pairs that are confused
        most are told instead; of more than 4 targets the first are shown, of many answers a part.
    """
    title = f"{evaluation.run}, {evaluation.split}: {count_of(evaluation.rows, 'row')}"
    targets = evaluation.targets[:TARGETS]
    columns = min(2, max(1, len(targets), (evaluation.calibration is not None) + (evaluation.confusion is not None)))
    lines = max(1, -(-len(targets) // 2))
    below = STRIP + 90.0 if evaluation.calibration else 64.0
    width = LEFT + columns * SIZE + (columns - 1) * GAP + EDGES
    drawing = Drawing(width, TOP + lines * SIZE + (lines - 1) * GAP + below, title)
    drawing.text((LEFT, 28), title, size=16, bold=True, most=width - LEFT - EDGES)
    figures = ", ".join(f"{name} {number(value)}" for name, value in evaluation.metrics.items())
    drawing.text((LEFT, 50), figures, most=width - LEFT - EDGES)
    if evaluation.calibration is not None:
        _draw_calibration(drawing, _box(0, 0), evaluation.calibration)
    if evaluation.confusion is not None:
        _draw_confusion(drawing, _box(0, 1), evaluation.confusion)
    for place, target in enumerate(targets):
        _draw_target(drawing, _box(*divmod(place, 2)), target)
    return drawing.render()


def _box(line: int, column: int) -> Box:
    left, top = LEFT + column * (SIZE + GAP), TOP + line * (SIZE + GAP)
    return Box(left, top, left + SIZE, top + SIZE)


def _draw_calibration(drawing: Drawing, box: Box, table: "CalibrationTable") -> None:
    """Draw a dot for each bin at its confidence and accuracy, and below how many answers it has."""
    across, up = Axis(0, 1, box.left, box.right), Axis(0, 1, box.bottom, box.top)
    drawing.text((box.left, box.top - 10), f"confidence against accuracy: ece {number(table.ece)}", bold=True)
    draw_y_axis(drawing, box, up, "accuracy")
    strip = Box(box.left, box.bottom + 30, box.right, box.bottom + 30 + STRIP)
    draw_x_axis(drawing, box, across, "")
    drawing.line((box.left, box.bottom), (box.right, box.top), INK, dash=DASH)
    most = max(each.weight for each in table.bins)
    told = [each for each in table.bins if each.confidence is not None and each.accuracy is not None]
    points = [(across.place(each.confidence or 0.0), up.place(each.accuracy or 0.0)) for each in told]
    draw_frame(drawing, box)
    if len(points) > 1:
        drawing.polyline(points, BLUE, width=1.5)
    for point, each in zip(points, told, strict=True):
        hint = f"{amount(each.weight)} answers, confidence {number(each.confidence)}, accuracy {number(each.accuracy)}"
        drawing.circle(point, 4.5, fill=BLUE, stroke="#ffffff", hint=hint)
        height = STRIP * each.weight / most
        edges = across.place(each.low) + 1, across.place(each.high) - 1
        drawing.area((edges[0], strip.bottom - height), (edges[1], strip.bottom), BLUE, opacity=0.6, hint=hint)
    drawing.line((strip.left, strip.bottom), (strip.right, strip.bottom), EDGE)
    drawing.text((strip.left - 8, strip.top + 9), amount(most), size=LETTER, anchor="end")
    drawing.text((strip.left - 8, strip.bottom), "answers", size=LETTER, anchor="end")
    drawing.text((strip.middle[0], strip.bottom + 22), "confidence", anchor="middle")


def _draw_confusion(drawing: Drawing, box: Box, confusion: "Confusion") -> None:
    """Draw a cell for each pair of classes, as dark as the share of the true class that is in it."""
    count = len(confusion.classes)
    drawing.text((box.left, box.top - 10), "true class (lines) against predicted (columns)", bold=True)
    if count > DRAWN:
        _tell_pairs(drawing, box, confusion)
        return
    matrix = confusion.matrix()
    size = (box.right - box.left) / count
    for line, cells in enumerate(matrix):
        total = sum(cells) or 1.0
        for column, cell in enumerate(cells):
            if not cell:
                continue
            left, top, share = box.left + column * size, box.top + line * size, cell / total
            hint = f"{confusion.classes[line]} taken for {confusion.classes[column]}: {amount(cell)}"
            colour = BLUE if line == column else ORANGE
            drawing.area((left, top), (left + size, top + size), colour, opacity=0.15 + 0.85 * share, hint=hint)
            text = amount(cell)
            if count <= NUMBERED and text_width(text, LETTER) <= size:
                ink = "#ffffff" if share > 0.5 else INK
                center = left + size / 2, top + size / 2 + 4
                drawing.text(center, text, size=LETTER, anchor="middle", fill=ink)
    step = max(1, round(14 / size + 0.49))
    for place in range(0, count, step):
        middle, name = (place + 0.5) * size, confusion.classes[place]
        drawing.text((box.left - 6, box.top + middle + 4), name, size=LETTER, anchor="end", most=120)
        turned = text_width(name, LETTER) > size * step
        below = box.left + middle + (4 if turned else 0), box.bottom + (8 if turned else 16)
        anchor, turn = ("end", -90.0) if turned else ("middle", 0.0)
        drawing.text(below, name, size=LETTER, anchor=anchor, turn=turn, most=100 if turned else size * step + 6)
    draw_frame(drawing, box)


def _tell_pairs(drawing: Drawing, box: Box, confusion: "Confusion") -> None:
    pairs = confusion.most_confused(PAIRS)
    if not pairs:
        draw_message(drawing, box, "no class was taken for another")
    for place, (true, predicted, weight) in enumerate(pairs):
        text = f"{true} taken for {predicted}: {amount(weight)}"
        drawing.text((box.left, box.top + 16 + place * 18), text, most=box.width)


def _draw_target(drawing: Drawing, box: Box, target: "TargetFigures") -> None:
    """Draw a dot for each answer that is shown: what is true across, what was predicted up."""
    drawing.text(
        (box.left, box.top - 10),
        f"{target.name}: RMSE {number(target.rmse)}, R² {number(target.r2)}",
        bold=True,
        most=box.width,
    )
    points = [point for point in target.points if all(drawable(value) for value in point)]
    if not points:
        draw_message(drawing, box, "no finite answers")
        draw_frame(drawing, box)
        return
    values = [value for point in points for value in point]
    across = spanning(values, box.left, box.right, log=False)
    up = spanning(values, box.bottom, box.top, log=False)
    draw_y_axis(drawing, box, up, "predicted")
    draw_x_axis(drawing, box, across, "true")
    drawing.line((box.left, box.bottom), (box.right, box.top), INK, dash=DASH)
    for true, predicted in points:
        drawing.circle((across.place(true), up.place(predicted)), 2.5, fill=BLUE, opacity=0.5)
    draw_frame(drawing, box)
