"""The use case behind `dlcli data import`: a foreign format to a dataset, in bounded memory."""

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dlcli import atomic
from dlcli.contracts.importer import Importer, SourceField
from dlcli.data.row_source import ImportedRows
from dlcli.errors import DataError, UsageError
from dlcli.experiment.importing.division import DEFAULT_VAL, Division, Wanted, divide, own_division
from dlcli.experiment.importing.fields import READ_ROWS, as_stored, refuse_values, settle_fields
from dlcli.experiment.importing.importer_choice import choose_importer
from dlcli.experiment.importing.writer import dataset_writer
from dlcli.experiment.output_file import check_dataset_output
from dlcli.plugins import Plugins, load_plugins

Progress = Callable[[str, int, int | None], None]
"""Is told what is being done, how many rows are done, and of how many; None where that is not known."""


@dataclass(frozen=True)
class Imported:
    """What became of an import.

    Args:
        source: The file or folder.
        output: The new dataset; None where it was only looked at.
        importer: Name of the importer.
        fields: What there is.
        splits: Number of rows of each split; empty where rows were not divided.
        rows: Number of rows.
        how: How rows were divided, in words.
        notes: What was found out rather than told.
        seconds: How long it took.
        bytes: Size of the new file.
    """

    source: Path
    output: Path | None
    importer: str
    fields: tuple[SourceField, ...]
    splits: Mapping[str, int]
    rows: int
    how: str
    notes: tuple[str, ...]
    seconds: float
    bytes: int | None

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "source": str(self.source),
            "output": None if self.output is None else str(self.output),
            "importer": self.importer,
            "rows": self.rows,
            "splits": dict(self.splits),
            "divided": self.how,
            "fields": [
                {key: list(value) if isinstance(value, tuple) else value for key, value in vars(field).items()}
                for field in self.fields
            ],
            "notes": list(self.notes),
            "seconds": self.seconds,
            "bytes": self.bytes,
        }


def import_data(
    source: str | Path,
    output: str | Path | None = None,
    *,
    format: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    split: str | None = None,
    test: float | None = None,
    stratify: bool | None = None,
    seed: int = 0,
    licence: str | None = None,
    overwrite: bool = False,
    dry_run: bool = False,
    plugins: Plugins | None = None,
    progress: Progress | None = None,
) -> Imported:
    """Turn a file or folder of a foreign format into a dataset; the source is only read.

    Args:
        source: The file or folder.
        output: The dataset, `.h5` or `.hdf5`. Not needed for a dry run.
        format: Name of the importer; None to go by the source.
        parameters: The importer's parameters that are not to have their default.
        split: Share of the rows for `val`, or `none`; None: what the source itself says, else 0.2.
        test: Share of the rows for `test`.
        stratify: Whether to divide by class; None: where there is one class a row, and neither groups nor time.
        seed: Decides which rows go where, ≥ 0.
        licence: The data's licence, kept in the file.
        overwrite: Whether a dataset that is there already may be replaced.
        dry_run: Whether only to look.
        plugins: Loaded plugins; loaded here where None.
        progress: Is told how it goes on.

    Returns:
        What became of it.

    Raises:
        UsageError: No importer fits, or options contradict one another.
        DataError: The source is missing, damaged or not what it is taken for.
        StorageError: The dataset cannot be written; nothing is left of it.
    """
    path, target = Path(source), None if output is None or dry_run else Path(output)
    share = _share("--split", split, none=True)
    _share("--test", test)
    if seed < 0:
        raise UsageError(f"--seed is 0 or more; got {seed}")
    if target is not None:
        check_dataset_output(target, path, overwrite=overwrite)
    elif not dry_run:
        raise UsageError("say where to write the dataset, -o out.h5; or only look, with --dry-run")
    tell = progress or (lambda what, done, total: None)
    start = time.perf_counter()
    importer = choose_importer(path, format, parameters or {}, plugins or load_plugins())
    tell("looking", 0, None)
    rows = ImportedRows(importer, path)
    fields = settle_fields(importer, path, rows)
    total = fields[0].rows or 0
    own = importer.splits(path)
    if own and (split is not None or test is not None):
        raise UsageError(f"{path} makes its own splits ({', '.join(own)}); leave --split and --test out")
    tell("dividing", 0, None)
    wanted = Wanted(DEFAULT_VAL if split is None else share, test, stratify, importer.ordered, seed)
    division = own_division(path, own, total) if own else divide(path, rows, fields, wanted)
    missing: Counter[str] = Counter()
    if target is not None:
        _write(target, path, importer, rows, fields, division, licence, tell, missing)
    else:
        _look(path, rows, fields, total, tell, missing)
    fields = tuple(
        replace(field, missing=(missing[field.name],), names=field.names or (field.name,))
        if missing[field.name] and not field.missing
        else field
        for field in fields
    )
    return Imported(
        source=path,
        output=target,
        importer=importer.name,
        fields=fields,
        splits=division.counts,
        rows=total,
        how=division.how,
        notes=(*importer.notes(path), *(f"{field.name}: {field.note}" for field in fields if field.note)),
        seconds=time.perf_counter() - start,
        bytes=None if target is None else target.stat().st_size,
    )


def _write(
    target: Path,
    source: Path,
    importer: Importer,
    rows: ImportedRows,
    fields: tuple[SourceField, ...],
    division: Division,
    licence: str | None,
    tell: Progress,
    missing: Counter[str],
) -> None:
    shared = importer.shared(source)
    facts = {"origin": source.name, "importer": importer.name, "parameters": importer.settled(source).model_dump_json()}
    if source.is_file():
        facts["origin_sha256"] = _sha256(source)
    if licence:
        facts["licence"] = licence
    total = len(division.membership)
    names = [field.name for field in fields]

    def fill(temporary: Path) -> None:
        together = bool(shared) or not division.splits or bool((division.membership < 0).any())
        with dataset_writer(temporary, fields, division, together=together) as writer:
            done = 0
            for arrays in rows.arrays(rows.parts[0], names, READ_ROWS):
                _check(source, fields, arrays, done, missing)
                writer.write({field.name: as_stored(field, arrays[field.name]) for field in fields})
                done += len(arrays[names[0]])
                tell("writing", done, total)
            if done != total:
                raise DataError(f"{source} has {done} rows now, but had {total} a moment ago; import it again")
            writer.close(shared, facts)

    atomic.write_file(target, fill)


def _look(
    source: Path,
    rows: ImportedRows,
    fields: Sequence[SourceField],
    total: int,
    tell: Progress,
    missing: Counter[str],
) -> None:
    """Read all values, so that a dry run tells what an import would."""
    done = 0
    for arrays in rows.arrays(rows.parts[0], [field.name for field in fields], READ_ROWS):
        _check(source, fields, arrays, done, missing)
        done += len(arrays[fields[0].name])
        tell("looking", done, total)


def _check(
    source: Path,
    fields: Sequence[SourceField],
    arrays: Mapping[str, np.ndarray],
    done: int,
    missing: Counter[str],
) -> None:
    """Refuse values that no network takes, and count the missing ones."""
    for field in fields:
        values = arrays[field.name]
        refuse_values(source, field, values, done)
        if values.dtype.kind == "f":
            missing[field.name] += int(np.isnan(values).sum())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _share(option: str, text: str | float | None, *, none: bool = False) -> float | None:
    if text is None or (none and text == "none"):
        return None
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 < share < 1:
        raise UsageError(f"{option} is a share of the rows between 0 and 1{', or none' * none}; got {text}")
    return share
