"""The shapes that pictures are made of: labelled lines, plain tables and bars."""

from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from dlcli.untrusted import printable

LONGEST_NAME = 100
"""Characters of a name that are shown, at most."""


def line(label: str, *text: str | tuple[str, str], style: str = "bold") -> Text:
    """Return a labelled line that is not folded, so that a path or command in it can be copied whole."""
    return Text.assemble((f"{label:9}", style), *text, no_wrap=True, overflow="ignore")


def as_it_is(text: str) -> Text:
    """Return a text from somebody's file as it is: no markup, and escaped what would move the cursor."""
    return Text(printable(text))


def as_lines(text: str, indent: int = 0) -> Text:
    """Return a text of ours, which may quote somebody's file: its lines are lines, each but the first indented."""
    return Text(f"\n{' ' * indent}".join(map(printable, text.splitlines())))


def as_name(name: str) -> Text:
    """Return a name from somebody's file; the middle of a very long one is cut."""
    return as_it_is(shortened(name))


def shortened(name: str) -> str:
    """Return a name of `LONGEST_NAME` characters at most: the middle of a longer one is replaced by `…`."""
    end = (LONGEST_NAME - 1) // 2
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1 - end]}…{name[-end:]}"


def plain_table() -> Table:
    """Return a table without frames: its header is bold, and columns are two blanks apart."""
    return Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold", footer_style="bold")


def folded(label: str, text: str, style: str = "", width: int = 9, label_style: str = "bold") -> Table:
    """Return a labelled text that is folded beside its label where it is too long."""
    grid = Table.grid()
    grid.add_column(style=label_style, width=width)
    grid.add_column(overflow="fold")
    grid.add_row(label, Text(text, style=style))
    return grid


def bars_table() -> Table:
    """Return a table for bars across the whole width: a label, an amount, a bar and a remark."""
    bars = Table.grid(padding=(0, 2), expand=True)
    bars.add_column(style="bold")
    bars.add_column(justify="right", no_wrap=True)
    bars.add_column(ratio=1)
    bars.add_column(justify="right", no_wrap=True)
    return bars


def bar_of(done: float, total: float) -> ProgressBar:
    """Return a bar that shows how much of something is done."""
    return ProgressBar(total=max(total, 1), completed=done, complete_style="cyan", finished_style="cyan")
