"""Writing an artefact and seeing that it says what its source says, before it is left."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from dlcli.contracts.exporter import Exportable, Exporter
from dlcli.errors import DataError, ExportError
from dlcli.experiment.exporting.parity import Outputs, Parity, Rows, Run, accuracy_of, compare, cut, edge_cases
from dlcli.experiment.exporting.rows import ExportRows
from dlcli.experiment.models.answering import Answering
from dlcli.experiment.models.model_folder import AnyModel


@dataclass(frozen=True)
class Accuracy:
    """What an artefact that is not exact costs.

    Args:
        figure: `accuracy`, or of regression `r2`.
        part: Rows of which part: `val`, or `train` where there is none.
        rows: How many.
        source: The source's figure.
        exported: The artefact's.
    """

    figure: str
    part: str
    rows: int
    source: float
    exported: float

    @property
    def drop(self) -> float:
        """How much is lost."""
        return self.source - self.exported


class Source:
    """A run's model as what an artefact is compared with: its members one after the other.

    Args:
        model: The model.
    """

    def __init__(self, model: AnyModel) -> None:
        self._answering = Answering(model)
        self.interface = self._answering.interface

    def __call__(self, rows: Rows) -> Outputs:
        """Return outputs (B, …) by name."""
        with torch.no_grad():
            found = self._answering(*(rows[field.name] for field in self.interface.fields))
        return dict(zip(self.interface.outputs, found, strict=True))


class CheckedArtefact:
    """Writes an artefact and checks it, as what fills a file that appears whole or not at all.

    Args:
        exporter: Writes it.
        exportable: What to write.
        source: What it is compared with.
        rows: Rows of the run's data.
        max_drop: How much accuracy it may lose where it is not exact.

    Attributes:
        parity: How it compares with its source; None before it was written.
        steps_vary: Whether it takes sequences of any length.
        accuracy: What it costs, where it is not exact.
    """

    def __init__(
        self, exporter: Exporter, exportable: Exportable, source: Source, rows: ExportRows, max_drop: float
    ) -> None:
        self._exporter, self._exportable, self._source = exporter, exportable, source
        self._rows, self._max_drop = rows, max_drop
        self.parity: Parity | None = None
        self.accuracy: Accuracy | None = None
        self.steps_vary = bool(exportable.steps)

    def __call__(self, temporary: Path) -> None:
        """Write the artefact and check it.

        Args:
            temporary: Where to write.

        Raises:
            UsageError: The format cannot hold the model.
            ExportError: The artefact differs from its source, or loses too much accuracy.
        """
        self._exporter.write(self._exportable, temporary)
        artefact = self._exporter.open(temporary)
        real = self._rows.real()
        steps = self._exportable.steps if self._takes_any_steps(artefact.run, real.rows) else {}
        self.steps_vary = bool(steps)
        cases = [real, *edge_cases(self._rows.fields, real, steps, self._source.interface.missing)]
        self.parity = compare(artefact.run, self._source, self._source.interface, cases, exact=self._exporter.exact)
        if not self._exporter.exact:
            self.accuracy = self._measured(artefact.run)

    def _takes_any_steps(self, run: Run, rows: Rows) -> bool:
        steps = self._exportable.steps
        if not steps:
            return False
        count = min(rows[name].shape[1] for name in steps) - 1
        try:
            run(cut({name: values[:2] for name, values in rows.items()}, self._rows.fields, steps, count))
        except DataError:  # recorded with the example's steps: told, and left as it is
            return False
        return True

    def _measured(self, run: Run) -> Accuracy:
        rows = self._rows.validation
        task = self._source.interface.task
        target = self._rows.target(rows)
        parts = torch.split(rows, 1024)
        found = [_joined([call(self._rows.raw(part)) for part in parts]) for call in (self._source, run)]
        source, exported = (accuracy_of(outputs, target, task) for outputs in found)
        figure = "accuracy" if task.classifies else "r2"
        accuracy = Accuracy(figure, self._rows.part, len(rows), source, exported)
        if not accuracy.drop <= self._max_drop:  # NaN is refused too
            raise ExportError(
                f"{figure} falls from {source:.4f} to {exported:.4f} on the {self._rows.part} rows, by "
                f"{accuracy.drop:.4f}, more than --max-drop {self._max_drop:g}; nothing was left. Calibrate on more "
                "training rows (--calibrate), allow more, or leave out --quantize"
            )
        return accuracy


def _joined(parts: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
