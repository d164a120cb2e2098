"""What repacking a dataset changed."""

import shlex
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType

from dlcli.report.figures import byte_size, count_of
from dlcli.report.layout import line, plain_table

if TYPE_CHECKING:
    from dlcli.experiment.repack import Repacked


def repacked_view(repacked: "Repacked") -> RenderableType:
    """Return sizes and speeds before and after."""
    table = plain_table()
    table.add_column("")
    for name in ("before", "after", "change"):
        table.add_column(name, justify="right")
    before, after = repacked.bytes_before, repacked.bytes_after
    table.add_row("size", byte_size(before), byte_size(after), f"{after / before - 1:+.0%}" if before else "–")
    for order, (slow, quick) in repacked.speeds.items():
        speeds = (f"{byte_size(round(speed))}/s" for speed in (slow, quick))
        table.add_row(f"read {order}", *speeds, f"× {quick / slow:.1f}" if slow else "–")
    codecs = list(repacked.codecs.values())
    used = ", ".join(f"{count_of(codecs.count(codec), 'dataset')} {codec}" for codec in dict.fromkeys(codecs))
    rounded = ", ".join(f"{path} to {dtype}" for path, dtype in repacked.rounded.items())
    checked = f"every value checked, but that floats were rounded: {rounded}" if rounded else "every value checked"
    parts: list[RenderableType] = [
        line("written", f"{repacked.output}, {checked}"),
        line("filters", used or "none"),
    ]
    if repacked.largest:
        parts.append(line("measured", f"{repacked.largest}, blocks of rows, from the system's memory"))
    return Group(*parts, "", table, "", line("next", f"dlcli data show {shlex.quote(repacked.output)}"))
