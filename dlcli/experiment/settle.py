"""What a recipe leaves open, settled by its data: task, loss and metrics; and what of it does not fit the data."""

from collections.abc import Mapping

from dlcli.contracts.dataset import Dataset
from dlcli.contracts.history import Direction
from dlcli.contracts.loss import Loss
from dlcli.contracts.metric import Metric
from dlcli.contracts.task import Task
from dlcli.data.preprocessing import input_output
from dlcli.errors import Problem, RecipeError
from dlcli.recipe.model import Recipe
from dlcli.registry import Registry

LOSSES = {
    Task.BINARY: "binary_cross_entropy",
    Task.MULTICLASS: "cross_entropy",
    Task.MULTILABEL: "binary_cross_entropy",
    Task.REGRESSION: "mse",
}
"""The loss of a recipe that names none, where its architecture has none of its own."""
METRICS = {
    Task.BINARY: ("accuracy",),
    Task.MULTICLASS: ("accuracy",),
    Task.MULTILABEL: ("accuracy",),
    Task.REGRESSION: ("rmse", "r2"),
}
"""The metrics of a recipe that names none."""


def settle(recipe: Recipe, dataset: Dataset, registry: Registry) -> Recipe:
    """Fill in what a recipe leaves to its data, and refuse what does not fit it.

    Args:
        recipe: A checked recipe.
        dataset: Its data.
        registry: Where defaults are found.

    Returns:
        The recipe with task, loss, metrics and fingerprint; settling it again changes nothing.

    Raises:
        RecipeError: A loss or metric that is not for the task, or a monitor that will not be computed; all at once.
    """
    task = dataset.task
    default = recipe.model.architecture.default_loss(task) or LOSSES[task]
    loss = recipe.train.loss or registry.component(Loss, default)
    named = recipe.train.metrics
    metrics = tuple(registry.component(Metric, name) for name in METRICS[task]) if named is None else named
    # Folds make a validation part of their own, or do without.
    has_val = recipe.train.kfold is not None or ("val" in dataset.splits and recipe.train.rows == "train")
    problems = [*_fit_problems(loss, metrics, dataset), *_monitor_problems(recipe.train.monitor, metrics, has_val)]
    if recipe.data.scale_target and task is not Task.REGRESSION:
        message = f"targets are scaled for regression alone, but the target makes this a {task} task; remove the key"
        problems.append(Problem("", "data.scale_target", message))
    problems += _sampling_problems(recipe, dataset)
    if problems:
        raise RecipeError(problems)
    data = recipe.data.model_copy(
        update={"task": task, "fingerprint": dataset.fingerprint, "memory": recipe.data.memory or _memory(dataset)}
    )
    train = recipe.train.model_copy(update={"loss": loss, "metrics": metrics})
    return recipe.model_copy(update={"data": data, "train": train})


def _memory(dataset: Dataset) -> str | None:
    """Return a budget that keeps the same fields on disk wherever the recipe runs; None where all are in memory."""
    if not dataset.stored:
        return None
    inside = sum(rows.nbytes for rows in dataset.tensors.values())
    return str(inside + min(rows.nbytes for rows in dataset.stored.values()) // 2)


def settled_loss(recipe: Recipe) -> Loss:
    """Return the loss of a settled recipe."""
    if recipe.train.loss is None:
        raise ValueError("the recipe is not settled: it has no loss")
    return recipe.train.loss


def settled_metrics(recipe: Recipe) -> dict[str, Metric]:
    """Return the metrics of a settled recipe by what they are called."""
    return {metric.label: metric for metric in recipe.train.metrics or ()}


def direction(monitor: str, metrics: Mapping[str, Metric]) -> Direction:
    """Return whether a smaller or a larger value of a monitor is better."""
    metric = metrics.get(monitor.removeprefix("val_"))
    return metric.direction if metric and monitor.startswith("val_") else "min"


def _fit_problems(loss: Loss, metrics: tuple[Metric, ...], dataset: Dataset) -> list[Problem]:
    """A loss or metric that is not defined for the task, or whose parameters do not fit the data."""
    task, outputs = dataset.task, input_output(dataset, ()).outputs
    problems = []
    named: list[tuple[str, Loss | Metric]] = [("train.loss", loss)]
    named += [("train.metrics", metric) for metric in metrics]
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
            continue
        try:
            component.check(task, outputs)
        except ValueError as error:
            problems.append(Problem("", key, f"{component.name}: {error}"))
    return problems


def _monitor_problems(monitor: str, metrics: tuple[Metric, ...], has_val: bool) -> list[Problem]:
    """A monitor that will not be computed."""
    there = ["train_loss", *(["val_loss", *(f"val_{metric.label}" for metric in metrics)] if has_val else [])]
    if monitor in there:
        return []
    why = "" if has_val else '; there are no validation rows: set data.split.val, or train.monitor = "train_loss"'
    return [Problem("", "train.monitor", f"{monitor!r} is not computed; computed are {', '.join(there)}{why}")]


def _sampling_problems(recipe: Recipe, dataset: Dataset) -> list[Problem]:
    """Rows that cannot be drawn by their class."""
    if recipe.train.sampling != "class_balanced":
        return []
    key, task = "train.sampling", dataset.task
    if task not in (Task.BINARY, Task.MULTICLASS) or dataset.per_position:
        kind = f"{task} task{' with a target for each position' if dataset.per_position else ''}"
        message = (
            "class_balanced needs one class a row, as binary and multiclass tasks have it, but the target makes this a "
            f'{kind}; set "shuffled"'
        )
        return [Problem("", key, message)]
    if dataset.stored:
        weigh = "weigh classes in the loss instead (train.loss.class_weights)"
        message = (
            f"class_balanced draws rows anywhere in the data, but {', '.join(dataset.stored)} is streamed from disk in "
            f"order; raise data.memory so that it fits, or {weigh}"
        )
        return [Problem("", key, message)]
    return []
