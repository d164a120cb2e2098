"""A run opened to be judged: its model, the rows of a split, and what it says of them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dlcli.contracts.dataset import Dataset
from dlcli.contracts.member import Member
from dlcli.data.batches import InMemoryBatches
from dlcli.errors import DataError
from dlcli.experiment.address import Address, find_address
from dlcli.experiment.evaluation.split_choice import chosen_rows
from dlcli.experiment.models.combination import CombinedModel
from dlcli.experiment.models.model_folder import AnyModel, read_model
from dlcli.experiment.models.model_outputs import ModelOutputs
from dlcli.experiment.models.spread import spread_of
from dlcli.experiment.prepare import read_data
from dlcli.plugins import Plugins
from dlcli.recipe.load import load_recipe
from dlcli.recipe.model import Recipe
from dlcli.training.device import choose_device


@dataclass(frozen=True)
class Said:
    """What a model says of rows.

    Args:
        outputs: Its outputs (R, …, O), on the CPU.
        spread: How far members differ, as `spread_of` says; None where no two do answer.
    """

    outputs: Tensor
    spread: dict[str, float] | None


@dataclass(frozen=True)
class OpenedRun:
    """A run with the rows that it is to be judged by.

    Args:
        address: The run, or the member of it.
        facts: Its `run.json`.
        recipe: Its recipe; `data` is that of the file.
        model: Its model.
        dataset: All rows of the file.
        path: The file.
        split: The split.
        rows: The rows of the split, as places in the dataset, int64 (R,).
        note: What must be known to read the figures; None where nothing need be.
        batches: The dataset's.
        device: Where to compute.
    """

    address: Address
    facts: dict[str, Any]
    recipe: Recipe
    model: AnyModel
    dataset: Dataset
    path: Path
    split: str
    rows: Tensor
    note: str | None
    batches: InMemoryBatches
    device: torch.device

    @property
    def judge(self) -> Member:
        """Whose task, loss and metrics count."""
        return self._outputs().judge(self.model, self.rows)

    @property
    def groups(self) -> Tensor | None:
        """The group of every row of the split (R,), where the data has groups."""
        fields = self.dataset.by_role("group")
        return self.dataset.tensors[fields[0].name][self.rows].reshape(-1) if fields else None

    def say(self) -> Said:
        """Compute the model's outputs on the rows."""
        outputs_of = self._outputs()
        if not isinstance(self.model, CombinedModel):
            return Said(outputs_of(self.model, self.rows), None)
        each = outputs_of.of_members(self.model, self.rows)
        with torch.no_grad():
            combined = self.model.combine([each[identity] for identity in self.model.wiring.members])
        speakers = self.model.speakers
        if len(speakers) < 2:
            return Said(combined, None)
        said = self.model.description.loss.prediction(torch.stack([each[i] for i in speakers]))
        return Said(combined, spread_of(said, self.model.task))

    def _outputs(self) -> ModelOutputs:
        return ModelOutputs(self.batches, self.dataset.rows, self.device, self.recipe)


def open_run(
    run: str | Path, *, data: str | Path | None, split: str, device: str | None, runs: str | Path, plugins: Plugins
) -> OpenedRun:
    """Open a run to judge it by a split; nothing is computed yet.

    Args:
        run: Its path, `NAME/0001`, or `NAME`; `RUN@fold-3` for a member of it.
        data: Another HDF5 file of the same layout; the run's own where None.
        split: `train`, `val` or `test`, `all` for every row, or `fold` for the rows that a fold's model has not seen.
        device: Where to compute; the recipe's where None.
        runs: Folder of all runs.
        plugins: Loaded plugins.

    Returns:
        The run.

    Raises:
        UsageError: There is no such run or split, or the run was trained on its validation rows.
        DataError: The file cannot be used, or does not fit the model.
    """
    address = find_address(run, Path(runs))
    model = read_model(address.trained_model(), plugins)
    facts = address.run.read()
    recipe = load_recipe(address.run.recipe, plugins.registry)
    if data is not None:
        own = {"path": str(Path(data).resolve()), "fingerprint": None}
        recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update=own)})
    dataset = read_data(recipe, complete=data is None)
    path = Path(recipe.data.path)
    _check_fields(model, dataset, path)
    same_data = dataset.fingerprint == facts["data"]["fingerprint"]
    rows, note = chosen_rows(address, facts, dataset, path, split, same_data=same_data)
    where = choose_device(device or recipe.train.device)
    batches = InMemoryBatches(dataset, where)
    return OpenedRun(address, facts, recipe, model, dataset, path, split, rows, note, batches, where)


def _check_fields(model: AnyModel, dataset: Dataset, path: Path) -> None:
    """Refuse a dataset whose fields are not those that the model was trained on."""
    wanted = (*model.inputs, *model.description.conditions, model.description.target)
    found = (*dataset.by_role("input"), *dataset.by_role("condition"), dataset.target)
    if dataset.task is not model.task:
        raise DataError(f"{path} is a {dataset.task} task, the model answers {model.task}; give the right file")
    if len(wanted) != len(found):
        names = [", ".join(field.name for field in fields) for fields in (wanted, found)]
        raise DataError(f"the model takes the fields {names[0]}, but {path} has {names[1]}")
    for want, have in zip(wanted, found, strict=True):
        for part in ("name", "kind", "shape", "classes"):
            if getattr(want, part) != getattr(have, part):
                raise DataError(
                    f"field {have.name!r} of {path} has {part} {getattr(have, part)!r}, but the model was trained on "
                    f"{getattr(want, part)!r}; map it with [data.fields], or give the right file"
                )
