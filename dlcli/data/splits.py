"""Which rows belong to which split: as the file says, and made from training rows where it says nothing."""

from collections.abc import Mapping

import torch
from torch import Tensor

from dlcli.contracts.task import Task
from dlcli.data.finding import Finding, error
from dlcli.data.folds import shuffle_split
from dlcli.data.inspection import Inspection
from dlcli.data.values import row_findings
from dlcli.errors import DataError

DEFAULT_VAL = 0.2
"""Share of the training rows that become `val` where the file has none."""


def file_splits(inspection: Inspection) -> tuple[dict[str, Tensor], list[Finding]]:
    """Return the splits that the file has; a flat file has only `train`, all rows.

    Args:
        inspection: What is in the open file.

    Returns:
        Row numbers of every split, int64, and what is wrong with datasets of row numbers.
    """
    findings: list[Finding] = []
    sizes = inspection.sizes
    if not sizes:
        return {}, findings
    if inspection.layout.form == "groups":
        bounds = torch.tensor([0, *sizes.values()]).cumsum(0).tolist()
        return {part: torch.arange(bounds[i], bounds[i + 1]) for i, part in enumerate(sizes)}, findings
    total = sum(sizes.values())
    if inspection.layout.form == "flat":
        return {"train": torch.arange(total)}, findings
    found: dict[str, Tensor] = {}
    for split, dataset in inspection.layout.indices.items():
        where = f"splits/{split}"
        if dataset.dtype.kind not in "ui" or dataset.ndim != 1 or not dataset.size:
            findings.append(
                error(where, f"row numbers are one integer each, N; got {dataset.dtype} of shape {dataset.shape}")
            )
            continue
        rows = torch.from_numpy(dataset[...].astype("int64"))
        findings.extend(row_findings(where, rows, total))
        for other, theirs in found.items():
            if len(shared := rows[torch.isin(rows, theirs)]):
                findings.append(
                    error(
                        where,
                        f"{len(shared)} rows are also in splits/{other}, such as {int(shared[0])}; a row "
                        "belongs to one split",
                    )
                )
        found[split] = rows
    return found, findings


def complete_splits(
    splits: Mapping[str, Tensor],
    *,
    val: float | None,
    test: float | None,
    stratify: bool | None,
    seed: int,
    target: Tensor,
    classes: tuple[str, ...],
    task: Task,
    per_position: bool,
    groups: Tensor | None,
) -> dict[str, Tensor]:
    """Make the splits that are missing from training rows.

    Args:
        splits: The splits of the file.
        val: Share of the training rows for `val`; None for the default, 0 for none.
        test: Share of the training rows for `test`; None for none.
        stratify: Whether by class; None: where there is one class a row, and no groups.
        seed: Decides the rows.
        target: The target of all rows.
        classes: Its classes.
        task: The task.
        per_position: Whether there is a target a position.
        groups: Group of every row, where there are groups: they stay whole.

    Returns:
        The splits `train`, `val`, `test`, those that there are.

    Raises:
        DataError: A share for a split that the file has, or out of range; too few rows, groups or rows of a class;
            stratification where there is nothing to stratify by.
    """
    for name, share in (("val", val), ("test", test)):
        if share is not None and name in splits:
            raise DataError(
                f"the file has its own {name} split ({len(splits[name])} rows), so data.split.{name} = {share:g} would "
                f"change nothing; remove data.split.{name}"
            )
        if share is not None and not 0 <= share < 1:
            raise DataError(f"data.split.{name} is a share of the training rows in [0, 1); got {share:g}")
    if "train" not in splits:
        raise DataError(f"there are no training rows; the file has the splits {', '.join(splits)}: add train")
    wanted = {"test": test or 0.0, "val": DEFAULT_VAL if val is None else val}
    shares = {name: share for name, share in wanted.items() if share and name not in splits}
    if not shares:
        return {name: splits[name] for name in ("train", "val", "test") if name in splits}
    if sum(shares.values()) >= 1:
        raise DataError(f"data.split leaves no training rows: {shares} add up to {sum(shares.values()):g}; use less")
    rows = splits["train"]
    labels = None
    if task in (Task.BINARY, Task.MULTICLASS) and not per_position:
        labels = target.reshape(len(target)).to(torch.int64)[rows]
    if stratify and (labels is None or groups is not None):
        why = (
            "groups stay whole, which fixes the classes" if labels is not None else f"a target of task {task} has none"
        )
        raise DataError(f"data.split.stratify = true divides by class, but {why}; remove data.split.stratify")
    by_class = labels is not None and groups is None and stratify is not False
    if by_class and labels is not None:
        counts = torch.bincount(labels, minlength=len(classes)).tolist()
        single = [name for name, count in zip(classes, counts, strict=True) if count == 1]
        if single:
            raise DataError(
                f"class {', '.join(map(repr, single))} has one training row, which cannot be in two splits; add rows, "
                "remove it, or set data.split.stratify = false"
            )
    try:
        made = shuffle_split(
            rows, shares, seed, classes=labels if by_class else None, groups=None if groups is None else groups[rows]
        )
    except ValueError as cause:
        raise DataError(f"data.split: {cause}") from cause
    found = {**splits, **made}
    return {name: found[name] for name in ("train", "val", "test") if name in found}
