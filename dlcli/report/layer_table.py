"""The layers of a network as a table, as wide as the console allows."""

from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table

from dlcli.report.figures import byte_size, scaled, shape
from dlcli.report.layout import plain_table

if TYPE_CHECKING:
    from dlcli.experiment.building.preflight import LayerRow, Preflight

UNBOUNDED = 10_000
"""A width that no table has."""


class LayerTable:
    """One row a layer, with the totals below: multiply-adds for one row of data, memory for a batch.

    Names are whole where the console is wide enough. Where it is not, layers that are one after the other in one part
    of the network stand below its name.

    Args:
        preflight: Whose layers.
    """

    def __init__(self, preflight: "Preflight") -> None:
        self._preflight = preflight

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Choose the form."""
        whole = self._table((layer.name, layer) for layer in self._preflight.layers)
        needed = Measurement.get(console, options.update(max_width=UNBOUNDED), whole).maximum
        if needed <= options.max_width:
            yield whole
            return
        grouped = self._table(self._grouped())
        grouped.padding = (0, 1, 0, 0)
        yield grouped

    def _grouped(self) -> Iterator[tuple[str, "LayerRow | None"]]:
        for part, layers in groupby(self._preflight.layers, key=lambda layer: layer.name.rpartition(".")[0]):
            inside = list(layers)
            if not part or len(inside) == 1:
                yield from ((layer.name, layer) for layer in inside)
                continue
            yield part, None
            yield from ((f"  {layer.name.rpartition('.')[2]}", layer) for layer in inside)

    def _table(self, rows: "Iterator[tuple[str, LayerRow | None]]") -> Table:
        preflight = self._preflight
        table = plain_table()
        table.show_footer = True
        table.add_column("\nlayer", "total", overflow="fold")
        table.add_column("\nkind", overflow="fold")
        table.add_column("\noutput shape", justify="right")
        table.add_column("\nparameters", f"{preflight.parameters:,}", justify="right")
        table.add_column("multiply-\nadds a row", scaled(preflight.multiply_adds), justify="right")
        table.add_column("memory\na batch", byte_size(preflight.memory.activations), justify="right")
        for name, layer in rows:
            if layer is None:
                table.add_row(name)
                continue
            table.add_row(
                name,
                layer.kind,
                shape(layer.output_shape),
                f"{layer.parameters:,}" if layer.parameters else "",
                scaled(layer.multiply_adds) if layer.multiply_adds else "",
                byte_size(layer.activation_bytes) if layer.activation_bytes else "",
            )
        return table
