"""Predictions on a terminal."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.text import Text

from dlcli.report.figures import count_of, duration, number
from dlcli.report.layout import as_it_is, as_name, line, plain_table

if TYPE_CHECKING:
    from dlcli.experiment.predict import Prediction

LISTED = 20
"""How many classes are counted one by one at most."""


def prediction_view(prediction: "Prediction") -> RenderableType:
    """Return what was predicted: how often which class, the first rows, and the most and least certain."""
    split = "" if prediction.split == "all" else f", {prediction.split}"
    rows = f"{count_of(prediction.rows, 'row')} in {duration(prediction.seconds)}"
    head = [line("model", prediction.model), line("data", f"{prediction.data}{split}, {rows}")]
    if prediction.output is not None:
        head.append(line("written", str(prediction.output)))
    head += [line("note", note, style="yellow") for note in prediction.notes]
    parts: list[RenderableType] = [*head, "", _totals(prediction)]
    if prediction.shown:
        parts += ["", _records(prediction.shown)]
        if more := prediction.answers - len(prediction.shown):
            parts.append(Text(f"and {more:,} more; -o FILE writes them all, --show N shows N", style="dim"))
    for title, records in (("most certain", prediction.most_certain), ("least certain", prediction.least_certain)):
        if records:
            parts += ["", Text(title, style="bold"), _records(records)]
    return Group(*parts)


def _totals(prediction: "Prediction") -> RenderableType:
    if prediction.targets is not None:
        table = plain_table()
        for name in ("target", "mean", "lowest", "highest"):
            table.add_column(name, justify="left" if name == "target" else "right", overflow="fold")
        for name, figures in prediction.targets.items():
            table.add_row(as_name(name), *(number(figures[key]) for key in ("mean", "lowest", "highest")))
        return table
    counts = sorted((prediction.counts or {}).items(), key=lambda entry: -entry[1])
    total = max(1, prediction.answers)
    table = plain_table()
    table.add_column("predicted", overflow="fold")
    table.add_column("rows" if prediction.answers == prediction.rows else "positions", justify="right")
    table.add_column("share", justify="right")
    for name, count in counts[:LISTED]:
        table.add_row(as_name(name), f"{count:,}", f"{count / total:.1%}")
    if others := counts[LISTED:]:
        rest = sum(count for _, count in others)
        table.add_row(f"{len(others)} other classes", f"{rest:,}", f"{rest / total:.1%}")
    sure = line("certain", f"{number(prediction.mean_confidence)}, the mean probability of what was predicted")
    return Group(table, "", sure) if prediction.mean_confidence is not None else table


def _records(records: Sequence[Mapping[str, Any]]) -> RenderableType:
    first = records[0]
    table = plain_table()
    places = [key for key in ("row", "split", "position") if key in first]
    for key in places:
        table.add_column(key, justify="left" if key == "split" else "right")
    targets = isinstance(first["prediction"], dict)
    if targets:
        for name in first["prediction"]:
            table.add_column(as_name(name), justify="right", overflow="fold")
            if "spread" in first:
                table.add_column("± spread", justify="right")
    else:
        table.add_column("prediction", overflow="fold")
        table.add_column("probability", justify="right")
        if "spread" in first:
            table.add_column("± spread", justify="right")
    for record in records:
        cells = [as_it_is(str(record[key])) for key in places]
        table.add_row(*cells, *(_target_cells(record) if targets else _class_cells(record)))
    return table


def _target_cells(record: Mapping[str, Any]) -> list[str | Text]:
    cells: list[str | Text] = []
    for name, value in record["prediction"].items():
        cells.append(number(value))
        if "spread" in record:
            cells.append(number(record["spread"][name]))
    return cells


def _class_cells(record: Mapping[str, Any]) -> list[str | Text]:
    predicted, said = record["prediction"], record["probabilities"]
    if isinstance(predicted, list):
        names = ", ".join(predicted) or "–"
        sure = sum(max(value, 1 - value) for value in said.values()) / max(1, len(said))
        spreads = list(record.get("spread", {}).values())
        spread = [number(sum(spreads) / len(spreads))] if spreads else []
        return [as_it_is(names), number(sure), *spread]
    # Of binary there is one probability, that of the second class.
    sure = said[predicted] if predicted in said else 1 - next(iter(said.values()))
    return [as_name(predicted), number(sure), *([number(record["spread"])] if "spread" in record else [])]
