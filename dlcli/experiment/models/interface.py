"""What a model takes and gives, as the tool must know it to feed it: of a run, or as an artefact carries it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from dlcli.contracts.exporter import DESCRIPTION_KEY
from dlcli.contracts.field import Field
from dlcli.contracts.task import Task
from dlcli.errors import DataError
from dlcli.experiment.models.description_check import read_field

FORMAT = 1
LOGITS, PROBABILITIES, PREDICTION, SPREAD = "logits", "probabilities", "prediction", "spread"
"""Names of outputs."""
IMPORTED_KEY = "imported"
"""The entry of an artefact's metadata that says, as JSON, how the training data was imported."""


@dataclass(frozen=True)
class Interface:
    """What a model takes and gives.

    Args:
        fields: Its raw fields in the order in which it takes them: inputs, conditions, then a length and a mask.
        target: What it predicts; `names` are those of regression targets.
        task: The task that it answers.
        per_position: Whether there is an answer for each of T positions.
        classes: Names of the classes or labels; empty for regression.
        outputs: Names of its outputs, in order: `logits` and `probabilities`, for regression `prediction`; and `spread`
            where members can differ or the loss tells how far targets may be from their predictions.
        missing: Names of the fields in which NaN is a missing value; in others it is refused.
    """

    fields: tuple[Field, ...]
    target: Field
    task: Task
    per_position: bool
    classes: tuple[str, ...]
    outputs: tuple[str, ...]
    missing: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """A name for each column of its answers: the classes, the labels, or the targets; of binary that of the 1."""
        if self.task is Task.BINARY:
            return self.classes[1:]
        if self.task.classifies:
            return self.classes
        count = self.target.shape[-1] if self.target.shape else 1
        if self.target.names:
            return self.target.names
        return (self.target.name,) if count == 1 else tuple(f"{self.target.name}_{i}" for i in range(count))

    def as_text(self) -> str:
        """Return it as an artefact's metadata holds it."""
        return json.dumps({"format": FORMAT, **asdict(self)}, ensure_ascii=False)


def read_interface(metadata: Mapping[str, str], where: object) -> Interface:
    """Read the interface that an artefact carries.

    Args:
        metadata: The artefact's texts.
        where: The artefact, for errors.

    Returns:
        The interface.

    Raises:
        DataError: There is none, or it is damaged.
    """
    text = metadata.get(DESCRIPTION_KEY)
    if text is None:
        raise DataError(f"{where} was not written by dlcli export: it does not say what it takes; export the run again")
    try:
        table = json.loads(text)
        if table.get("format") != FORMAT:
            raise DataError(f"{where} has an interface of another format; this dlcli reads format {FORMAT}")
        found = Interface(
            fields=tuple(read_field(entry) for entry in table["fields"]),
            target=read_field(table["target"]),
            task=Task(table["task"]),
            per_position=bool(table["per_position"]),
            classes=tuple(map(str, table["classes"])),
            outputs=tuple(map(str, table["outputs"])),
            missing=tuple(map(str, table.get("missing", ()))),
        )
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise DataError(f"the metadata of {where} are damaged: {type(error).__name__}: {error}") from None
    if set(found.outputs) - {LOGITS, PROBABILITIES, PREDICTION, SPREAD} or not found.fields:
        raise DataError(f"the metadata of {where} are damaged: outputs {found.outputs}, fields {found.fields}")
    return found
