"""A dataset as one page of HTML: no scripts, no fonts, nothing to fetch."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dlcli import atomic
from dlcli.report.dataset import chunks_text, figure_cells, memory_text, sampled_text, step_texts
from dlcli.report.figures import byte_size, count_of, shape
from dlcli.report.svg import Drawing, escape
from dlcli.report.thumbnails import data_address

if TYPE_CHECKING:
    from dlcli.data.column_figures import ColumnFigures
    from dlcli.data.describe import FieldDescription, FileDescription

COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7")
WIDTH, HEIGHT = 140.0, 28.0
"""Of the picture of a distribution."""
LABEL, BAR, LINE = 150.0, 360.0, 22.0
"""Of the picture of classes: pixels of a name, of the longest bar, and of a line."""
SHOWN_CLASSES = 100
_STYLE = """
body { font: 15px/1.5 system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', Arial, sans-serif; color: #222;
  background: #f5f6f8; margin: 0; padding: 2rem 1rem; }
main { max-width: 68rem; margin: 0 auto; }
h1 { font-size: 1.5rem; margin: 0 0 1rem; overflow-wrap: anywhere; }
h2 { font-size: 1.05rem; margin: 0 0 .75rem; }
section { background: #fff; border: 1px solid #e2e5ea; border-radius: 10px; padding: 1.1rem 1.3rem; margin: 0 0 1rem;
  overflow-x: auto; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1.2rem; margin: 0; }
dt { color: #667; } dd { margin: 0; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: left; color: #667; font-weight: 600; border-bottom: 1px solid #d5d9e0; }
th, td { padding: .3rem .9rem .3rem 0; vertical-align: middle; white-space: nowrap; }
td { border-bottom: 1px solid #f0f1f4; } td.name { white-space: normal; overflow-wrap: anywhere; min-width: 8rem; }
.right { text-align: right; } .more { color: #778; }
figure { display: inline-block; margin: 0 1rem .8rem 0; text-align: center; font-size: .85rem; }
figure img { display: block; height: 84px; image-rendering: pixelated; border-radius: 4px; margin: 0 auto .2rem; }
.slow { border-left: 5px solid #d55e00; } ul { margin: 0; padding-left: 1.2rem; } li { overflow-wrap: anywhere; }
pre { background: #f5f6f8; padding: .6rem .8rem; border-radius: 6px; overflow-x: auto; margin: 0; }
svg { display: block; max-width: 100%; }
""".strip()


def write_page(description: "FileDescription", path: Path, columns: int) -> None:
    """Write a page about a dataset, whole or not at all.

    Args:
        description: The file.
        path: Where to write it.
        columns: How many columns of a field are shown one by one.

    Raises:
        StorageError: It cannot be written.
    """
    atomic.write_text(path, page(description, columns))


def page(description: "FileDescription", columns: int) -> str:
    """Return a page about a dataset.

    Args:
        description: The file.
        columns: How many columns of a field are shown one by one.

    Returns:
        HTML. Whatever comes from the file is escaped.
    """
    name = Path(description.path).name
    sections = [_section("", _facts(description))]
    if description.slow.findings:
        command = description.slow.command
        mend = f"<p>This mends it:</p><pre>{escape(command)}</pre>" if command else ""
        sections.append(_section("Slow layouts", _list(description.slow.findings) + mend, "slow"))
    sections += [
        _section("Fields", _fields(description.fields)),
        _section("Values", _values(description.fields, columns) + _list(step_texts(description.fields))),
    ]
    if description.class_counts:
        sections.append(_section("Classes", _classes(description.class_counts)))
    for field in description.fields:
        if field.pictures:
            images = "".join(
                f'<figure><img src="{data_address(picture)}" alt="row {picture.row} of {escape(picture.where)}">'
                f"{escape(picture.label) or f'row {picture.row}'}</figure>"
                for picture in field.pictures
            )
            sections.append(_section(f"Images of {field.name}", images))
    if description.notes:
        sections.append(_section("Notes", _list(description.notes)))
    if description.attributes:
        sections.append(_section("Attributes", _terms(description.attributes)))
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(name)}</title>\n<style>\n{_STYLE}\n</style>\n</head>\n<body>\n<main>\n<h1>{escape(name)}</h1>\n"
        + "\n".join(sections)
        + "\n</main>\n</body>\n</html>\n"
    )


def _section(title: str, body: str, kind: str = "") -> str:
    head = f"<h2>{escape(title)}</h2>\n" if title else ""
    return f'<section class="{kind}">\n{head}{body}\n</section>'


def _terms(terms: Mapping[str, str]) -> str:
    return "<dl>" + "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in terms.items()) + "</dl>"


def _list(texts: Sequence[str]) -> str:
    items = ("<br>".join(map(escape, text.splitlines())) for text in texts)
    return f"<ul>{''.join(f'<li>{item}</li>' for item in items)}</ul>" if texts else ""


def _facts(description: "FileDescription") -> str:
    splits = ", ".join(f"{name} {rows:,}" for name, rows in description.splits.items())
    facts = {
        "file": f"{description.path}, {byte_size(description.bytes)}",
        "rows": splits or "none that can be read",
        "task": str(description.task) if description.task else "not plain from the target",
        "memory": memory_text(description),
    }
    if sampled := sampled_text(description):
        facts["figures"] = sampled
    return _terms(facts)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[str] = ()) -> str:
    """Return a table; cells are HTML already."""
    classes = ["right" if head in right else "name" if place == 0 else "" for place, head in enumerate(heads)]
    marks = [f' class="{name}"' if name else "" for name in classes]
    head = "".join(f"<th{mark}>{escape(text)}</th>" for mark, text in zip(marks, heads, strict=True))
    lines = "".join(
        f"<tr>{''.join(f'<td{mark}>{cell}</td>' for mark, cell in zip(marks, row, strict=True))}</tr>\n" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n{lines}</tbody></table>"


def _fields(fields: Sequence["FieldDescription"]) -> str:
    heads = ("field", "role", "kind", "row", "type", "chunks", "filters", "size", "packed")
    rows = []
    for field in fields:
        storage = field.storage
        cells = (
            field.name,
            f"{field.role} of {field.of}" if field.of else field.role or "not used",
            field.kind or "–",
            shape(field.shape),
            field.dtype,
            chunks_text(storage.chunks, field.shape),
            ", ".join(storage.filters) or "none",
            byte_size(storage.bytes),
            f"{storage.ratio:.1f} : 1" if storage.filters and storage.ratio else "–",
        )
        rows.append([escape(cell) for cell in cells])
    return _table(heads, rows, ("row", "size", "packed"))


def _values(fields: Sequence["FieldDescription"], columns: int) -> str:
    rows = []
    for field in fields:
        if len(field.columns) < 2:
            rows += [_value_cells(field.name, field.figures)] if field.figures else []
            continue
        rows += [_value_cells(f"{field.name}: {figures.name}", figures) for figures in field.columns[:columns]]
        if len(field.columns) > columns:
            more = count_of(len(field.columns) - columns, "more column")
            rows.append([f'<span class="more">{escape(f"{field.name}: {more}")}</span>', "", "", "", "", ""])
    right = ("min", "mean", "max", "missing")
    return _table(("values", *right, "distribution"), rows, right)


def _value_cells(name: str, figures: "ColumnFigures") -> list[str]:
    cells = [escape(cell) for cell in figure_cells(figures)[:-1]]
    return [escape(name), *cells, _distribution(figures.histogram, f"distribution of {name}")]


def _distribution(counts: Sequence[int], title: str) -> str:
    drawing = Drawing(WIDTH, HEIGHT, title)
    most = max(counts, default=0) or 1
    step = WIDTH / max(len(counts), 1)
    for place, count in enumerate(counts):
        top = (HEIGHT - 2) * (1 - count / most)
        left = place * step
        drawing.area((left, 1 + top), (left + step - 1, HEIGHT - 1), COLOURS[0], hint=f"{count:,}")
    drawing.line((0, HEIGHT - 0.5), (WIDTH, HEIGHT - 0.5), "#cccccc")
    return drawing.render()


def _classes(counts: Mapping[str, Mapping[str, int]]) -> str:
    """Return a bar a class, divided by split."""
    names = list(dict.fromkeys(name for split in counts.values() for name in split))
    totals = {name: sum(split.get(name, 0) for split in counts.values()) for name in names}
    most = max(totals.values(), default=0) or 1
    shown = names[:SHOWN_CLASSES]
    drawing = Drawing(LABEL + BAR + 110, LINE * (len(shown) + 1) + 10, "rows of each class")
    left = LABEL
    for place, split in enumerate(counts):
        drawing.area((left, 4), (left + 12, 16), COLOURS[place % len(COLOURS)])
        drawing.text((left + 18, 15), split)
        left += 100
    for line, name in enumerate(shown, 1):
        middle = LINE * line + 14
        drawing.text((LABEL - 10, middle + 4), name, anchor="end", most=LABEL - 12)
        left = LABEL
        for place, (split, each) in enumerate(counts.items()):
            right = left + BAR * each.get(name, 0) / most
            hint = f"{split}: {each.get(name, 0):,}"
            drawing.area((left, middle - 7), (right, middle + 7), COLOURS[place % len(COLOURS)], hint=hint)
            left = right
        drawing.text((left + 8, middle + 4), f"{totals[name]:,}")
    rest = len(names) - len(shown)
    return drawing.render() + (f"<p>and {rest:,} more</p>" if rest else "")
