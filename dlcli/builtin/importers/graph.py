from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, final

import numpy as np
from pydantic import Field

from dlcli import DataError, Importer, SourceField
from dlcli.builtin.importers.npz import NPZ

_SPLITS = ("train", "val", "test")


@final
class Graph(Importer):
    """Reads one graph from NumPy's `.npz`: nodes as rows, their target, edges, and which nodes are in which split.

    Arrays `train`, `val` and `test` are row numbers, or true and false for every node. Edges, E×2 or 2×E, become
    `/graph/edges` (2×E, int64).

    Args:
        target: Array of the nodes' targets.
        features: Array of the nodes' features.
        edges: Array of edges, pairs of nodes.
    """

    name: ClassVar[str] = "graph"
    suffixes: ClassVar[tuple[str, ...]] = ()

    target: str = Field(default="y", description="Array of the nodes' targets")
    features: str = Field(default="x", description="Array of the nodes' features")
    edges: str = Field(default="edges", description="Array of edges, pairs of nodes")

    def fields(self, source: Path) -> tuple[SourceField, ...]:
        """Return the nodes' features and targets.

        Args:
            source: The archive.

        Returns:
            `x` and `y`.

        Raises:
            DataError: It is missing, damaged, or lacks an array.
        """
        there = self._there(source)
        x = replace(there[self.features], name="x", kind="features", role="input")
        return x, replace(there[self.target], name="y", role="target")

    def chunks(self, source: Path, fields: Sequence[SourceField], rows: int) -> Iterator[Mapping[str, np.ndarray]]:
        """Return nodes in order, some at a time.

        Args:
            source: The archive.
            fields: Those to read.
            rows: How many at a time.

        Yields:
            Mapping[str, np.ndarray]: One array a field and time.
        """
        yield from NPZ().chunks(source, fields, rows)

    def splits(self, source: Path) -> Mapping[str, np.ndarray]:
        """Return the splits that the archive has.

        Args:
            source: The archive.

        Returns:
            Row numbers of each.
        """
        there = self._there(source)
        found = {name: _whole(source, there[name]) for name in _SPLITS if name in there}
        return {name: np.flatnonzero(v) if v.dtype == bool else v.astype(np.int64) for name, v in found.items()}

    def shared(self, source: Path) -> Mapping[str, np.ndarray]:
        """Return the edges.

        Args:
            source: The archive.

        Returns:
            `graph/edges`, 2×E.

        Raises:
            DataError: They are no pairs of nodes.
        """
        there = self._there(source)
        edges, nodes = _whole(source, there[self.edges]), there[self.features].rows or 0
        if edges.ndim != 2 or 2 not in edges.shape or edges.dtype.kind not in "iu":
            raise DataError(f"{source}: {self.edges} are pairs of node numbers, E×2 or 2×E; got {edges.shape}")
        pairs = edges.astype(np.int64) if edges.shape[0] == 2 else edges.T.astype(np.int64)
        if pairs.size and (pairs.min() < 0 or pairs.max() >= nodes):
            raise DataError(f"{source}: {self.edges} names node {pairs.max()}, but nodes are 0 to {nodes - 1}")
        return {"graph/edges": pairs}

    def _there(self, source: Path) -> dict[str, SourceField]:
        there = {field.name: field for field in NPZ().fields(source)}
        for name in (self.features, self.target, self.edges):
            if name not in there:
                raise DataError(
                    f"{source} has no array {name!r}; there are {', '.join(there)}: --set edges=NAME says which"
                )
        return there


def _whole(source: Path, field: SourceField) -> np.ndarray:
    return np.concatenate([chunk[field.name] for chunk in NPZ().chunks(source, [field], 2**20)])
