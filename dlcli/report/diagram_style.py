"""How blocks of a diagram look: colours that are told apart by everyone, sizes, and what is written on them."""

from typing import TYPE_CHECKING

from dlcli.report.figures import count_of, shape
from dlcli.report.svg import text_width

if TYPE_CHECKING:
    from dlcli.experiment.diagram.graph import Block, BlockKind
    from dlcli.report.diagram_rows import Row

COLOURS: dict["BlockKind", tuple[str, str]] = {
    "input": ("#f2f2f2", "#333333"),
    "condition": ("#fff7d6", "#9a7d0a"),
    "parameter": ("#f2f2f2", "#777777"),
    "embedding": ("#e6ddf1", "#6f4fa0"),
    "convolution": ("#d3e6f4", "#0072b2"),
    "affine": ("#fde9c4", "#c27c00"),
    "recurrent": ("#cdebdf", "#00785a"),
    "attention": ("#f5dcea", "#b05488"),
    "normalization": ("#e2f3fc", "#3a93c4"),
    "activation": ("#fbdccb", "#c04f00"),
    "pooling": ("#e6dacd", "#7a5c3e"),
    "dropout": ("#ececec", "#8a8a8a"),
    "merge": ("#ffffff", "#333333"),
    "shape": ("#ffffff", "#999999"),
    "other": ("#ffffff", "#666666"),
    "output": ("#f2f2f2", "#333333"),
}
"""Fill and edge of each kind."""
LEGEND: dict["BlockKind", str] = {
    "embedding": "embedding",
    "convolution": "convolution",
    "affine": "affine map",
    "recurrent": "recurrent",
    "attention": "attention",
    "normalization": "normalization",
    "activation": "activation",
    "pooling": "pooling",
    "dropout": "dropout",
    "condition": "condition",
}
"""What kinds are called below the diagram, where it has any of them."""
FADED = "#666666"
WIDTH, TALL, LOW = 366.0, 42.0, 26.0
"""Of a block: its width, and its height with and without a second line of text."""
LARGE, SMALL, CHIP = 12.0, 10.5, 11.0
"""Sizes of letters: of a first line, of a second one, and of what stands beside."""
PADDING = 10.0
TWO_LINES = frozenset({"input", "condition", "parameter", "output"})


def is_tall(row: "Row") -> bool:
    """Return whether a row has a second line: a name or parameters."""
    return bool(row.block.name and (row.parameters or row.block.kind in TWO_LINES))


def height_of(row: "Row") -> float:
    """Return the height of a row, in pixels."""
    return TALL if is_tall(row) else LOW


def chip_width(block: "Block") -> float:
    """Return the width of what stands beside a block."""
    return text_width(block.label, CHIP) + 2 * 7.0


def width_of(row: "Row") -> float:
    """Return the width of a row with all that stands beside its block."""
    return WIDTH + sum(chip_width(block) for block in row.beside)


def first_line(block: "Block") -> str:
    """Return what is written first on a block."""
    if block.kind in ("input", "condition"):
        return f"{block.kind} {block.name}"
    return f"parameter {block.name}" if block.kind == "parameter" else block.label


def second_line(block: "Block") -> str:
    """Return what is written below it."""
    return block.label if block.kind in ("input", "condition", "parameter") else block.name


def shape_text(block: "Block") -> str:
    """Return the shape of a block's output."""
    return shape(block.shape)


def parameters_text(row: "Row") -> str:
    """Return how many parameters a row has; nothing where it has none."""
    return count_of(row.parameters, "parameter") if row.parameters else ""
