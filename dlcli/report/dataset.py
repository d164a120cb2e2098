"""What is in a dataset, and what is wrong with it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from dlcli.report.figures import byte_size, count_of, number, shape
from dlcli.report.layout import line, plain_table

if TYPE_CHECKING:
    from dlcli.data.describe import FieldDescription, FileDescription
    from dlcli.data.finding import Finding

SHOWN_CLASSES = 30
"""How many classes get a row of their own."""
STYLES = {"error": "bold red", "warning": "yellow", "note": "dim"}


def description_view(description: "FileDescription") -> RenderableType:
    """Return a picture of a dataset file: fields, splits, classes, attributes, oddities."""
    splits = ", ".join(f"{name} {rows:,}" for name, rows in description.splits.items()) or "none that can be read"
    task = str(description.task) if description.task else "not plain from the target"
    parts: list[RenderableType] = [
        line("file", f"{description.path}, {byte_size(description.bytes)}"),
        line("rows", splits),
        line("task", task + (", one answer a position" if description.per_position else "")),
        "",
        fields_table(description.fields),
    ]
    if description.class_counts:
        parts += ["", classes_table(description.class_counts)]
    if description.attributes:
        parts += ["", *(line(name, f"  {text}", style="dim") for name, text in description.attributes.items())]
    if description.notes:
        parts += ["", *(Text.assemble(("note  ", "yellow"), note) for note in description.notes)]
    return Group(*parts)


def fields_table(fields: Sequence["FieldDescription"]) -> Table:
    """Return one row a field."""
    table = plain_table()
    table.add_column("field", overflow="fold")
    table.add_column("role")
    table.add_column("kind")
    table.add_column("row", justify="right")
    table.add_column("type")
    table.add_column("min", justify="right")
    table.add_column("mean", justify="right")
    table.add_column("max", justify="right")
    table.add_column("chunks", overflow="fold")
    for field in fields:
        role = f"{field.role} of {field.of}" if field.of else field.role or "not used"
        chunks = f"{field.chunks[0]:,} rows" if field.chunks else "none"
        stored = f"{chunks}, {field.compression}" if field.compression else chunks
        figures = [_extreme(field.minimum), number(field.mean), _extreme(field.maximum)]
        table.add_row(field.name, role, field.kind or "–", shape(field.shape), field.dtype, *figures, stored)
    return table


def _extreme(value: float | None) -> str:
    """Return a smallest or largest value; whole numbers stay whole."""
    return f"{value:,.0f}" if value is not None and value.is_integer() else number(value)


def classes_table(counts: Mapping[str, Mapping[str, int]]) -> Table:
    """Return one row a class and one column a split; the rest is counted in a row of its own."""
    table = plain_table()
    table.add_column("class", overflow="fold")
    for split in counts:
        table.add_column(split, justify="right")
    names = list(dict.fromkeys(name for split in counts.values() for name in split))
    for name in names[:SHOWN_CLASSES]:
        table.add_row(name, *(f"{split.get(name, 0):,}" for split in counts.values()))
    if rest := names[SHOWN_CLASSES:]:
        sums = [sum(split.get(name, 0) for name in rest) for split in counts.values()]
        table.add_row(f"{len(rest)} more", *(f"{total:,}" for total in sums), style="dim")
    return table


def findings_view(findings: Sequence["Finding"], file: Path) -> RenderableType:
    """Return one line a finding, and how many there are of each level."""
    if not findings:
        return Text(f"{file}: nothing wrong was found")
    levels = [finding.level for finding in findings]
    total = ", ".join(count_of(levels.count(level), level) for level in STYLES if level in levels)
    lines = [Text.assemble((f"{finding.level:9}", STYLES[finding.level]), str(finding)) for finding in findings]
    return Group(*lines, "", Text(f"{file}: {total}"))
