"""The two shapes that pictures are made of: labelled lines and plain tables."""

from rich.table import Table
from rich.text import Text


def line(label: str, *text: str | tuple[str, str], style: str = "bold") -> Text:
    """Return a labelled line that is not folded, so that a path or command in it can be copied whole."""
    return Text.assemble((f"{label:9}", style), *text, no_wrap=True, overflow="ignore")


def plain_table() -> Table:
    """Return a table without frames: its header is bold, and columns are two blanks apart."""
    return Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold", footer_style="bold")
