"""Figures of a run on one split: loss and metrics, tables of classes or targets, calibration, the worst rows."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from dlcli.report.figures import count_of, number
from dlcli.report.layout import as_it_is, as_name, line, plain_table

if TYPE_CHECKING:
    from dlcli.experiment.evaluate import Evaluation
    from dlcli.experiment.evaluation.bootstrap import Bootstrap
    from dlcli.experiment.evaluation.tables import CalibrationTable, ClassFigures, Confusion, TargetFigures
    from dlcli.experiment.evaluation.worst_rows import Value, WorstRow


SPREAD = {
    "std": ("standard deviation", "of members' answers, mean over rows"),
    "entropy": ("entropy", "of their mean answer, in nats: all uncertainty"),
    "mutual_information": ("mutual information", "in nats: the part that comes from their disagreement"),
}
"""How the figures of `dlcli.experiment.models.spread` are called, and what they are."""
MATRIX, LISTED, PAIRS = 12, 20, 10
"""Up to so many classes there is a confusion matrix; so many classes are listed, and else the worst; pairs are told."""


def evaluation_view(evaluation: "Evaluation") -> RenderableType:
    """Return what was evaluated, one row a metric, tables, and of several members how far they differ."""
    rows = count_of(evaluation.rows, "row")
    if evaluation.positions is not None:
        rows = f"{rows}, {count_of(evaluation.positions, 'position')} that count"
    data = line("data", str(evaluation.data))
    head = [line("run", str(evaluation.run)), data, line("split", f"{evaluation.split}, {rows}")]
    if evaluation.note:
        head.append(line("note", evaluation.note, style="yellow"))
    return Group(
        *head,
        "",
        *_figures(evaluation),
        *_spread(evaluation.spread or {}),
        *_confusion(evaluation.confusion),
        *_classes(evaluation),
        *_calibration(evaluation.calibration),
        *_targets(evaluation.targets),
        *_worst(evaluation.worst),
    )


def interval_note(bootstrap: "Bootstrap") -> str:
    """Return how intervals were made."""
    drawn = count_of(bootstrap.count, bootstrap.units.removesuffix("s"))
    return f"{bootstrap.level:g} % intervals: percentile bootstrap, {bootstrap.replicates:,} times {drawn} drawn anew"


def amount(weight: float) -> str:
    """Return a number of answers, or a sum of weights."""
    return f"{weight:,.0f}" if float(weight).is_integer() else f"{weight:,.1f}"


def _figures(evaluation: "Evaluation") -> list[RenderableType]:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", overflow="fold")
    table.add_column(justify="right")
    if evaluation.bootstrap is None:
        for name, value in evaluation.metrics.items():
            table.add_row(name, number(value))
        return [table]
    table.add_column(no_wrap=True)
    for name, value in evaluation.metrics.items():
        interval = evaluation.intervals.get(name)
        between = "no interval" if interval is None else f"{number(interval.low)} to {number(interval.high)}"
        table.add_row(name, number(value), between)
    return [table, Text(interval_note(evaluation.bootstrap), style="dim")]


def _spread(spread: Mapping[str, float]) -> list[RenderableType]:
    if not spread:
        return []
    table = Table.grid(padding=(0, 2))
    table.add_column(overflow="fold")
    table.add_column(justify="right")
    table.add_column(style="dim", overflow="fold")
    for name, value in spread.items():
        label, meaning = SPREAD[name]
        table.add_row(label, number(value), meaning)
    return ["", "spread of its members", table]


def _confusion(confusion: "Confusion | None") -> list[RenderableType]:
    if confusion is None:
        return []
    table = plain_table()
    if len(confusion.classes) > MATRIX:
        pairs = confusion.most_confused(PAIRS)
        if not pairs:
            return ["", "no class was taken for another"]
        for name in ("true", "predicted"):
            table.add_column(name, overflow="fold")
        table.add_column("answers", justify="right")
        for true, predicted, weight in pairs:
            table.add_row(as_name(true), as_name(predicted), amount(weight))
        return ["", "classes that are confused most", table]
    table.add_column("true", style="bold", overflow="fold")
    for name in confusion.classes:
        table.add_column(as_name(name), justify="right", overflow="fold")
    for place, (name, cells) in enumerate(zip(confusion.classes, confusion.matrix(), strict=True)):
        written = [
            Text(amount(cell), style="bold") if column == place else Text(amount(cell) if cell else "·", style="")
            for column, cell in enumerate(cells)
        ]
        table.add_row(as_name(name), *written)
    return ["", "confusion: a line for each true class, a column for each predicted one", table]


def _classes(evaluation: "Evaluation") -> list[RenderableType]:
    shown, title = list(evaluation.classes), []
    if not shown:
        return []
    one, several = ("label", "labels") if evaluation.task == "multilabel" else ("class", "classes")
    if len(shown) > LISTED:
        title = [f"{LISTED} of {len(shown)} {several}, those with the lowest F1"]
        shown = sorted(shown, key=lambda each: (each.support == 0, each.f1 or 0.0))[:LISTED]
    table = plain_table()
    table.add_column(one, overflow="fold")
    for name in ("precision", "recall", "F1", "support"):
        table.add_column(name, justify="right")
    for each in shown:
        table.add_row(as_name(each.name), *_cells(each))
    if evaluation.mean_of_classes is not None:
        table.add_row(f"mean of {several}", *_cells(evaluation.mean_of_classes), style="bold")
    return ["", *title, table]


def _cells(figures: "ClassFigures") -> tuple[str, ...]:
    return number(figures.precision), number(figures.recall), number(figures.f1), amount(figures.support)


def _calibration(calibration: "CalibrationTable | None") -> list[RenderableType]:
    if calibration is None:
        return []
    table = plain_table()
    for name in ("confidence", "answers", "mean confidence", "accuracy", "accuracy − confidence"):
        table.add_column(name, justify="right")
    for each in calibration.bins:
        if each.confidence is not None and each.accuracy is not None:
            edges = f"{each.low:.2f} to {each.high:.2f}"
            gap = f"{each.accuracy - each.confidence:+.4f}"
            table.add_row(edges, amount(each.weight), number(each.confidence), number(each.accuracy), gap)
    title = f"calibration: expected error {number(calibration.ece)} in {len(calibration.bins)} bins"
    return ["", title, table]


def _targets(targets: Sequence["TargetFigures"]) -> list[RenderableType]:
    if not targets:
        return []
    table, residuals = plain_table(), plain_table()
    for place, name in enumerate(("target", "MAE", "RMSE", "R²")):
        table.add_column(name, justify="right" if place else "left", overflow="fold")
    shares = list(targets[0].residuals)
    residuals.add_column("target", overflow="fold")
    for share in shares:
        named = {0.0: "least", 0.5: "median", 1.0: "most"}
        residuals.add_column(named.get(share, f"{100 * share:g} %"), justify="right")
    for each in targets:
        table.add_row(as_name(each.name), number(each.mae), number(each.rmse), number(each.r2))
        residuals.add_row(as_name(each.name), *(number(each.residuals[share]) for share in shares))
    return ["", table, "", "residuals, predicted − true: quantiles", residuals]


def _worst(worst: Sequence["WorstRow"]) -> list[RenderableType]:
    if not worst:
        return []
    table = plain_table()
    table.add_column("row", justify="right")
    table.add_column("in the file")
    positions = any(each.position is not None for each in worst)
    if positions:
        table.add_column("position", justify="right")
    for name in ("true", "predicted"):
        table.add_column(name, overflow="fold")
    classes = any(each.probability is not None for each in worst)
    if classes:
        table.add_column("probability", justify="right")
        table.add_column("of the true", justify="right")
    table.add_column("loss", justify="right")
    for each in worst:
        cells: list[str | Text] = [str(each.row), as_it_is(each.place)]
        cells += [str(each.position)] if positions else []
        cells += [as_it_is(_told(each.true)), as_it_is(_told(each.predicted))]
        cells += [number(each.probability), number(each.probability_of_true)] if classes else []
        table.add_row(*cells, number(each.loss))
    what = ", each with its worst position" if positions else ""
    return ["", f"rows with the highest loss{what}; counted from 0", table]


def _told(value: "Value") -> str:
    if isinstance(value, tuple):
        return ", ".join(map(_told, value)) or "none"
    return value if isinstance(value, str) else number(value)
