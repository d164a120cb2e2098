"""Answers about the rows of a file, as a stream: read, converted, computed, one block after another."""

import math
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import h5py
import numpy as np
import torch
from pydantic import ValidationError
from torch import Tensor

from dlcli.contracts.field import Field
from dlcli.contracts.importer import Importer
from dlcli.data.conversion import CellError, converted
from dlcli.data.finding import Finding, refuse
from dlcli.data.hdf5_rows import Hdf5Rows
from dlcli.data.matching import Match, match_part
from dlcli.data.row_source import Block, ImportedRows, RowSource
from dlcli.errors import DataError, DlcliError, UsageError
from dlcli.experiment.importing.importer_choice import choose_importer, fitting
from dlcli.experiment.models.interface import Interface
from dlcli.experiment.output_file import HDF5
from dlcli.experiment.prediction.predictor import Predictor, UnansweredError
from dlcli.experiment.prediction.rows import PredictedRows, predicted_rows
from dlcli.plugins import Plugins
from dlcli.registry import Registry
from dlcli.untrusted import reason

BATCH_SIZE, BATCH_BYTES = 1024, 32 * 2**20
"""Computed at once at most, where nobody says how many rows."""
BLOCK_BYTES = 8 * 2**20
"""Read at once, and answers written at once, about."""
BLOCK_ROWS = 2**16
"""Read at once at most, whatever a row's size: about answers Python objects are made."""


def open_rows(
    path: Path,
    predictor: Predictor,
    plugins: Plugins,
    *,
    format: str | None = None,
    settings: Mapping[str, Any] = MappingProxyType({}),
) -> RowSource:
    """Open a file to be read by blocks.

    An importer reads a file as it read the data that a model was trained on, where it was that importer: with the same
    delimiter, the same numbers that stand for missing ones, and so on.

    Args:
        path: HDF5, or what an installed importer reads.
        predictor: Whose fields are wanted.
        plugins: Where importers are.
        format: Name of the importer; None to go by the file.
        settings: Parameters of the importer that are to be others.

    Returns:
        Its rows.

    Raises:
        UsageError: Several importers read such files, or the importer takes no such parameters.
        DataError: It is missing, damaged or of a format that nothing reads.
    """
    if format is None and (path.suffix.lower() in HDF5 or (path.is_file() and h5py.is_hdf5(path))):
        if settings:
            raise UsageError("--set is for files that an importer reads; an HDF5 file is read as it is: leave it out")
        return Hdf5Rows(path, [field.name for field in predictor.interface.fields], predictor.mappings)
    name = format or fitting(path, plugins.registry)
    parameters = {**_remembered(predictor, path, name, plugins.registry), **settings}
    importer = choose_importer(path, name, parameters, plugins)
    return ImportedRows(importer.without_roles().taking(predictor.interface.fields), path)


def _remembered(predictor: Predictor, path: Path, name: str, registry: Registry) -> Mapping[str, Any]:
    """Return the parameters by which the training data was imported, where that was by this importer."""
    imported = predictor.imported or {}
    if imported.get("importer") != registry.component(Importer, name).name:
        return {}
    try:
        registry.component(Importer, {"name": name, **imported["parameters"]})
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise DataError(
            f"{predictor.name} says that its data was imported by {name} with {reason(place)}, which this version does "
            f"not take ({reason(first['msg'])}); make a dataset of {path} with dlcli data import, and predict that"
        ) from None
    return cast(Mapping[str, Any], imported["parameters"])


def match_source(fields: Sequence[Field], source: RowSource, split: str) -> dict[str, dict[str, Match]]:
    """Find what feeds each field of a model.

    Args:
        fields: What the model takes.
        source: The file.
        split: The split, or all.

    Returns:
        By name of the part, by name of the field.

    Raises:
        DataError: Something does not fit; everything is told at once.
        UsageError: There is no such split.
    """
    findings: list[Finding] = []
    found = {part.split: match_part(fields, part, findings) for part in source.chosen(split)}
    refuse(source.path, findings)
    return found


