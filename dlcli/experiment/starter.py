"""`dlcli init`: a complete first recipe for a dataset, with a comment on every key."""

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import tomlkit
from pydantic import BaseModel

from dlcli import atomic
from dlcli.contracts.task import Task
from dlcli.data.check import IMBALANCE
from dlcli.data.describe import FieldDescription, FileDescription, describe
from dlcli.errors import DataError, RecipeError, UsageError
from dlcli.experiment.output_file import check_output
from dlcli.experiment.prepare import prepare
from dlcli.experiment.settle import LOSSES
from dlcli.experiment.starter_network import starter_network
from dlcli.plugins import Plugins, load_plugins
from dlcli.recipe.ensemble_section import EnsembleSection
from dlcli.recipe.load import load_recipe
from dlcli.recipe.model import DataSection, LogSection, Recipe, TrainSection
from dlcli.recipe.tune_section import TuneSection
from dlcli.registry import Registry
from dlcli.untrusted import printable

STEPS = 10
"""Least batches that an epoch should have."""


def write_starter(data: Path, output: Path, *, force: bool = False, plugins: Plugins | None = None) -> None:
    """Write a starter recipe for a dataset.

    Args:
        data: The HDF5 file.
        output: The recipe to write.
        force: Whether a file that is there already is overwritten.
        plugins: Loaded plugins; loaded here where None.

    Raises:
        UsageError: The recipe is there already, or its folder is not.
        DataError: The file cannot be read, or has no target or no input.
        StorageError: The recipe cannot be written.
    """
    if output.exists() and not force:
        raise UsageError(f"{output} is there already: give another file with --output, or --force to overwrite it")
    check_output(output, data)
    plugins = plugins or load_plugins()
    atomic.write_text(output, starter_recipe(data, plugins.registry, folder=output.parent))


def starter_recipe(data: Path, registry: Registry, *, folder: Path | None = None) -> str:
    """Return a starter recipe for a dataset: task, network, loss and metrics from what is in the file.

    It can be trained: what training looks at before its first step has been looked at.

    Args:
        data: The HDF5 file.
        registry: Where the parameters of components and their descriptions come from.
        folder: Where the recipe will be, which `data.path` is relative to; the current folder where None.

    Returns:
        TOML text.

    Raises:
        DataError: The file cannot be read, has no target or no input, or cannot be trained on.
    """
    description = describe(data)
    target, inputs = _by_role(description, "target"), _by_role(description, "input")
    if not target or not inputs:
        raise DataError("\n  ".join([f"{data}: no recipe can be written for it yet:", *description.notes]))
    task = description.task or _likely_task(target[0], data)
    path = Path(os.path.relpath(data, folder or Path.cwd())).as_posix()
    text = _recipe(description, path, task, registry)
    table = tomllib.loads(text)
    table["data"]["path"] = where = str(data.resolve())
    try:
        prepare(load_recipe(table, registry), registry)
    except (DataError, RecipeError) as error:
        told = str(error).removeprefix(f"{where}: ")
        problems = [problem.message for problem in error.problems] if isinstance(error, RecipeError) else [told]
        raise DataError(f"no recipe can be written for {data} yet: {'; '.join(problems)}") from None
    return text


def _recipe(description: FileDescription, path: str, task: Task, registry: Registry) -> str:
    architecture, sizes = starter_network(description)
    file = Path(path)
    sections = [
        [
            _comment(
                f"A first recipe for {file.name}: dlcli build looks at it, dlcli train trains it, dlcli tune tunes it."
            ),
            "# Keys that are left out have their defaults; dlcli schema lists them all.",
        ],
        _keys({"name": _name(file), "seed": 0}, Recipe, {"name": "name of the run's folder"}),
        ["[data]", *map(_comment, _about(description)), *_data_keys(description, path, task)],
        ["[model]", *_component("architecture", architecture, sizes, registry, "architecture")],
        ["[train]", *_train_keys(description, task)],
        ["[[regularizers]]", *_component("regularizer", "early_stopping", {"patience": 10}, registry)],
        ["[tune]", *_keys({"trials": 40}, TuneSection, {"trials": "settings that dlcli tune tries"}), *_space()],
        [
            "[ensemble]",
            *_keys(
                {"strategy": "voting"},
                EnsembleSection,
                {
                    "strategy": "how several become one; others: dlcli plugins list --kind ensemble",
                },
            ),
        ],
        ["[log]", *_keys({"tensorboard": False}, LogSection)],
    ]
    return "\n\n".join("\n".join(section) for section in sections) + "\n"


def _by_role(description: FileDescription, *roles: str) -> list[FieldDescription]:
    return [field for field in description.fields if field.role in roles]


def _likely_task(target: FieldDescription, data: Path) -> Task:
    """Return the task that integers without classes most likely mean; the recipe says that it is a guess."""
    if target.dtype.startswith(("int", "uint", "bool")) and target.maximum is not None:
        if len(target.shape) == 1 and target.shape[0] > 1:
            return Task.MULTILABEL
        if len(target.shape) <= 1:
            return Task.BINARY if target.maximum <= 1 else Task.MULTICLASS
    raise DataError(f"{data}: the target {target.name} fits no task; see dlcli data check {data}")


def _name(data: Path) -> str:
    return re.sub(r"[^\w.-]+", "-", data.stem)[:100].strip("-.") or "first"


