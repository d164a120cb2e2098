"""Where the rows of a diagram stand, and which way lines between them take: no two rows, and no row and line, meet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from dlcli.report.diagram_rows import Repeat, Row

Way = Literal["straight", "gap", "trunk"]
"""How a line goes: straight down; along the gap above its target; down a trunk that all such lines of a row share."""


@dataclass(frozen=True)
class Line:
    """A line from one row to another.

    Args:
        source: Place of the row where it begins.
        target: Place of the row where it ends.
        way: How it goes.
    """

    source: int
    target: int
    way: Way


@dataclass(frozen=True)
class Layout:
    """Where everything stands, in layers from above and columns from the left.

    Args:
        layers: The layer of each row.
        columns: The column of each row; 0 for the longest way through the network, others beside it.
        lines: All lines.
        trunks: Of a row with lines that pass by others: the number of the vertical line that they share.
    """

    layers: tuple[int, ...]
    columns: tuple[int, ...]
    lines: tuple[Line, ...]
    trunks: Mapping[int, int]

    @property
    def depth(self) -> int:
        """Number of layers."""
        return max(self.layers) + 1

    def breaks(self, repeats: Sequence[Repeat]) -> list[int]:
        """Return the layers before which the diagram can be cut: all lines that lead there come from the row above."""
        inside: set[int] = set()
        for repeat in repeats:
            own = [self.layers[place] for place in range(repeat.first, repeat.last + 1)]
            inside.update(range(min(own) + 1, max(own) + 1))
        found = []
        for layer in set(range(1, self.depth)) - inside:
            crossing = {
                line.source for line in self.lines if self.layers[line.source] < layer <= self.layers[line.target]
            }
            if all(self.columns[source] == 0 and self.layers[source] == layer - 1 for source in crossing):
                found.append(layer)
        return sorted(found)


def layout_of(rows: Sequence[Row], repeats: Sequence[Repeat] = ()) -> Layout:
    """Return where the rows of a diagram stand.

    Args:
        rows: In the order in which a batch passes through; the output is the last.
        repeats: Which of them stand for several.

    Returns:
        The layout. The longest way through the network is one column; what joins it stands as low as it can.
    """
    readers: list[list[int]] = [[] for _ in rows]
    for place, row in enumerate(rows):
        for source in row.sources:
            readers[source].append(place)
    layers = _early(rows)
    main = _longest(rows, layers)
    given = [place for place, row in enumerate(rows) if row.block.kind in ("input", "condition") and place not in main]
    for place in range(len(rows) - 1, -1, -1):
        if place not in main and readers[place] and place not in given:
            layers[place] = min(layers[reader] for reader in readers[place]) - 1
    # One below another, as far as that is above repeated parts and all else that is beside the longest way.
    others = set(range(len(rows))) - main - set(given)
    free = min([len(rows), *(layers[place] for place in others), *(layers[repeat.first] for repeat in repeats)])
    for layer, place in enumerate(given):
        if layer < min([free, *(layers[reader] for reader in readers[place])], default=0):
            layers[place] = layer
    columns = _columns(rows, layers, main)
    lines = [
        Line(source, place, _way(source, place, layers, columns))
        for place, row in enumerate(rows)
        for source in row.sources
    ]
    return Layout(tuple(layers), tuple(columns), tuple(lines), _trunks(lines, layers))


def _early(rows: Sequence[Row]) -> list[int]:
    """Return the first layer in which each row can stand: below all that it reads."""
    layers: list[int] = []
    for row in rows:
        layers.append(max((layers[source] + 1 for source in row.sources), default=0))
    return layers


def _longest(rows: Sequence[Row], layers: Sequence[int]) -> set[int]:
    """Return the places of the longest way to the output; of equal ones that of the first source."""
    place, found = len(rows) - 1, {len(rows) - 1}
    while rows[place].sources:
        place = max(rows[place].sources, key=lambda source: layers[source])
        found.add(place)
    return found


def _columns(rows: Sequence[Row], layers: Sequence[int], main: set[int]) -> list[int]:
    """Return a column for each row: beside the longest way that of what it reads right above, or the first free."""
    taken: dict[int, set[int]] = {}
    columns = [0] * len(rows)
    for place in sorted(set(range(len(rows))) - main, key=lambda place: (layers[place], place)):
        above = [columns[source] for source in rows[place].sources if layers[source] == layers[place] - 1]
        options = (*filter(None, above), *range(1, len(rows) + 1))
        columns[place] = next(column for column in options if layers[place] not in taken.get(column, ()))
        taken.setdefault(columns[place], set()).add(layers[place])
    return columns


def _way(source: int, target: int, layers: Sequence[int], columns: Sequence[int]) -> Way:
    apart = layers[target] - layers[source]
    if apart == 1 and columns[source] == columns[target]:
        return "straight"
    return "gap" if apart == 1 and columns[target] else "trunk"


def _trunks(lines: Sequence[Line], layers: Sequence[int]) -> dict[int, int]:
    """Return a number for the trunk of each row that has one; trunks that pass one another have different numbers."""
    ends: dict[int, int] = {}
    for line in lines:
        if line.way == "trunk":
            ends[line.source] = max(ends.get(line.source, 0), layers[line.target])
    found: dict[int, int] = {}
    # Short trunks first, so that they are next to the rows and long ones go around.
    for source in sorted(ends, key=lambda source: (ends[source] - layers[source], source)):
        met = {
            number
            for other, number in found.items()
            if layers[other] < ends[source] and layers[source] < ends[other] and other != source
        }
        found[source] = next(number for number in range(len(ends)) if number not in met)
    return found
