"""The blocks of a network as rows of a diagram: what follows a layer stands beside it, repeated parts stand once."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dlcli.experiment.diagram.graph import Block

BESIDE = frozenset({"normalization", "activation", "dropout"})
"""Kinds that stand beside the layer they follow; a normalization beside no sum, where it may begin the next part."""
ENDS = frozenset({"input", "condition", "output", "parameter"})
"""Kinds that nothing stands beside."""
SAVED = 2
"""Fewest rows that drawing a repeated part once must save."""


@dataclass(frozen=True)
class Row:
    """A line of the diagram: a block, and what follows it.

    Args:
        block: The block; its sources are no longer valid.
        beside: Blocks that follow it, each the only reader of the one before it.
        sources: Places of the earlier rows that it reads, in order.
    """

    block: "Block"
    beside: tuple["Block", ...]
    sources: tuple[int, ...]

    @property
    def parameters(self) -> int:
        """Numbers that the whole line learns."""
        return self.block.parameters + sum(block.parameters for block in self.beside)


@dataclass(frozen=True)
class Repeat:
    """Rows that stand for several equal parts, one after another.

    Args:
        first: Place of the first row.
        last: Place of the last row.
        times: How many parts there are.
        name: What they are called, such as `blocks.1 … blocks.5`; empty where their names have nothing in common.
    """

    first: int
    last: int
    times: int
    name: str


def rows_of(blocks: Sequence["Block"]) -> tuple[list[Row], list[Repeat]]:
    """Return the rows of a diagram, and which of them stand for several.

    Args:
        blocks: In the order in which a batch passes through.

    Returns:
        The rows in that order, and the repeats, which do not overlap.
    """
    return _collapsed(_lines(blocks))


def _lines(blocks: Sequence["Block"]) -> list[Row]:
    readers: dict[int, list[int]] = {}
    for place, block in enumerate(blocks):
        for source in block.sources:
            readers.setdefault(source, []).append(place)
    rows: list[Row] = []
    line_of: dict[int, int] = {}
    for place, block in enumerate(blocks):
        if block.kind in BESIDE and len(block.sources) == 1 and readers[block.sources[0]] == [place]:
            line = line_of[block.sources[0]]
            head = rows[line].block.kind
            if head not in ENDS and not (head == "merge" and block.kind == "normalization"):
                rows[line] = replace(rows[line], beside=(*rows[line].beside, block))
                line_of[place] = line
                continue
        line_of[place] = len(rows)
        rows.append(Row(block, (), tuple(line_of[source] for source in block.sources)))
    return rows


def _collapsed(rows: list[Row]) -> tuple[list[Row], list[Repeat]]:
    """Return the rows with each run of equal parts reduced to the first of them."""
    signs = [_sign(rows, place) for place in range(len(rows))]
    new_place: dict[int, int] = {}
    kept: list[int] = []
    repeats: list[Repeat] = []
    place = 0
    while place < len(rows):
        length, times = _best_run(rows, signs, place)
        for offset in range(length):
            new_place[place + offset] = len(kept)
            kept.append(place + offset)
        if times > 1:
            end = place + length * (times - 1)
            name = _common(_name(rows[place : place + length]), _name(rows[end : end + length]))
            repeats.append(Repeat(len(kept) - length, len(kept) - 1, times, name))
            for later in range(place + length, place + length * times):
                new_place[later] = new_place[place + (later - place) % length]
        place += length * times
    made = [replace(rows[old], sources=tuple(new_place[source] for source in rows[old].sources)) for old in kept]
    for repeat in repeats:
        for new in range(repeat.first, repeat.last + 1):
            apart = (repeat.last + 1 - repeat.first) * (repeat.times - 1)
            made[new] = _spanning(made[new], rows[kept[new] + apart])
    return made, repeats


def _best_run(rows: Sequence[Row], signs: Sequence[object], start: int) -> tuple[int, int]:
    """Return how long the part that begins here is, and how often it stands here; (1, 1) where it does not repeat."""
    best, saved = (1, 1), SAVED - 1
    for length in range(1, (len(rows) - start) // 2 + 1):
        times = 1
        while list(signs[start : start + length]) == list(signs[start + length * times : start + length * (times + 1)]):
            times += 1
        if length * (times - 1) > saved and _is_closed(rows, start, length, times):
            best, saved = (length, times), length * (times - 1)
    return best


def _is_closed(rows: Sequence[Row], start: int, length: int, times: int) -> bool:
    """Return whether parts read each other's last row alone, and what comes after them that of the last part."""
    end = start + length * times
    for place in range(start, len(rows)):
        # Where the part of this row begins; what comes after the run is a part of its own.
        begins = end if place >= end else place - (place - start) % length
        for source in rows[place].sources:
            before = source < start and (place >= end or _is_given(rows, source))
            if source < begins - 1 and not before:
                return False
    return True


def _is_given(rows: Sequence[Row], place: int) -> bool:
    """Return whether a row is what all of several equal parts may read."""
    return rows[place].block.kind in ("condition", "parameter")


def _sign(rows: Sequence[Row], place: int) -> object:
    """Return what equal rows of different parts have in common: all but their names."""
    row = rows[place]
    sources = tuple((source, 0) if _is_given(rows, source) else (0, place - source) for source in row.sources)
    if row.block.kind in ENDS:
        return place  # equal to no other
    blocks = (row.block, *row.beside)
    return sources, tuple((_words(b), b.kind, b.shape, b.parameters) for b in blocks)


def _words(block: "Block") -> str:
    """Return a block's label; rates of dropout, which may rise from part to part, are left out."""
    return block.label.rpartition(" ")[0] if block.kind == "dropout" else block.label


def _spanning(first: Row, last: Row) -> Row:
    """Return the first of several equal rows, with rates of dropout as a range."""
    beside = tuple(
        one if one.label == other.label else replace(one, label=f"{one.label}–{other.label.rpartition(' ')[2]}")
        for one, other in zip(first.beside, last.beside, strict=True)
    )
    return replace(first, beside=beside)


def _name(rows: Sequence[Row]) -> list[str]:
    """Return the names of all modules of a part."""
    return [block.name for row in rows for block in (row.block, *row.beside) if block.name]


def _common(first: Sequence[str], last: Sequence[str]) -> str:
    """Return what the first and the last part are called: their names up to where they differ."""
    if not first or len(first) != len(last):
        return ""
    depths = []
    for one, other in zip(first, last, strict=True):
        pairs = list(zip(one.split("."), other.split("."), strict=False))
        differing = [depth for depth, (a, b) in enumerate(pairs) if a != b]
        if not differing:
            return ""
        depths.append(differing[0] + 1)
    names = [".".join(each[0].split(".")[: min(depths)]) for each in (first, last)]
    return names[0] if names[0] == names[1] else f"{names[0]} … {names[1]}"
