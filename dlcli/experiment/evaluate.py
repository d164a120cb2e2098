"""The use case behind `dlcli evaluate`: the figures of any run on a split of its own or of another file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from dlcli.contracts.dataset import Dataset
from dlcli.contracts.member import Member
from dlcli.data.batches import InMemoryBatches
from dlcli.errors import DataError, UsageError
from dlcli.experiment.load import load
from dlcli.experiment.model import Model
from dlcli.experiment.prepare import read_data
from dlcli.experiment.run_directory import RUNS, find_run
from dlcli.experiment.summary import finite
from dlcli.plugins import Plugins, load_plugins
from dlcli.recipe.load import load_recipe
from dlcli.training.device import choose_device
from dlcli.training.evaluation import evaluate as evaluate_network

ALL = "all"
"""Stands for every row of a file, whatever its splits."""


@dataclass(frozen=True)
class Evaluation:
    """Figures of a run on rows.

    Args:
        run: The run's directory.
        data: The file.
        split: The split.
        rows: How many rows.
        metrics: The loss and each metric of the recipe, by name.
    """

    run: Path
    data: Path
    split: str
    rows: int
    metrics: dict[str, float]

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "run": str(self.run),
            "data": str(self.data),
            "split": self.split,
            "rows": self.rows,
            "metrics": finite(self.metrics),
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
        run: Its path, `NAME/0001`, or `NAME`.
        data: Another HDF5 file of the same layout; the run's own where None.
        split: `train`, `val` or `test`, or `all` for every row.
        device: Where to compute; the recipe's where None.
        runs: Folder of all runs.
        plugins: Loaded plugins; loaded here where None.

    Returns:
        The figures.

    Raises:
        UsageError: There is no such run or split.
        DataError: The file cannot be used, or does not fit the model.
    """
    plugins = plugins or load_plugins()
    found = find_run(run, Path(runs))
    model = load(found.path, plugins=plugins)
    recipe = load_recipe(found.recipe, plugins.registry)
    if data is not None:
        own = {"path": str(Path(data).resolve()), "fingerprint": None}
        recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update=own)})
    dataset = read_data(recipe, complete=data is None)
    path = Path(recipe.data.path)
    _check_fields(model, dataset, path)
    if split != ALL and split not in dataset.splits:
        raise UsageError(
            f"{path} has no split {split!r}; there are {', '.join(dataset.splits)}, and {ALL} for every row"
        )
    rows = torch.arange(dataset.rows) if split == ALL else dataset.splits[split]
    where = choose_device(device or recipe.train.device)
    description = model.description
    member = Member(
        identity="",
        seed=0,
        architecture=description.architecture,
        io=description.io,
        loss=description.loss,
        optimizer=recipe.train.optimizer,
        schedule=recipe.train.schedule,
        training_rows=rows,
        epochs=1,
        batch_size=1,
        preprocessing=model.preprocessing,
    )
    figures = evaluate_network(
        model.network.to(where),
        InMemoryBatches(dataset, where).evaluation(member, rows),
        task=model.task,
        loss=description.loss,
        metrics=description.metrics,
    )
    return Evaluation(found.path, path, split, len(rows), figures)


def _check_fields(model: Model, dataset: Dataset, path: Path) -> None:
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
