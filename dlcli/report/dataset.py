"""What is in a dataset, and what is wrong with it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from dlcli.report.figures import byte_size, count_of, number, shape
from dlcli.report.layout import as_it_is, as_lines, as_name, line, plain_table, shortened
from dlcli.report.sparkline import bar, histogram_line
from dlcli.report.thumbnails import Thumbnails
from dlcli.untrusted import printable

if TYPE_CHECKING:
    from dlcli.data.column_figures import ColumnFigures
    from dlcli.data.describe import FieldDescription, FileDescription
    from dlcli.data.finding import Finding

SHOWN_CLASSES = 30
"""How many classes get a row of their own."""
SHOWN_COLUMNS = 20
"""How many columns of a field get a row of their own, unless more are asked for."""
SHOWN_TOKENS = 5
"""How many of the most common tokens are named."""
BAR = 20
"""Characters of the bar of the largest class."""
STYLES = {"error": "bold red", "warning": "yellow", "note": "dim"}


def description_view(description: "FileDescription", columns: int = SHOWN_COLUMNS) -> RenderableType:
    """Return a picture of a dataset file: fields, values, classes, images, what is slow and what is odd.

    Args:
        description: The file.
        columns: How many columns of a field get a row of their own.

    Returns:
        The picture.
    """
    splits = ", ".join(f"{name} {rows:,}" for name, rows in description.splits.items()) or "none that can be read"
    task = str(description.task) if description.task else "not plain from the target"
    parts: list[RenderableType] = [
        line("file", f"{description.path}, {byte_size(description.bytes)}"),
        line("rows", splits),
        line("task", task + (", one answer a position" if description.per_position else "")),
        line("memory", memory_text(description)),
    ]
    if sampled := sampled_text(description):
        parts.append(line("figures", f"{sampled}; --full reads all"))
    parts += ["", fields_table(description.fields), "", values_table(description.fields, columns)]
    parts += [as_it_is(text) for text in step_texts(description.fields)]
    if description.class_counts:
        parts += ["", classes_table(description.class_counts)]
    parts += [Thumbnails(field.pictures) for field in description.fields if field.pictures]
    if description.attributes:
        parts += [
            "",
            *(
                line(printable(name), f"  {printable(text)}", style="dim")
                for name, text in description.attributes.items()
            ),
        ]
    if description.slow.findings or description.notes:
        parts += ["", *(Text.assemble(("slow  ", "yellow"), as_lines(text, 6)) for text in description.slow.findings)]
        if description.slow.command:
            parts.append(Text.assemble(("mend  ", "bold"), description.slow.command, no_wrap=True, overflow="ignore"))
        parts += [Text.assemble(("note  ", "yellow"), as_lines(note, 6)) for note in description.notes]
    return Group(*parts)


def memory_text(description: "FileDescription") -> str:
    """Return how much memory the fields need, and how much there is."""
    needed = f"{byte_size(description.memory_bytes)} for all rows"
    free = description.available_bytes
    return needed if free is None else f"{needed}; {byte_size(free)} are free"


def sampled_text(description: "FileDescription") -> str:
    """Return of which fields only some rows were looked at; empty where all were."""
    sampled = [field for field in description.fields if 0 < field.read_rows < field.rows]
    return ", ".join(f"{field.name} from {field.read_rows:,} of {field.rows:,} rows" for field in sampled)


def fields_table(fields: Sequence["FieldDescription"]) -> Table:
    """Return one row a field: what it is for, and how it is stored."""
    table = plain_table()
    table.add_column("field", overflow="fold")
    for name in ("role", "kind"):
        table.add_column(name)
    table.add_column("row", justify="right")
    table.add_column("type")
    table.add_column("chunks", overflow="fold")
    table.add_column("filters", overflow="fold")
    table.add_column("size", justify="right")
    table.add_column("packed", justify="right")
    for field in fields:
        role = f"{field.role} of {field.of}" if field.of else field.role or "not used"
        storage = field.storage
        ratio = f"{storage.ratio:.1f} : 1" if storage.filters and storage.ratio else "–"
        table.add_row(
            as_name(field.name),
            as_it_is(role),
            field.kind or "–",
            shape(field.shape),
            field.dtype,
            chunks_text(storage.chunks, field.shape),
            ", ".join(storage.filters) or "none",
            byte_size(storage.bytes),
            ratio,
        )
    return table


def chunks_text(chunks: tuple[int, ...] | None, row: tuple[int, ...]) -> str:
    """Return the shape of chunks; only their rows where they hold whole rows."""
    if chunks is None:
        return "in one piece"
    return count_of(chunks[0], "row") if chunks[1:] == row else shape(chunks)


def values_table(fields: Sequence["FieldDescription"], columns: int) -> Table:
    """Return one row for every column, and for a field without columns."""
    table = plain_table()
    table.add_column("values", overflow="fold")
    for name in ("min", "mean", "max", "missing"):
        table.add_column(name, justify="right")
    table.add_column("distribution", no_wrap=True)
    for field in fields:
        if len(field.columns) < 2:
            if field.figures is not None:
                table.add_row(as_name(field.name), *figure_cells(field.figures))
            continue
        for figures in field.columns[:columns]:
            table.add_row(as_it_is(f"{shortened(field.name)}: {shortened(figures.name)}"), *figure_cells(figures))
        if (more := len(field.columns) - columns) > 0:
            table.add_row(as_it_is(f"{shortened(field.name)}: {count_of(more, 'more column')}"), style="dim")
    return table


def figure_cells(figures: "ColumnFigures") -> list[str]:
    """Return minimum, mean, maximum, what is missing and a picture of the distribution."""
    missing = f"{figures.missing:.1%}" if figures.missing else "–"
    ends = [_extreme(figures.minimum), number(figures.mean), _extreme(figures.maximum)]
    return [*ends, missing, histogram_line(figures.histogram)]


def _extreme(value: float | None) -> str:
    """Return a smallest or largest value; whole numbers stay whole."""
    return f"{value:,.0f}" if value is not None and value.is_integer() and abs(value) < 1e9 else number(value)


def step_texts(fields: Sequence["FieldDescription"]) -> list[str]:
    """Return a line for every field whose rows have lengths of their own, and for tokens."""
    found = []
    for field in fields:
        if field.steps is not None:
            figures = field.steps.lengths
            ends = (
                f"{_extreme(figures.minimum)} to {_extreme(figures.maximum)} steps, {number(figures.mean)} on average"
            )
            used = f"{field.steps.used:.0%} of the {field.steps.room:,} that are stored"
            found.append(f"{field.of}: rows have {ends}, {used}  {histogram_line(figures.histogram)}")
        if field.tokens is not None:
            common = ", ".join(
                f"{_token(field, token)} {share:.1%}" for token, share in field.tokens.common[:SHOWN_TOKENS]
            )
            found.append(f"{field.name}: {count_of(field.tokens.distinct, 'distinct token')}, most common {common}")
    return found


def _token(field: "FieldDescription", token: int) -> str:
    """Return a token as the file names it, else its number."""
    return repr(field.classes[token]) if token < len(field.classes) else str(token)


def classes_table(counts: Mapping[str, Mapping[str, int]]) -> Table:
    """Return one row a class, one column a split and a bar for all; the rest is counted in a row of its own."""
    table = plain_table()
    table.add_column("class", overflow="fold")
    for split in counts:
        table.add_column(split, justify="right")
    table.add_column("")
    names = list(dict.fromkeys(name for split in counts.values() for name in split))
    totals = {name: sum(split.get(name, 0) for split in counts.values()) for name in names}
    most = max(totals.values(), default=0) or 1
    for name in names[:SHOWN_CLASSES]:
        each = (f"{split.get(name, 0):,}" for split in counts.values())
        table.add_row(as_name(name), *each, Text(bar(totals[name] / most, BAR), style="cyan"))
    if rest := names[SHOWN_CLASSES:]:
        sums = [sum(split.get(name, 0) for name in rest) for split in counts.values()]
        table.add_row(f"{len(rest)} more", *(f"{total:,}" for total in sums), "", style="dim")
    return table


def findings_view(findings: Sequence["Finding"], file: Path) -> RenderableType:
    """Return one line a finding, and how many there are of each level."""
    if not findings:
        return Text(f"{file}: nothing wrong was found")
    levels = [finding.level for finding in findings]
    total = ", ".join(count_of(levels.count(level), level) for level in STYLES if level in levels)
    lines = [
        Text.assemble((f"{finding.level:9}", STYLES[finding.level]), as_lines(str(finding), 9)) for finding in findings
    ]
    return Group(*lines, "", Text(f"{file}: {total}"))
