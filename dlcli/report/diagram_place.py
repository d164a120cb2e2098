"""From layers and columns to pixels: where rows and lines of a diagram are drawn, in one piece or several."""

from collections.abc import Sequence
from dataclasses import dataclass

from dlcli.report.diagram_layout import Layout, Line
from dlcli.report.diagram_rows import Repeat, Row
from dlcli.report.diagram_style import WIDTH, height_of, width_of
from dlcli.report.svg import Point

GAP, TRACK, HEADLINE = 22.0, 7.0, 20.0
"""Height between layers, of a further line in between, and of the words above a repeated part."""
UPPER, LOWER = -5.0, 6.0
"""How far from the middle of a row lines enter and leave it aside, where they do both."""
LANE, SIDE, MARGIN, BETWEEN = 16.0, 22.0, 30.0, 64.0
"""Width of a trunk, beside trunks, at the edges, and between pieces."""
PAGES = ((190.0, 277.0), (277.0, 190.0))
"""Width and height of a sheet of paper, upright and across."""
AROUND = 160.0
"""Height of title and legend, about."""
PIECES, LARGER = 5, 1.1
"""Most pieces, and how much larger the print must be for one piece more."""


@dataclass(frozen=True)
class Place:
    """Where a row is drawn.

    Args:
        left: Its left edge.
        top: Its upper edge.
        right: Its right edge, with all that stands beside the block.
        bottom: Its lower edge.
    """

    left: float
    top: float
    right: float
    bottom: float

    @property
    def middle(self) -> float:
        """Where lines enter from above and leave below."""
        return self.left + WIDTH / 2

    @property
    def centre(self) -> float:
        """Half of its height."""
        return (self.top + self.bottom) / 2


