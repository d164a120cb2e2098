"""What is installed: the list of components, a component's page, a fresh package."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.syntax import Syntax
from rich.text import Text

from dlcli.report.layout import line, plain_table

if TYPE_CHECKING:
    from dlcli.experiment.components import ComponentPage, ComponentRow, ParameterRow


def list_view(rows: Sequence["ComponentRow"]) -> RenderableType:
    """Return one row a component; the kind stands only where it changes."""
    table = plain_table()
    table.add_column("kind", style="bold")
    table.add_column("name", style="cyan", overflow="fold")
    table.add_column("package", overflow="fold")
    table.add_column("what it is for", overflow="fold")
    before = ""
    for row in rows:
        kind = "" if row.kind == before else row.kind
        table.add_row(kind, row.name, f"{row.distribution} {row.version}", Text(row.summary))
        before = row.kind
    return table if rows else Text("no components of this kind are installed")


def page_view(page: "ComponentPage") -> RenderableType:
    """Return a component's page: documentation, parameters, and how a recipe names it."""
    parts: list[RenderableType] = [
        Text.assemble((page.name, "bold cyan"), f"  {page.kind} of {page.distribution} {page.version}"),
        "",
        Padding(Text(page.documentation), (0, 0, 0, 2)),
        "",
    ]
    if page.parameters:
        parts += [Text("Parameters", style="bold"), *map(_parameter, page.parameters), ""]
    else:
        parts += [Text("No parameters"), ""]
    if any(parameter.per_member for parameter in page.parameters):
        parts += [Text("* may differ between members that train together", style="dim"), ""]
    snippet = Syntax(page.snippet.rstrip(), "toml", theme="ansi_dark", background_color="default")
    return Group(*parts, Text("In a recipe", style="bold"), Padding(snippet, (0, 0, 0, 2)))


def _parameter(parameter: "ParameterRow") -> RenderableType:
    star = "*" if parameter.per_member else ""
    default = "required" if parameter.default is None else f"default {_plain(parameter.default)}"
    head = Text.assemble((f"{parameter.name}{star}", "cyan"), f"  {parameter.allowed}; ", (default, "dim"))
    return Padding(Group(head, Padding(Text(parameter.description), (0, 0, 0, 2))), (0, 0, 0, 2))


def _plain(value: object) -> str:
    """Return a default as a recipe would have it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_plain, value))}]"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{key} = {_plain(item)}' for key, item in value.items())} }}"
    return str(value)


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
