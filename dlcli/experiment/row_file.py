"""`rows.json`: which rows a combination of runs has seen, and which are left to judge it by."""

import json
from dataclasses import dataclass

from torch import Tensor

from dlcli import atomic
from dlcli.errors import DataError
from dlcli.experiment.fold_file import row_numbers
from dlcli.experiment.run_directory import RunDirectory
from dlcli.untrusted import read_json, reason

ROWS = "rows.json"
FORMAT = 1


@dataclass(frozen=True)
class RunRows:
    """Rows of a run whose members were trained on splits of their own, as places in the dataset's rows, int64.

    Args:
        seen: Rows that any member was trained on.
        val: Rows that decided, and that no member was trained on.
        test: Rows that are test rows to every member.
    """

    seen: Tensor
    val: Tensor
    test: Tensor

    @property
    def splits(self) -> dict[str, Tensor]:
        """The same by the names of splits; empty ones left out."""
        found = {"train": self.seen, "val": self.val, "test": self.test}
        return {name: rows for name, rows in found.items() if len(rows)}


def write_rows(run: RunDirectory, rows: RunRows) -> None:
    """Write the rows of a run."""
    lines = [f'"{name}": {json.dumps(getattr(rows, name).tolist())}' for name in ("seen", "val", "test")]
    atomic.write_text(run.path / ROWS, f'{{"format": {FORMAT},\n' + ",\n".join(lines) + "}\n")


def read_rows(run: RunDirectory) -> RunRows | None:
    """Read the rows of a run.

    Args:
        run: The run's directory.

    Returns:
        Its rows; None where they are those of its recipe's splits.

    Raises:
        DataError: The file is damaged or of another format.
    """
    path = run.path / ROWS
    if not path.exists():
        return None
    try:
        table = read_json(path)
        if table["format"] != FORMAT:
            raise ValueError(f"it has format {table['format']!r}; this dlcli reads format {FORMAT}")
        return RunRows(*(row_numbers(table[name]) for name in ("seen", "val", "test")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"cannot read the rows {path}: {reason(error)}; restore the file, or make the ensemble again"
        ) from None
