"""The use case behind `dlcli evaluate`: the figures of any run on a split of its own or of another file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dlcli.contracts.dataset import Dataset
from dlcli.data.batches import InMemoryBatches
from dlcli.errors import DataError
from dlcli.experiment.address import Address, find_address
from dlcli.experiment.combination import CombinedModel
from dlcli.experiment.model_folder import AnyModel, read_model
from dlcli.experiment.model_outputs import ModelOutputs
from dlcli.experiment.outputs import figures_of
from dlcli.experiment.prepare import read_data
from dlcli.experiment.run_directory import RUNS
from dlcli.experiment.split_choice import chosen_rows
from dlcli.experiment.spread import spread_of
from dlcli.experiment.summary import finite
from dlcli.plugins import Plugins, load_plugins
from dlcli.recipe.load import load_recipe
from dlcli.recipe.model import Recipe
from dlcli.training.device import choose_device
from dlcli.training.evaluation import evaluate as evaluate_network


@dataclass(frozen=True)
class Evaluation:
    """Figures of a run on rows.

    Args:
        run: The run, or the member of it.
        data: The file.
        split: The split.
        rows: How many rows.
        metrics: The loss and each metric of the recipe, by name.
        note: What must be known to read the figures; None where nothing need be.
        spread: How far members differ, as `spread_of` says; None where no two do answer.
    """

    run: Address
    data: Path
    split: str
    rows: int
    metrics: dict[str, float]
    note: str | None = None
    spread: dict[str, float] | None = None

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "run": str(self.run),
            "data": str(self.data),
            "split": self.split,
            "rows": self.rows,
            "metrics": finite(self.metrics),
            "note": self.note,
            "spread": finite(self.spread),
        }


def evaluate(
    run: str | Path,
    *,
    data: str | Path | None = None,
    split: str = "test",
    device: str | None = None,
    runs: str | Path = RUNS,
    plugins: Plugins | None = None,
) -> Evaluation:
    """Evaluate a run's model.

    Args:
        run: Its path, `NAME/0001`, or `NAME`; `RUN@fold-3` for a member of it.
        data: Another HDF5 file of the same layout; the run's own where None.
        split: `train`, `val` or `test`, `all` for every row, or `fold` for the rows that a fold's model has not seen.
        device: Where to compute; the recipe's where None.
        runs: Folder of all runs.
        plugins: Loaded plugins; loaded here where None.

    Returns:
        The figures.

    Raises:
        UsageError: There is no such run or split, or the run was trained on its validation rows.
        DataError: The file cannot be used, or does not fit the model.
    """
    plugins = plugins or load_plugins()
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
    figures, spread = _figures(model, dataset, rows, where, recipe)
    return Evaluation(address, path, split, len(rows), figures, note, spread)


def _figures(
    model: AnyModel, dataset: Dataset, rows: Tensor, device: torch.device, recipe: Recipe
) -> tuple[dict[str, float], dict[str, float] | None]:
    """Return the loss and the metrics, and of several members how far they differ."""
    batches = InMemoryBatches(dataset, device)
    outputs_of = ModelOutputs(batches, dataset.rows, device, recipe)
    if isinstance(model, CombinedModel):
        each = outputs_of.of_members(model, rows)
        with torch.no_grad():
            combined = model.combine([each[identity] for identity in model.wiring.members])
        member = outputs_of.judge(model, rows)
        speakers = model.speakers
        spread = spread_of(torch.stack([each[i] for i in speakers]), model.task) if len(speakers) > 1 else None
        return figures_of(combined, member, batches, rows), spread
    member = outputs_of.member(model, rows)
    figures = evaluate_network(
        model.network.to(device),
        batches.evaluation(member, rows),
        task=model.task,
        loss=member.loss,
        metrics=member.metrics,
    )
    return figures, None


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
