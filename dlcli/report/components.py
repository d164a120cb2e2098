"""What is installed: the list of components, a component's page, a fresh package."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from dlcli.report.layout import folded, line, plain_table

if TYPE_CHECKING:
    from dlcli.experiment.components import ComponentPage, ComponentRow, ParameterRow

SECTION = re.compile(r"[A-Z]\w*:")
"""Head of a section of a docstring, such as `Shape:`."""


def list_view(rows: Sequence["ComponentRow"]) -> RenderableType:
    """Return one line a component, under the name of its kind; a page has what does not fit there."""
    if not rows:
        return Text("no components of this kind are installed")
    table = plain_table()
    table.add_column("component", no_wrap=True)
    table.add_column("package", no_wrap=True)
    table.add_column("what it is for")
    kind = ""
    for row in rows:
        if row.kind != kind:
            kind = row.kind
            table.add_row(Text(kind, style="bold"))
        # Only this text is cut where the terminal is narrow, so it must be the text and not the column.
        summary = Text(row.summary, no_wrap=True, overflow="ellipsis")
        table.add_row(Text(f"  {row.name}", style="cyan"), f"{row.distribution} {row.version}", summary)
    return table


def page_view(page: "ComponentPage") -> RenderableType:
    """Return a component's page: documentation, parameters, and how a recipe names it."""
    parts: list[RenderableType] = [
        Text.assemble((page.name, "bold cyan"), f"  {page.kind} of {page.distribution} {page.version}"),
        *(_indented(indent, Text(text)) if text else "" for indent, text in reflowed(page.documentation)),
    ]
    if page.facts:
        parts += ["", *(folded(name, text, width=14) for name, text in page.facts.items())]
    if page.parameters:
        parts += ["", Text("Parameters", style="bold"), *map(_parameter, page.parameters)]
    if any(parameter.per_member for parameter in page.parameters):
        parts.append(Text("  * may differ between members that train together", style="dim"))
    snippet = Text(page.snippet.rstrip(), no_wrap=True, overflow="ignore")
    return Group(*parts, "", Text("In a recipe", style="bold"), "", snippet)


def _indented(columns: int, content: RenderableType) -> Padding:
    return Padding(content, (0, 0, 0, columns), expand=False)


def reflowed(documentation: str) -> Iterator[tuple[int, str]]:
    """Yield a docstring's paragraphs and items with their indentation, each in one line to be folded anew.

    Sections that the list of parameters stands for, and those for callers from Python, are left out.
    """
    for block in documentation.split("\n\n"):
        lines = block.splitlines()
        if lines[0] in ("Args:", "Raises:"):
            continue
        is_section = SECTION.fullmatch(lines[0]) is not None
        items: list[tuple[int, str]] = []
        for text in lines:
            indent = len(text) - len(text.lstrip())
            # A section has items, whose further lines are indented deeper; a paragraph is one item.
            if items and (not is_section or indent > max(items[-1][0], 4)):
                items[-1] = (items[-1][0], f"{items[-1][1]} {text.strip()}")
            else:
                items.append((indent, text.strip()))
        yield 0, ""
        yield from items


def _parameter(parameter: "ParameterRow") -> RenderableType:
    star = "*" if parameter.per_member else ""
    default = "optional" if parameter.default is None else f"default {_plain(parameter.default)}"
    head = Text.assemble((f"{parameter.name}{star}", "cyan"), f"  {parameter.allowed}; ", (default, "dim"))
    return Group(_indented(2, head), _indented(4, Text(parameter.description)))


def _plain(value: object) -> str:
    """Return a default as a recipe would have it; a component that has its own defaults by its name."""
    if isinstance(value, dict):
        if set(value) == {"name"}:
            return _plain(value["name"])
        return f"{{ {', '.join(f'{key} = {_plain(item)}' for key, item in value.items())} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_plain, value))}]"
    return str(value).lower() if isinstance(value, bool) else f'"{value}"' if isinstance(value, str) else str(value)


def package_view(written: Sequence[Path]) -> RenderableType:
    """Return which files a fresh package has, and the commands to type next."""
    package = next(path.parent for path in written if path.name == "pyproject.toml")
    return Group(
        line("package", str(package)),
        *(line("", str(path.relative_to(package))) for path in written),
        "",
        line("next", f"pip install -e '{package}[dev]' && pytest {package}"),
        line("", "dlcli plugins list"),
    )
