from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, final

import numpy as np
from pydantic import Field

from dlcli import DataError, Importer, Role, SourceField
from dlcli.builtin.importers.array_archive import read_headers, read_rows

_SPLITS = ("train", "val", "test")
_EDGES = ("edges", "edge_index")


@final
class Graph(Importer):
    """Reads one graph from NumPy's `.npz`: nodes as rows, their target, edges, and which nodes are in which split.

    Arrays `train`, `val` and `test`, or `train_mask`, `val_mask` and `test_mask`, are row numbers, or true and false
    for every node. Edges, E×2 or 2×E, become `/graph/edges` (2×E, int64).

    Args:
        target: Array of the nodes' targets.
        features: Array of the nodes' features.
        edges: Array of edges, pairs of nodes; None for `edges` or `edge_index`.
    """

    name: ClassVar[str] = "graph"
    suffixes: ClassVar[tuple[str, ...]] = ()

    target: str = Field(default="y", description="Array of the nodes' targets")
    features: str = Field(default="x", description="Array of the nodes' features")
    edges: str | None = Field(
        default=None, description="Array of edges, pairs of nodes; None for `edges` or `edge_index`"
    )

    def fields(self, source: Path) -> tuple[SourceField, ...]:
        """Return the nodes' features and targets.

        Args:
            source: The archive.

        Returns:
            `x` and `y`.

        Raises:
            DataError: It is missing, damaged, or lacks an array.
        """
        headers = read_headers(source)
        roles: dict[str, tuple[str, Role]] = {"features": ("x", "input"), "target": ("y", "target")}
        found = []
        for parameter, (name, role) in roles.items():
            array = self._array(source, parameter, headers)
            shape = headers[array].shape
            if not shape:
                raise DataError(f"{source}: {array} holds a single value; there must be one row a node")
            found.append(SourceField(name, array, shape[1:], headers[array].holds, shape[0], role=role))
        x, y = found
        return replace(x, kind="features"), y

    def chunks(self, source: Path, fields: Sequence[SourceField], rows: int) -> Iterator[Mapping[str, np.ndarray]]:
        """Return nodes in order, some at a time.

        Args:
            source: The archive.
            fields: Those to read.
            rows: How many at a time.

        Yields:
            Mapping[str, np.ndarray]: One array a field and time.
        """
        yield from read_rows(source, {field.name: field.where for field in fields}, rows)

    def splits(self, source: Path) -> Mapping[str, np.ndarray]:
        """Return the splits that the archive has.

        Args:
            source: The archive.

        Returns:
            Row numbers of each.

        Raises:
            DataError: There are two arrays for one split, or one is neither row numbers nor true and false for every
                node.
        """
        headers = read_headers(source)
        nodes = headers[self._array(source, "features", headers)].shape[0]
        found = {}
        for name in _SPLITS:
            there = [array for array in _split_arrays(name) if array in headers]
            if len(there) > 1:
                raise DataError(
                    f"{source} has both {' and '.join(there)}; keep the one that says which nodes {name} has"
                )
            for array in there:
                found[name] = _node_numbers(f"{source}: {array}", _whole(source, array), nodes)
        return found

    def shared(self, source: Path) -> Mapping[str, np.ndarray]:
        """Return the edges.

        Args:
            source: The archive.

        Returns:
            `graph/edges`, 2×E.

        Raises:
            DataError: They are no pairs of nodes.
        """
        headers = read_headers(source)
        array = self._array(source, "edges", headers)
        nodes = headers[self._array(source, "features", headers)].shape[0]
        edges = _whole(source, array)
        if edges.ndim != 2 or 2 not in edges.shape or edges.dtype.kind not in "iu":
            raise DataError(
                f"{source}: {array} must hold pairs of node numbers, integers E×2 or 2×E; it holds {edges.dtype} of "
                f"shape {edges.shape}"
            )
        pairs = edges.astype(np.int64) if edges.shape[0] == 2 else edges.T.astype(np.int64)
        wrong = ((pairs < 0) | (pairs >= nodes)).any(axis=0)
        if wrong.any():
            place = int(wrong.argmax())
            first, second = pairs[:, place].tolist()
            raise DataError(
                f"{source}: edge {place} of {array} is {first} to {second}, but nodes are 0 to {nodes - 1}; correct "
                "it, or leave it out"
            )
        return {"graph/edges": pairs}

    def notes(self, source: Path) -> tuple[str, ...]:
        """Return which arrays are left out.

        Args:
            source: The archive.

        Returns:
            One sentence, where there are any.
        """
        headers = read_headers(source)
        used = {self._array(source, parameter, headers) for parameter in ("features", "target", "edges")}
        used.update(array for name in _SPLITS for array in _split_arrays(name))
        unused = [array for array in headers if array not in used]
        return (f"left out: {', '.join(unused)}",) if unused else ()

    def _array(self, source: Path, parameter: str, headers: Mapping[str, object]) -> str:
        """Return the name of the array that a parameter asks for."""
        asked: str | None = getattr(self, parameter)
        names = (asked,) if asked is not None else _EDGES
        there = [name for name in names if name in headers]
        if len(there) != 1:
            has = f"both {' and '.join(there)}" if there else f"no array {' or '.join(map(repr, names))}"
            raise DataError(
                f"{source} has {has}; there are {', '.join(headers)}: say which holds the {parameter} with "
                f"--set {parameter}=NAME"
            )
        return there[0]


def _split_arrays(name: str) -> tuple[str, str]:
    """Return what the array of a split may be called."""
    return name, f"{name}_mask"


def _node_numbers(where: str, values: np.ndarray, nodes: int) -> np.ndarray:
    """Return the nodes of a split from their numbers, or from true and false for every node."""
    if values.ndim == 1 and values.dtype == bool:
        if len(values) != nodes:
            raise DataError(f"{where} says true or false for {len(values)} nodes, but there are {nodes}")
        return np.flatnonzero(values)
    if values.ndim != 1 or values.dtype.kind not in "iu":
        raise DataError(
            f"{where} must hold node numbers, or true and false for every node; it holds {values.dtype} of shape "
            f"{values.shape}"
        )
    if len(values) == nodes > 2 and values.max() <= 1:
        raise DataError(f"{where} holds 0 and 1 for every node, as integers; store true and false: mask.astype(bool)")
    return values.astype(np.int64)


def _whole(source: Path, array: str) -> np.ndarray:
    headers = read_headers(source)
    blocks = [block[array] for block in read_rows(source, {array: array}, 2**20)]
    return np.concatenate(blocks) if blocks else np.empty(headers[array].shape, headers[array].dtype)
