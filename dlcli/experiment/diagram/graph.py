"""A network as a graph of what is done to tensors."""

from dataclasses import dataclass
from typing import Literal

BlockKind = Literal[
    "input",
    "condition",
    "parameter",
    "embedding",
    "convolution",
    "affine",
    "recurrent",
    "attention",
    "normalization",
    "activation",
    "pooling",
    "dropout",
    "merge",
    "shape",
    "other",
    "output",
]


@dataclass(frozen=True)
class Block:
    """One thing that is done to tensors, or where they come from or go.

    Args:
        name: Name of the module, or of the field; empty for what no module does.
        label: What it does, such as `Conv2d 3×3, 16 → 32`.
        kind: What sort of thing it is.
        shape: Shape of its output for one row, without the batch dimension.
        parameters: Numbers that it learns.
        sources: Places of the earlier blocks whose outputs it takes, in order.
    """

    name: str
    label: str
    kind: BlockKind
    shape: tuple[int, ...]
    parameters: int
    sources: tuple[int, ...]


@dataclass(frozen=True)
class NetworkGraph:
    """A network as a graph.

    Args:
        title: The recipe's name and its architecture.
        blocks: In the order in which a batch passes through; inputs first, the output last.
        parameters: Numbers that the whole network learns.
    """

    title: str
    blocks: tuple[Block, ...]
    parameters: int