class Placement:
    """Where everything in a diagram is drawn.

    Args:
        rows: The rows.
        repeats: Which of them stand for several.
        layout: In which layers and columns they stand.
        top: Where the first layer begins.

    Attributes:
        places: Where each row is.
        size: Right and lower end of all of it.
    """

    def __init__(self, rows: Sequence[Row], repeats: Sequence[Repeat], layout: Layout, top: float) -> None:
        self._layout, self._repeats = layout, repeats
        self._tracks = self._numbered_tracks()
        self._heights = [
            max(height_of(row) for row, own in zip(rows, layout.layers, strict=True) if own == layer)
            for layer in range(layout.depth)
        ]
        self._headed = {layout.layers[repeat.first] for repeat in repeats}
        lanes = len(set(layout.trunks.values()))
        columns = max(layout.columns) + 1
        widths = [
            max((width_of(row) for row, own in zip(rows, layout.columns, strict=True) if own == column), default=0.0)
            for column in range(columns)
        ]
        self._lane = MARGIN + widths[0] + SIDE
        starts = [MARGIN, self._lane + lanes * LANE + (0 if columns == 1 else SIDE)]
        for width in widths[1:]:
            starts.append(starts[-1] + width + SIDE)
        self._main_right = MARGIN + widths[0]
        piece_width = starts[columns] - SIDE if columns > 1 else self._lane + lanes * LANE - (0 if lanes else SIDE)
        self._step = piece_width - MARGIN + BETWEEN
        cuts = self._cuts(piece_width)
        self._piece = [sum(cut <= layer for cut in cuts) for layer in range(layout.depth)]
        tops = self._tops(top)
        self.places = []
        for row, layer, column in zip(rows, layout.layers, layout.columns, strict=True):
            left = starts[column] + self._piece[layer] * self._step
            middle = tops[layer] + self._heights[layer] / 2
            half = height_of(row) / 2
            self.places.append(Place(left, middle - half, left + width_of(row), middle + half))
        bottom = max(place.bottom for place in self.places)
        self.size: Point = (MARGIN + (len(cuts) + 1) * self._step - BETWEEN + MARGIN, bottom)
        self._top = top

    def path(self, line: Line) -> list[Point]:
        """Return the points that a line goes through."""
        layers, target = self._layout.layers, self.places[line.target]
        end = [(target.middle, target.top)]
        begin = [(self.places[line.source].middle, self.places[line.source].bottom)]
        if self._piece[layers[line.source]] != self._piece[layers[line.target]]:
            begin = self._entrance(line)
            if line.way == "straight":
                return [*self._passage(line), *begin, *end]
        elif line.way == "trunk":
            begin = self._exit(line.source)
        if line.way == "straight":
            return [*begin, *end]
        if line.way == "trunk":
            trunk = self.trunk(line)
            begin.append((trunk, begin[-1][1]))
            if self._layout.columns[line.target] == 0:
                height = target.centre + self._entry(line)
                return [*begin, (trunk, height), (target.right, height)]
        height = self._track(layers[line.target], line.source)
        return [*begin, (begin[-1][0], height), (target.middle, height), *end]

    def starts_aside(self, line: Line) -> Point | None:
        """Return where a line leaves one that goes straight down; None where it has its own beginning."""
        if line.way == "straight" or self._layout.columns[line.source]:
            return None
        path = self.path(line)
        return path[1] if line.way == "gap" and path[1][0] == path[0][0] else None

    def trunk(self, line: Line) -> float:
        """Return where the trunk of a line is."""
        piece = self._piece[self._layout.layers[line.target]]
        return self._lane + self._layout.trunks[line.source] * LANE + piece * self._step

    def frame(self, repeat: Repeat) -> Place:
        """Return the frame around rows that stand for several."""
        members = range(repeat.first, repeat.last + 1)
        own = [self.places[place] for place in members]
        right = max(place.right for place in own)
        touching = [line for line in self._layout.lines if line.way == "trunk" and line.target in members]
        right = max([right, *(self.trunk(line) for line in touching)])
        top = min(place.top for place in own) - HEADLINE - self._room(self._layout.layers[repeat.first])
        return Place(min(place.left for place in own) - 12, top, right + 12, max(place.bottom for place in own) + 9)

    def words(self, repeat: Repeat) -> tuple[Point, float]:
        """Return where the words above a repeated part begin, and how much room they have."""
        frame, first = self.frame(repeat), self.places[repeat.first]
        begin = first.middle + 12
        end = self._main_right + self._piece[self._layout.layers[repeat.first]] * self._step
        return (begin, frame.top + 15), end - begin

    def _passage(self, line: Line) -> list[Point]:
        """Return the points by which the way down leads from the end of a piece to the next one."""
        source, target = self.places[line.source], self.places[line.target]
        low, aside = source.bottom + 15, target.left - BETWEEN / 2 + 6
        return [(source.middle, source.bottom), (source.middle, low), (aside, low), (aside, self._top - 2)]

    def _entrance(self, line: Line) -> list[Point]:
        """Return where lines come into the next piece: above its longest way."""
        return [(MARGIN + WIDTH / 2 + self._piece[self._layout.layers[line.target]] * self._step, self._top - 2)]

    def _exit(self, source: int) -> list[Point]:
        """Return the points by which lines to a trunk leave a row."""
        place, column = self.places[source], self._layout.columns[source]
        if column > 1:
            height, aside = self._track(self._layout.layers[source] + 1, source), place.middle + 16
            return [(aside, place.bottom), (aside, height)]
        return [(place.left if column else place.right, place.centre + (LOWER if self._meets(source) else 0))]

    def _entry(self, line: Line) -> float:
        """Return how far from its middle a line enters a row from aside."""
        entering = [each for each in self._layout.lines if each.target == line.target and each.way == "trunk"]
        if len(entering) == 1:
            return UPPER if self._meets(line.target) else 0
        end = 0 if self._meets(line.target) else LOWER
        return 2 * UPPER + (end - 2 * UPPER) * entering.index(line) / (len(entering) - 1)

    def _meets(self, place: int) -> bool:
        """Return whether lines both enter and leave the rows of a layer from aside, at the side of the trunks."""
        layout = self._layout
        near = {other for other, layer in enumerate(layout.layers) if layer == layout.layers[place]}
        aside = (line.target for line in layout.lines if line.way == "trunk")
        enter = any(target in near and not layout.columns[target] for target in aside)
        return enter and any(other in near and layout.columns[other] < 2 for other in layout.trunks)

    def _numbered_tracks(self) -> dict[tuple[int, int], int]:
        """Return a number, within the gap above a layer, for each source of lines that run along it."""
        layout, found = self._layout, dict[tuple[int, int], int]()
        for line in layout.lines:
            gaps = []
            if line.way == "gap" or (line.way == "trunk" and layout.columns[line.target]):
                gaps.append(layout.layers[line.target])
            if line.way == "trunk" and layout.columns[line.source] > 1:
                gaps.append(layout.layers[line.source] + 1)
            for gap in gaps:
                used = [number for (layer, _), number in found.items() if layer == gap]
                found.setdefault((gap, line.source), len(used))
        return found

    def _room(self, layer: int) -> float:
        """Return the height of the gap above a layer, without what words above a repeated part need."""
        along = [number for (gap, _), number in self._tracks.items() if gap == layer]
        return GAP + TRACK * max(along, default=0)

    def _track(self, layer: int, source: int) -> float:
        """Return how high lines of a source run along the gap above a layer."""
        row = min(self.places[p].top for p, own in enumerate(self._layout.layers) if own == layer)
        return row - 12 - TRACK * self._tracks[layer, source]

    def _tops(self, top: float) -> list[float]:
        found: list[float] = []
        for layer, piece in enumerate(self._piece):
            begins = layer == 0 or piece != self._piece[layer - 1]
            above = top if begins else found[-1] + self._heights[layer - 1] + self._space(layer)
            if begins and layer:
                above += self._space(layer) - GAP / 2
            found.append(above)
        return found

    def _space(self, layer: int) -> float:
        """Return the whole height between a layer and the one above it."""
        ended = layer - 1 in {self._layout.layers[repeat.last] for repeat in self._repeats}
        return self._room(layer) + (HEADLINE + 8 if layer in self._headed else 0) + (8 if ended else 0)

    def _cuts(self, width: float) -> list[int]:
        """Return the layers before which the diagram is cut, so that its pieces side by side fill a sheet of paper."""
        breaks = self._layout.breaks(self._repeats)
        best, cuts = 0.0, list[int]()
        for pieces in range(1, PIECES + 1):
            found = self._balanced(breaks, pieces)
            if found is None:
                break
            ends = zip([0, *found], [*found, self._layout.depth], strict=True)
            high = max(self._high(begin, end) for begin, end in ends) + AROUND
            wide = 2 * MARGIN + pieces * (width - MARGIN + BETWEEN) - BETWEEN
            size = max(min(across / wide, down / high) for across, down in PAGES)
            if size > LARGER * best:
                best, cuts = size, found
        return cuts

    def _balanced(self, breaks: Sequence[int], pieces: int) -> list[int] | None:
        """Return places to cut at that make pieces about equally high; None where there are too few."""
        whole, found = self._high(0, self._layout.depth), list[int]()
        for number in range(1, pieces):
            left = [cut for cut in breaks if cut > (found[-1] if found else 0)]
            if not left:
                return None
            found.append(min(left, key=lambda cut: abs(self._high(0, cut) - whole * number / pieces)))
        return found

    def _high(self, begin: int, end: int) -> float:
        return sum(self._heights[layer] + self._space(layer) for layer in range(begin, end))
