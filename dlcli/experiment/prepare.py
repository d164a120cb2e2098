"""From a checked recipe to live objects: the dataset, what is fitted on it, and the member to be trained."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dlcli.contracts.dataset import Dataset
from dlcli.contracts.history import Direction
from dlcli.contracts.loss import Loss
from dlcli.contracts.member import Keep, Member
from dlcli.contracts.metric import Metric
from dlcli.contracts.randomness import derive
from dlcli.contracts.task import Task
from dlcli.data.fingerprint import fingerprint
from dlcli.data.mapping import FieldMapping
from dlcli.data.preprocessing import fit_preprocessing, input_output
from dlcli.data.read import read_dataset
from dlcli.errors import DataError, Problem, RecipeError
from dlcli.experiment.model import ModelDescription, describe
from dlcli.recipe.model import Recipe
from dlcli.recipe.read import read_toml
from dlcli.registry import Registry
from dlcli.training.network import build_network

LOSSES = {
    Task.BINARY: "binary_cross_entropy",
    Task.MULTICLASS: "cross_entropy",
    Task.MULTILABEL: "binary_cross_entropy",
    Task.REGRESSION: "mse",
}
"""The loss of a recipe that names none."""
METRICS = {
    Task.BINARY: ("accuracy",),
    Task.MULTICLASS: ("accuracy",),
    Task.MULTILABEL: ("accuracy",),
    Task.REGRESSION: ("rmse", "r2"),
}
"""The metrics of a recipe that names none."""


@dataclass(frozen=True)
class Prepared:
    """A recipe as live objects.

    Args:
        recipe: With what it left open filled in: task, loss, metrics, splits.
        dataset: All rows.
        description: The model that training will give, without its tensors.
        member: The member of a plain run.
    """

    recipe: Recipe
    dataset: Dataset
    description: ModelDescription
    member: Member


@contextmanager
def placed(source: str | Path | Mapping[str, Any]) -> Iterator[None]:
    """Give problems that only the data could show the line of the recipe that they are about.

    Args:
        source: The recipe as it was given.

    Yields:
        None: The block runs.

    Raises:
        RecipeError: The block's, with places.
    """
    try:
        yield
    except RecipeError as error:
        if isinstance(source, Mapping):
            raise
        _, lines = read_toml(Path(source))

        def where(problem: Problem) -> str:
            path = tuple(problem.key.split("."))
            found = next((lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in lines), None)
            return f"{source}:{found}" if found else str(source)

        raise RecipeError([replace(p, where=p.where or where(p)) for p in error.problems]) from error


def read_data(recipe: Recipe, *, complete: bool = True) -> Dataset:
    """Read the dataset that a recipe names.

    Args:
        recipe: A checked recipe.
        complete: Whether splits that the file lacks are made; without, a file without splits is all `test`.

    Returns:
        The dataset.

    Raises:
        DataError: It cannot be used, or is not the one that the recipe was resolved with.
    """
    data = recipe.data
    path = Path(data.path)
    if data.fingerprint is not None and path.is_file() and (found := fingerprint(path)) != data.fingerprint:
        raise DataError(
            f"{path} is not the file that this recipe was resolved with: its fingerprint is {found}, expected "
            f"{data.fingerprint}; give the right file with --set data.path=…, or remove data.fingerprint"
        )
    fields = {
        name: FieldMapping(path=mapping) if isinstance(mapping, str) else FieldMapping(**dict(mapping))
        for name, mapping in data.fields.items()
    }
    return read_dataset(
        path,
        fields=fields,
        task=data.task,
        val=data.split.val,
        test=data.split.test,
        stratify=data.split.stratify,
        seed=recipe.seed,
        complete=complete,
    )


def prepare(
    recipe: Recipe,
    registry: Registry,
    *,
    initial_state: Mapping[str, Tensor] | None = None,
    frozen: frozenset[str] = frozenset(),
) -> Prepared:
    """Read the data, fit what is fitted on its training rows, and make the member.

    Args:
        recipe: A checked recipe.
        registry: Where defaults are found.
        initial_state: Weights to start from.
        frozen: Names of parameters that are not trained.

    Returns:
        Everything that training needs.

    Raises:
        RecipeError: The recipe does not fit the data.
        DataError: The data cannot be used.
    """
    dataset = read_data(recipe)
    loss, metrics = _loss(recipe, dataset.task, registry), _metrics(recipe, dataset.task, registry)
    val_rows = dataset.splits.get("val")
    problems = [
        *_task_problems(loss, metrics, dataset.task),
        *_monitor_problems(recipe, metrics, val_rows is not None),
    ]
    if problems:
        raise RecipeError(problems)
    io = input_output(dataset, recipe.data.preprocess)
    preprocessing = fit_preprocessing(dataset, recipe.data.preprocess, dataset.splits["train"])
    architecture = recipe.model.architecture
    description = describe(dataset, io, architecture, preprocessing, loss, metrics)
    train = recipe.train
    member = Member(
        identity="",
        seed=derive(recipe.seed, "member", ""),
        architecture=architecture,
        io=io,
        loss=loss,
        optimizer=train.optimizer,
        schedule=train.schedule,
        training_rows=dataset.splits["train"],
        epochs=train.epochs,
        batch_size=train.batch_size,
        validation_rows=val_rows,
        regularizers=tuple(named.component for named in recipe.regularizers),
        metrics=metrics,
        initializer=recipe.model.init,
        initial_state=initial_state,
        frozen=frozen,
        preprocessing=preprocessing,
        drop_last=train.drop_last,
        monitor=train.monitor,
        direction=_direction(train.monitor, metrics),
        select=train.select,
        keep=Keep(**dict(train.keep_checkpoints)),
    )
    _check_architecture(member)
    completed = recipe.model_copy(
        update={
            "data": recipe.data.model_copy(update={"task": dataset.task, "fingerprint": dataset.fingerprint}),
            "train": train.model_copy(update={"loss": loss, "metrics": tuple(metrics.values())}),
        }
    )
    return Prepared(completed, dataset, description, member)


def _check_architecture(member: Member) -> None:
    """Refuse an architecture that cannot be built for this data, or not trained in batches of one row."""
    try:
        network = build_network(member, torch.device("cpu"))
    except ValueError as error:
        raise RecipeError([Problem("", "model.architecture", str(error))]) from error
    images = any(field.kind == "image" for field in member.io.inputs)
    normalizes = any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in network.modules())
    if member.batch_size == 1 and normalizes and not images:
        message = "batch normalization needs at least 2 rows in a batch, got 1; use a larger batch or another norm"
        raise RecipeError([Problem("", "train.batch_size", message)])


def _loss(recipe: Recipe, task: Task, registry: Registry) -> Loss:
    return recipe.train.loss or registry.component(Loss, LOSSES[task])


def _metrics(recipe: Recipe, task: Task, registry: Registry) -> dict[str, Metric]:
    named = recipe.train.metrics
    found = tuple(registry.component(Metric, name) for name in METRICS[task]) if named is None else named
    return {metric.name: metric for metric in found}


def _task_problems(loss: Loss, metrics: Mapping[str, Metric], task: Task) -> list[Problem]:
    """A loss or metric that is not defined for the task."""
    problems = []
    named: list[tuple[str, Loss | Metric]] = [("train.loss", loss)]
    named += [("train.metrics", metric) for metric in metrics.values()]
    for key, component in named:
        if task not in component.tasks:
            kinds = ", ".join(sorted(component.tasks))
            problems.append(
                Problem(
                    "",
                    key,
                    f"{component.name} is for {kinds}, but the target makes this a {task} task; "
                    f"remove the key for the task's own, or set data.task",
                )
            )
    return problems


def _monitor_problems(recipe: Recipe, metrics: Mapping[str, Metric], has_val: bool) -> list[Problem]:
    """A monitor that will not be computed."""
    there = ["train_loss", *(["val_loss", *(f"val_{name}" for name in metrics)] if has_val else [])]
    if recipe.train.monitor in there:
        return []
    why = "" if has_val else '; there are no validation rows: set data.split.val, or train.monitor = "train_loss"'
    return [
        Problem("", "train.monitor", f"{recipe.train.monitor!r} is not computed; computed are {', '.join(there)}{why}")
    ]


def _direction(monitor: str, metrics: Mapping[str, Metric]) -> Direction:
    metric = metrics.get(monitor.removeprefix("val_"))
    return metric.direction if metric and monitor.startswith("val_") else "min"