def answers(
    predictor: Predictor, source: RowSource, matches: Mapping[str, dict[str, Match]], split: str, batch_size: int | None
) -> Generator[PredictedRows, None, None]:
    """Ask about the rows of a file.

    Args:
        predictor: Who is asked.
        source: The file.
        matches: What `match_source` said.
        split: The split, or all.
        batch_size: How many rows are computed at once; None for `BATCH_SIZE`, or fewer where rows are large.

    Yields:
        PredictedRows: Answers, in the order of the file.

    Raises:
        DataError: The file is damaged, a value does not fit the model, or an answer is no number.
    """
    names = [field.name for field in predictor.interface.fields]
    for part in source.chosen(split):
        found = matches[part.split]
        row_bytes = max(1, sum(4 * math.prod(match.source.shape) for match in found.values()))
        batch = batch_size or max(1, min(BATCH_SIZE, BATCH_BYTES // row_bytes))
        size = max(1, min(BLOCK_ROWS, BLOCK_BYTES // row_bytes) // batch) * batch  # whole batches
        with closing(source.blocks(part, split, names, size)) as blocks:
            for block in blocks:
                yield from _of_block(predictor, found, block, batch, source)


def _of_block(
    predictor: Predictor, matches: Mapping[str, Match], block: Block, batch_size: int, source: RowSource
) -> Iterator[PredictedRows]:
    interface, path = predictor.interface, source.path
    try:
        tensors = _padded(interface, _tensors(matches, block, interface.missing))
    except CellError as error:
        raise _placed(error, source) from None
    valid = _valid(interface, tensors)
    pending: list[Mapping[str, Tensor]] = []
    first = stop = held = 0
    for begin in range(0, len(block.rows), batch_size):
        stop = min(begin + batch_size, len(block.rows))
        batch = {name: tensor[begin:stop] for name, tensor in tensors.items()}
        pending.append(_computed(predictor, matches, batch, path))
        held += sum(tensor.nbytes for tensor in pending[-1].values())
        if held >= BLOCK_BYTES or stop == len(block.rows):
            here = slice(first, stop)
            outputs = {name: torch.cat([found[name] for found in pending]) for name in pending[0]}
            splits = None if block.splits is None else block.splits[here]
            counted = None if valid is None else valid[here]
            try:
                answered = predicted_rows(interface, outputs, block.rows[here], splits, counted)
            except CellError as error:
                raise _placed(error, source) from None
            yield answered
            pending, first, held = [], stop, 0


def _placed(error: CellError, source: RowSource) -> DataError:
    """Return an error with the name of the file and, where rows are lines, with line and column."""
    line = source.line(error.row)
    if line is None:
        return DataError(f"{source.path}: {error}")
    column = "" if error.column is None else f", column {error.column!r}"
    return DataError(f"{source.path}, line {line}{column}: {error.told}")


def _tensors(matches: Mapping[str, Match], block: Block, missing: Sequence[str]) -> dict[str, Tensor]:
    steps = {name: match.source.shape[0] for name, match in matches.items() if match.source.shape}
    return {
        name: converted(match, block.arrays[name], block.rows, steps.get(match.field.of or ""), missing=name in missing)
        for name, match in matches.items()
    }


def _padded(interface: Interface, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Pad sequences with a length, and masks, to the steps that the model was trained on, as its data was padded."""
    lengths = {field.of for field in interface.fields if field.role == "length"}
    steps = {field.name: field.shape[0] for field in interface.fields if field.shape}
    found = dict(tensors)
    for field in interface.fields:
        if not interface.per_position and (field.name in lengths or (field.role == "mask" and lengths)):
            values = tensors[field.name]
            more = steps[field.name] - values.shape[1]
            if more > 0:
                found[field.name] = torch.cat([values, values.new_zeros(len(values), more, *values.shape[2:])], dim=1)
    return found


def _computed(
    predictor: Predictor, matches: Mapping[str, Match], batch: Mapping[str, Tensor], path: Path
) -> Mapping[str, Tensor]:
    other = [match for match in matches.values() if match.other_steps]
    unlisted = [match for match in matches.values() if match.field.kind == "tokens" and not match.field.classes]
    try:
        return predictor(batch)
    except Exception as error:
        if isinstance(error, DlcliError) and not isinstance(error, UnansweredError):
            raise
        # Whether a network can take them only it can tell, each in its own way.
        if other:
            match = other[0]
            raise DataError(
                f"{path}: {match.source.where} has {match.source.shape[0]} steps a row, and the model, trained on "
                f"{match.field.shape[0]}, cannot take them ({error}); pad or cut them to {match.field.shape[0]}"
            ) from error
        if unlisted and isinstance(error, IndexError):
            match = unlisted[0]
            most = int(batch[match.field.name].max())
            raise DataError(
                f"{path}: {match.source.where} holds {most}, which the model does not know ({error}); it was trained "
                "on smaller indices"
            ) from error
        raise


def _valid(interface: Interface, tensors: Mapping[str, Tensor]) -> np.ndarray | None:
    """Return which positions of rows are no padding, where there is an answer for each."""
    if not interface.per_position:
        return None
    mask = next((field for field in interface.fields if field.role == "mask"), None)
    if mask is not None:
        return tensors[mask.name].numpy().astype(bool)
    length = next((field for field in interface.fields if field.role == "length"), None)
    if length is None:
        return None
    steps = tensors[length.of or interface.fields[0].name].shape[1]
    return np.arange(steps) < tensors[length.name].numpy()[:, None]