def _about(description: FileDescription) -> Iterator[str]:
    """Yield what the file says of itself."""
    for field in description.fields:
        size = "".join(f" {length} ×" for length in field.shape).rstrip(" ×")
        span = "" if field.minimum is None else f", {field.minimum:g} to {field.maximum:g}"
        if field.figures is not None and field.figures.missing:
            span += f", {100 * field.figures.missing:.2g} % missing"
        role = f"{field.role} of {field.of}" if field.of else field.role or "not used"
        yield f"{field.name}: {role}, {field.kind or 'values'}{size}, {field.dtype}{span}"
    counts = next(iter(description.class_counts.values()), {})
    if counts:
        shown = ", ".join(map(printable, list(counts)[:STEPS]))
        yield f"{len(counts)} classes: {shown}{', …' if len(counts) > STEPS else ''}"
        present = [rows for rows in counts.values() if rows]
        if len(present) == 1:
            only = next(name for name, rows in counts.items() if rows)
            yield f"All rows are of one class, {only}: there is nothing to learn."
        if present and max(present) >= IMBALANCE * min(present):
            yield f"Classes are out of balance ({min(present)} to {max(present)} rows): accuracy will say little."
    if _by_role(description, "weight"):
        yield "The weight of every row counts in the loss and in the metrics."
    for note in description.notes:
        yield f"Note: {note}"


def _comment(text: str) -> str:
    """Return a comment of one line; names in a file may hold anything, and TOML allows no control characters."""
    return "# " + " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def _data_keys(description: FileDescription, path: str, task: Task) -> list[str]:
    values: dict[str, Any] = {"path": path}
    if description.task is None:
        values["task"] = str(task)
    missing = {"val": 0.2} if "val" not in description.splits else {}
    if not description.splits.keys() & {"train", "val", "test"}:
        missing["test"] = 0.2
    if missing:
        counts = [count for classes in description.class_counts.values() for count in classes.values()]
        # Groups stay whole, and a class of one row cannot be divided: then the default decides.
        divisible = not _by_role(description, "group") and min(counts, default=0) > 2
        by_class = task in (Task.BINARY, Task.MULTICLASS) and not description.per_position
        values["split"] = {**missing, "stratify": True} if by_class and divisible else missing
    if preprocess := _preprocess(description):
        values["preprocess"] = preprocess
    if task is Task.REGRESSION:
        values["scale_target"] = True
    comments = {
        "path": "relative to this file",
        "scale_target": "trains on mean 0 and standard deviation 1; answers are in the target's own units",
        "task": "a guess, since the target is integers without `classes`; or regression",
    }
    return _keys(values, DataSection, comments)


def _preprocess(description: FileDescription) -> list[str]:
    """Return what makes numbers of the inputs that networks learn well from; missing values are filled in first."""
    fields = _by_role(description, "input", "condition")
    columns = [field for field in fields if field.kind in ("features", "sequence")]
    needed = {
        "impute": any(field.figures is not None and field.figures.missing for field in columns),
        "one_hot": any(field.kind == "categorical" and field.classes for field in fields),
        "standardize": bool(columns) or any(field.kind == "image" for field in fields),
    }
    return [name for name, wanted in needed.items() if wanted]


def _train_keys(description: FileDescription, task: Task) -> list[str]:
    rows = description.splits.get("train", next(iter(description.splits.values()), 0))
    batch_size = next((size for size in (64, 32, 16) if rows >= STEPS * size), 8)
    values = {
        "epochs": 30,
        "batch_size": batch_size,
        "loss": LOSSES[task],
        "optimizer": {"name": "adamw", "lr": 1e-3, "weight_decay": 1e-2},
        "schedule": {"name": "cosine", "warmup_epochs": 1.0},
        "metrics": ["accuracy", "ece"] if task.classifies else ["rmse", "mae", "r2"],
        "monitor": "val_loss",
    }
    comments = {
        "optimizer": "what takes the steps, and its learning rate",
        "schedule": "how the rate changes over training",
        "monitor": "decides the best epoch and early stopping",
    }
    return _keys(values, TrainSection, comments)


def _space() -> list[str]:
    """Return the keys that are worth tuning first, whatever the data."""
    values: dict[str, Any] = {
        "train.optimizer.lr": ("log_uniform", [1e-4, 1e-1], "between these; equal factors are equally likely"),
        "train.optimizer.weight_decay": ("log_uniform", [1e-4, 1.0], "likewise"),
        "model.dropout": ("uniform", [0.0, 0.5], "all numbers between these are equally likely"),
    }
    texts = {f'"{key}" = {_toml({kind: ends})}': comment for key, (kind, ends, comment) in values.items()}
    width = max(map(len, texts))
    return ["[tune.space]", *(f"{text:{width}}  # {comment}" for text, comment in texts.items())]


def _component(kind: str, name: str, values: Mapping[str, Any], registry: Registry, key: str = "name") -> list[str]:
    """Return a component's lines: its name, and parameters with their descriptions."""
    comments = {
        key: f"others: dlcli plugins list --kind {kind}",
        "inputs": "learned numbers for each token; others: dlcli plugins list --kind input_layer",
        "activation": "what follows each hidden layer",
        "norm": "what stands before each activation",
    }
    return _keys({key: name, **values}, registry.load(registry.find(kind, name)), comments)


def _keys(values: Mapping[str, Any], model: type[BaseModel], comments: Mapping[str, str] | None = None) -> list[str]:
    """Return one line a key, its comment beside it: the given one, else the model's description."""
    texts = {key: f"{key} = {_toml(value)}" for key, value in values.items()}
    width = max(map(len, texts.values()))
    lines = []
    for key, text in texts.items():
        comment = (comments or {}).get(key) or model.model_fields[key].description
        lines.append(f"{text:{width}}  # {comment}" if comment else text)
    return lines


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{key} = {_toml(item)}' for key, item in value.items())} }}"
    return str(tomlkit.item(value).as_string())
