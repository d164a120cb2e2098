"""What an export left."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType

from dlcli.report.figures import byte_size, count_of, number
from dlcli.report.layout import as_it_is, folded, line, plain_table

if TYPE_CHECKING:
    from dlcli.experiment.export import Export
    from dlcli.experiment.exporting.check import Accuracy
    from dlcli.experiment.exporting.latency import Speed

LISTED = 10
"""How many classes are named."""


def export_view(export: "Export") -> RenderableType:
    """Return what was left, what it takes and gives, and how it was checked."""
    interface, parity = export.interface, export.parity
    parts: list[RenderableType] = [
        line("run", str(export.run)),
        line("left", f"{export.path}  {byte_size(export.bytes)}, weights of the run {byte_size(export.weight_bytes)}"),
    ]
    for place, field in enumerate(interface.fields):
        sizes = ["rows", *map(str, field.shape)]
        if export.steps_vary and field.kind in ("sequence", "tokens"):
            sizes[1] = "steps"
        name = as_it_is(field.name).plain
        parts.append(line("" if place else "takes", f"{name}  {field.dtype} ({', '.join(sizes)})"))
    if export.steps_vary is False:
        parts.append(folded("", "sequences must have exactly these steps: the network's own code fixes them"))
    parts.append(line("gives", ", ".join(interface.outputs)))
    names = [*interface.columns[:LISTED], *(("…",) if len(interface.columns) > LISTED else ())]
    if interface.task == "binary":
        first, second = (as_it_is(name).plain for name in interface.classes)
        parts.append(folded("", f"one column, that of {second}; what is missing to 1 is that of {first}"))
    else:
        parts.append(folded("" if interface.classes else "targets", as_it_is(", ".join(names)).plain))
    cases = f"{count_of(parity.rows, 'row')} and {count_of(len(parity.cases), 'edge case')}"
    if parity.worst is None:
        parts.append(folded("checked", f"finite on {cases}; its outputs are not those of float32"))
    else:
        share = f"{100 * parity.worst.excess:.2g} % of what is allowed"
        parts.append(
            folded("checked", f"{cases}: differs by {parity.largest:.2g} at most, {share} ({parity.worst.where})")
        )
    if export.accuracy is not None:
        parts.append(folded("costs", _cost(export.accuracy)))
    if export.speeds:
        parts.extend(["", _speeds(export.speeds)])
    return Group(*parts)


def _cost(accuracy: "Accuracy") -> str:
    rows = count_of(accuracy.rows, f"{accuracy.part} row")
    change = "nothing lost" if accuracy.drop <= 0 else f"{accuracy.drop:.4f} lost"
    return f"{accuracy.figure} {accuracy.exported:.4f} instead of {accuracy.source:.4f} on {rows}: {change}"


def _speeds(speeds: Sequence["Speed"]) -> RenderableType:
    table = plain_table()
    table.add_column(f"{count_of(speeds[0].threads, 'thread')}", style="bold")
    for header in ("1 row", "64 rows", "rows a second", "size"):
        table.add_column(header, justify="right")
    for speed in speeds:
        table.add_row(
            speed.name,
            f"{number(speed.latency_1)} ms",
            f"{number(speed.latency_64)} ms",
            f"{speed.rows_a_second:,.0f}",
            byte_size(speed.bytes),
        )
    return table
