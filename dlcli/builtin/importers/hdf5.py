"""The importer `hdf5`."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, final

import numpy as np
from pydantic import Field

import dlcli
from dlcli import TEXTS, DataError, Importer, Role, SourceField, UsageError

if TYPE_CHECKING:
    import h5py  # loaded by who reads a file, not by who lists the importers

_BLOCK_BYTES = 32 * 2**20
"""Read at once from one dataset at most."""
_SHOWN = 12
"""Datasets that an error lists."""


@final
class HDF5(Importer):
    """Reads HDF5 files of another layout than ours, also MATLAB's of version 7.3.

    `inputs`, `target` and `group` are paths of datasets; where the file has splits, below the groups that `train`,
    `val` and `test` name. A single input becomes `x`, several keep their names. Where neither inputs nor target are
    said, a file of two datasets, one of them with one value a row, is taken as input and target. Links are followed
    inside the file only, and values are numbers or texts.

    Args:
        inputs: Datasets to learn from.
        target: Dataset to predict.
        group: Dataset that tells which rows belong together.
        train: Group that holds the training rows; None where the file has no splits.
        val: Group that holds the validation rows.
        test: Group that holds the test rows.
        axes: Where rows are: the first dimension, the last, or the last with all dimensions in reverse (MATLAB).
        channels_first: Whether images have their channels before height and width.
    """

    name: ClassVar[str] = "hdf5"
    suffixes: ClassVar[tuple[str, ...]] = (".h5", ".hdf5", ".hdf", ".he5", ".mat")

    inputs: tuple[str, ...] = Field(default=(), description="Datasets to learn from")
    target: str | None = Field(default=None, description="Dataset to predict")
    group: str | None = Field(default=None, description="Dataset that tells which rows belong together")
    train: str | None = Field(default=None, description="Group that holds the training rows; None for no splits")
    val: str | None = Field(default=None, description="Group that holds the validation rows")
    test: str | None = Field(default=None, description="Group that holds the test rows")
    axes: Literal["rows_first", "rows_last", "reversed"] = Field(
        default="rows_first", description="Where rows are: first, last, or last with all dimensions in reverse"
    )
    channels_first: bool = Field(
        default=False, description="Whether images have their channels before height and width"
    )

    def fields(self, source: Path) -> tuple[SourceField, ...]:
        """Return the datasets that were asked for, or those that are there without doubt.

        Args:
            source: The file.

        Returns:
            Inputs, target and group.

        Raises:
            DataError: It is missing, damaged, or a dataset leads out of it, holds other things than numbers and texts,
                or differs between the splits.
            UsageError: Which dataset is what must be said.
        """
        import h5py

        with dlcli.open_hdf5(source) as file:
            found = []
            for name, path, role in self._roles(file, source):
                first, *others = (dlcli.hdf5_dataset(file, f"{part}/{path}") for part in self._parts)
                shape = self._row_shape(first, source)
                for other in others:
                    if self._row_shape(other, source) != shape or other.dtype != first.dtype:
                        raise DataError(
                            f"{source}: rows of {other.name} are {self._row_shape(other, source)} {other.dtype}, those "
                            f"of {first.name} {shape} {first.dtype}; splits must be alike"
                        )
                rows = sum(self._rows(dataset) for dataset in (first, *others))
                kind: Literal["image"] | None = "image" if self._is_image(shape, role) else None
                if kind and self.channels_first:
                    shape = (*shape[1:], shape[0])
                texts = h5py.check_string_dtype(first.dtype) is not None
                dtype = TEXTS if texts else first.dtype.newbyteorder("=").name
                found.append(SourceField(name, path, shape, dtype, rows, kind, role=role))
        return tuple(found)

    def chunks(self, source: Path, fields: Sequence[SourceField], rows: int) -> Iterator[Mapping[str, np.ndarray]]:
        """Return rows in order, split after split.

        Args:
            source: The file.
            fields: Those to read.
            rows: How many at a time, at most.

        Yields:
            Mapping[str, np.ndarray]: One array a field and time.

        Raises:
            DataError: It is damaged, a field has other rows than the rest, or a text is not UTF-8.
        """
        with dlcli.open_hdf5(source) as file:
            for part in self._parts:
                datasets = {field.name: dlcli.hdf5_dataset(file, f"{part}/{field.where}") for field in fields}
                counts = {name: self._rows(dataset) for name, dataset in datasets.items()}
                if len(set(counts.values())) > 1:
                    told = ", ".join(f"{name} {count}" for name, count in counts.items())
                    raise DataError(f"{source}: {part or 'it'} has fields of different numbers of rows: {told}")
                widest = max(
                    math.prod(field.shape) * dataset.dtype.itemsize
                    for field, dataset in zip(fields, datasets.values(), strict=True)
                )
                step = max(1, min(rows, _BLOCK_BYTES // max(1, widest)))
                for start in range(0, next(iter(counts.values())), step):
                    yield {f.name: self._block(datasets[f.name], f, start, start + step, source) for f in fields}

    def splits(self, source: Path) -> Mapping[str, np.ndarray]:
        """Return the rows of each split that has a group of its own.

        Args:
            source: The file.

        Returns:
            Row numbers by split; empty where no group was named.
        """
        if not self._named:
            return {}
        with dlcli.open_hdf5(source) as file:
            path = self._roles(file, source)[0][1]
            counts = [self._rows(dlcli.hdf5_dataset(file, f"{part}/{path}")) for part in self._parts]
        ends = np.cumsum(counts)
        return {split: np.arange(end - count, end) for split, count, end in zip(self._named, counts, ends, strict=True)}

    @property
    def _named(self) -> dict[str, str]:
        """The groups of the splits."""
        given = {"train": self.train, "val": self.val, "test": self.test}
        return {split: group for split, group in given.items() if group is not None}

    @property
    def _parts(self) -> tuple[str, ...]:
        return tuple(self._named.values()) or ("",)

    def _roles(self, file: "h5py.File", source: Path) -> list[tuple[str, str, Role]]:
        """Return name, path and role of every dataset that is wanted."""
        if self._named and self.train is None:
            raise UsageError("--set train=GROUP says where the training rows are; val and test alone are no dataset")
        inputs, target = self.inputs, self.target
        if not inputs:
            inputs, target = self._guessed(file, source)
        names = ["x"] if len(inputs) == 1 else [path.rstrip("/").rpartition("/")[2] for path in inputs]
        if twice := [name for name in names if names.count(name) > 1 or (name in ("y", "group") and len(names) > 1)]:
            raise UsageError(f"inputs: two datasets would be called {twice[0]!r}; rename one, or leave one out")
        found: list[tuple[str, str, Role]] = [(n, path, "input") for n, path in zip(names, inputs, strict=True)]
        if target is not None:
            found.append(("y", target, "target"))
        if self.group is not None:
            found.append(("group", self.group, "group"))
        return found

    def _guessed(self, file: "h5py.File", source: Path) -> tuple[tuple[str, ...], str | None]:
        """Return inputs and target of a file that leaves no doubt."""
        part = self._parts[0].strip("/")
        prefix = f"{part}/" if part else ""
        below = [name.removeprefix(prefix) for name in dlcli.dataset_names(file) if name.startswith(prefix)]
        shapes = {name: self._row_shape(dlcli.hdf5_dataset(file, f"{part}/{name}"), source) for name in below}
        others = [name for name in below if name != self.target]
        if self.target is not None and len(others) == 1:
            return (others[0],), self.target
        single = [name for name in below if math.prod(shapes[name]) == 1]
        if self.target is None and len(below) == 2 and len(single) == 1:
            return tuple(name for name in below if name not in single), single[0]
        listed = ", ".join(f"{name} {shapes[name]}" for name in below[:_SHOWN]) + (", …" if len(below) > _SHOWN else "")
        raise UsageError(
            f"which datasets of {source} are inputs, which one is the target? Say so with --set "
            f"'inputs=[\"PATH\"]' --target PATH, and with --set train=GROUP where splits are groups; datasets, and the "
            f"shapes of their rows: {listed or 'none'}"
        )

    def _rows(self, dataset: "h5py.Dataset") -> int:
        count: int = dataset.shape[0 if self.axes == "rows_first" else -1]
        return count

    def _row_shape(self, dataset: "h5py.Dataset", source: Path) -> tuple[int, ...]:
        if not dataset.shape:
            raise DataError(f"{source}: {dataset.name} is a single value; rows are wanted")
        shape: tuple[int, ...] = dataset.shape[1:] if self.axes == "rows_first" else dataset.shape[:-1]
        return shape[::-1] if self.axes == "reversed" else shape

    def _is_image(self, shape: tuple[int, ...], role: Role) -> bool:
        return self.channels_first and len(shape) == 3 and role == "input"

    def _block(self, dataset: "h5py.Dataset", field: SourceField, start: int, stop: int, source: Path) -> np.ndarray:
        place = np.s_[start:stop] if self.axes == "rows_first" else np.s_[..., start:stop]
        values: np.ndarray = dataset[place]
        if self.axes != "rows_first":
            values = values.T if self.axes == "reversed" else np.moveaxis(values, -1, 0)
        if field.kind == "image":
            values = np.moveaxis(values, 1, -1)
        if field.dtype != TEXTS:
            return np.ascontiguousarray(values, dtype=field.dtype)
        try:
            texts = [text.decode() if isinstance(text, bytes) else str(text) for text in values.reshape(-1).tolist()]
        except UnicodeDecodeError as cause:
            where = f"{source}: {dataset.name}, rows {start} to {stop}"
            raise DataError(f"{where}: a text is not UTF-8: {cause}; write it anew") from None
        return np.array(texts, dtype=str).reshape(values.shape)
