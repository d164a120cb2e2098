"""`dlcli data folds`: folds of a dataset, to look at and to keep."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from dlcli.contracts.folds import FoldKind, digest
from dlcli.contracts.task import Task
from dlcli.data.kfold import FoldPlan, cross_validation, settled_kind, told
from dlcli.data.read_labels import read_labels
from dlcli.errors import UsageError
from dlcli.experiment.fold_file import write_folds
from dlcli.experiment.output_file import check_output, refuse_existing


@dataclass(frozen=True)
class FoldRow:
    """One fold.

    Args:
        number: Its number, from 0.
        held_out: How many rows it holds out.
        training: How many are trained on, those that decide the best epoch included.
        classes: How many held-out rows each class has, in the order of the classes; empty where there are none.
        groups: The groups of its held-out rows, in order; empty where there are none.
        first: Its first held-out row.
        last: Its last.
    """

    number: int
    held_out: int
    training: int
    classes: tuple[int, ...]
    groups: tuple[str, ...]
    first: int
    last: int


@dataclass(frozen=True)
class MadeFolds:
    """Folds that were made.

    Args:
        file: The dataset.
        output: Where they were left; None where nowhere.
        made: How, such as `5 stratified folds, seed 0`.
        kind: How rows are divided.
        sha256: What tells them from others.
        rows: How many rows they are made of.
        classes: Names of the classes; empty where there are none.
        folds: Each of them.
    """

    file: Path
    output: Path | None
    made: str
    kind: FoldKind
    sha256: str
    rows: int
    classes: tuple[str, ...]
    folds: tuple[FoldRow, ...]

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        table = {**vars(self), "file": str(self.file), "output": None if self.output is None else str(self.output)}
        rows = [{key: list(v) if isinstance(v, tuple) else v for key, v in vars(fold).items()} for fold in self.folds]
        return {**table, "classes": list(self.classes), "folds": rows}


def data_folds(
    file: Path,
    output: Path | None = None,
    *,
    kfold: int = 5,
    kind: str | None = None,
    repeats: int = 1,
    gap: int = 0,
    seed: int = 0,
    task: str | None = None,
    overwrite: bool = False,
) -> MadeFolds:
    """Make folds of a dataset's training and validation rows; inputs and test rows are not looked at.

    Args:
        file: The dataset.
        output: Where to leave them as JSON, for `data.folds.file`; None to look at them only.
        kfold: How many, ≥ 2.
        kind: How rows are divided; None: as the data wants.
        repeats: How often they are divided anew, ≥ 1.
        gap: Rows between training and held-out rows in the order of time, ≥ 0.
        seed: Decides the rows, ≥ 0.
        task: The task, where the target does not say it.
        overwrite: Whether a file that is there already may be replaced.

    Returns:
        The folds.

    Raises:
        UsageError: A number or name that is none.
        DataError: The file cannot be read, or not be divided so.
        StorageError: The output cannot be written.
    """
    kinds: tuple[FoldKind, ...] = get_args(FoldKind)
    chosen = next((one for one in kinds if one == kind), None)
    if kind is not None and chosen is None:
        raise UsageError(f"--kind is one of {', '.join(kinds)}, got {kind!r}")
    if task is not None and task not in list(Task):
        raise UsageError(f"--task is one of {', '.join(Task)}, got {task!r}")
    for name, value, least in (
        ("--kfold", kfold, 2),
        ("--repeats", repeats, 1),
        ("--gap", gap, 0),
        ("--seed", seed, 0),
    ):
        if value < least:
            raise UsageError(f"{name} is {least} at least, got {value}")
    if output is not None:
        check_output(output, file)
        refuse_existing(output, overwrite=overwrite)
    dataset = read_labels(file, task=None if task is None else Task(task))
    plan = FoldPlan(kfold, chosen, repeats=repeats, gap=gap)
    folds = cross_validation(dataset, plan, seed=seed, inner=None)
    made = told(dataset, plan, seed)
    if output is not None:
        write_folds(output, folds, dataset, made)
    one_class = dataset.task in (Task.BINARY, Task.MULTICLASS) and not dataset.per_position
    labels = dataset.tensors[dataset.target.name].reshape(dataset.rows).long() if one_class else None
    groups = next((dataset.tensors[field.name] for field in dataset.by_role("group")), None)
    named = next((field.classes for field in dataset.by_role("group")), ())
    rows = []
    for number, fold in enumerate(folds):
        counted = Counter() if labels is None else Counter(labels[fold.held_out].tolist())
        codes = [] if groups is None else sorted(set(groups[fold.held_out].tolist()))
        own = tuple(str(named[code]) if named else str(code) for code in codes)
        classes = tuple(counted[place] for place in range(len(dataset.target.classes))) if one_class else ()
        first, last = int(fold.held_out[0]), int(fold.held_out[-1])
        rows.append(FoldRow(number, len(fold.held_out), len(fold.training), classes, own, first, last))
    count = sum(len(part) for name, part in dataset.splits.items() if name != "test")
    names = dataset.target.classes if one_class else ()
    return MadeFolds(file, output, made, settled_kind(dataset, plan), digest(folds), count, names, tuple(rows))
