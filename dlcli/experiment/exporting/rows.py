"""The rows that an export needs: to record a model on, to compare it on, to calibrate it by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dlcli.contracts.dataset import Dataset
from dlcli.contracts.field import Field
from dlcli.errors import DataError
from dlcli.experiment.address import Address
from dlcli.experiment.exporting.parity import Case, Rows, cut
from dlcli.experiment.row_file import read_rows

MOST = 1000
"""Real rows that are compared."""


@dataclass(frozen=True)
class ExportRows:
    """Rows of a run's data, by what they are for.

    Args:
        dataset: The data.
        fields: The model's raw fields.
        training: Rows that members were trained on, int64.
        validation: Rows of the validation part, int64; those of the training part where there is none.
        part: Which of the two `validation` is: `val` or `train`.
    """

    dataset: Dataset
    fields: tuple[Field, ...]
    training: Tensor
    validation: Tensor
    part: str

    def raw(self, rows: Tensor) -> dict[str, Tensor]:
        """Return raw rows by field name."""
        return {field.name: self.dataset.rows_of(field.name).index_select(0, rows) for field in self.fields}

    def target(self, rows: Tensor) -> Tensor:
        """Return the targets of rows."""
        return self.dataset.tensors[self.dataset.target.name].index_select(0, rows)

    def real(self) -> Case:
        """Return the real rows to compare on, spread over the part."""
        rows = _spread(self.validation, MOST)
        return Case("validation rows" if self.part == "val" else "training rows", self.raw(rows), numbers=rows)

    def training_rows(self, count: int) -> dict[str, Tensor]:
        """Return at most so many raw training rows, spread over all of them."""
        return self.raw(_spread(self.training, count))

    def example(self) -> dict[str, Tensor]:
        """Return training rows to record on, a number of them that no dimension of a row has.

        A recorder takes sizes that are equal in the example for the same size.
        """
        sizes = {size for field in self.fields for size in field.shape}
        count = next(n for n in range(3, len(sizes) + 4) if n not in sizes)
        return self.raw(self.training[torch.arange(count) % len(self.training)])


def export_rows(address: Address, dataset: Dataset, fields: Sequence[Field]) -> ExportRows:
    """Choose the rows of a run's data; no test row is among them.

    Args:
        address: The run.
        dataset: The data that it was trained on.
        fields: Its model's raw fields.

    Returns:
        The rows.

    Raises:
        DataError: There are neither training nor validation rows.
    """
    own = read_rows(address.run)
    splits: Mapping[str, Tensor] = dataset.splits if own is None else own.splits
    part = "val" if len(splits.get("val", ())) else "train"
    training = splits.get("train", splits.get("val"))
    if training is None or part not in splits:
        raise DataError(f"{address}: its data has neither training nor validation rows to check an export on")
    return ExportRows(dataset, tuple(fields), training, splits[part], part)


def varying_steps(module: nn.Module, fields: Sequence[Field], rows: Rows) -> dict[str, int]:
    """Return the fields whose number of steps a model does not fix.

    Args:
        module: From raw fields by position to outputs.
        fields: Its fields.
        rows: A few real rows.

    Returns:
        The dimension of steps of every such field; empty where the model runs on no other number.
    """
    steps = {f.name: 1 for f in fields if f.kind in ("sequence", "tokens") or f.role == "mask"}
    count = min((rows[name].shape[1] for name in steps), default=0)
    if count < 2:  # there is nothing to leave out
        return {}
    try:
        with torch.no_grad():
            module(*cut(rows, fields, steps, count - 1).values())
    except (RuntimeError, ValueError, IndexError):  # its own code says that it takes one number alone
        return {}
    return steps


def _spread(rows: Tensor, most: int) -> Tensor:
    """Return at most so many rows, evenly spread."""
    return rows if len(rows) <= most else rows[torch.linspace(0, len(rows) - 1, most).round().to(torch.int64)]
