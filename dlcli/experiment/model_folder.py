"""A model folder: all that evaluate, predict, export and ensemble need, of one network or of several combined."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from dlcli.contracts.ensemble import Ensemble
from dlcli.contracts.preprocessor import Preprocessing
from dlcli.contracts.task import Task
from dlcli.errors import DataError
from dlcli.experiment.combination import CombinedModel, Wiring
from dlcli.experiment.model import Model, ModelDescription
from dlcli.experiment.model_file import (
    DESCRIPTION,
    FORMAT,
    WEIGHTS,
    below,
    components_of,
    make_model,
    model_table,
    model_tensors,
    packages,
    read_description,
    read_table,
    write_files,
)
from dlcli.plugins import Plugins
from dlcli.registry import Registry
from dlcli.training.checkpoint import read_tensors

AnyModel = Model | CombinedModel
"""What a run's model folder holds."""


@dataclass(frozen=True)
class Part:
    """A model as the files of a folder have it, to stand in those of a combination.

    Args:
        table: A network's entries of `model.json`, or `combination` and `models` of several.
        tensors: What `model.safetensors` holds.
        packages: Version of each package that it needs.
    """

    table: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    packages: Mapping[str, str]


@dataclass(frozen=True)
class Combined:
    """How the members of a combination become one output.

    Args:
        strategy: Whose combiner it is.
        task: How outputs are read.
        wiring: Whose outputs go where.
        settings: The combiner's JSON-ready settings.
        state: The combiner's tensors.
        temperature: What outputs are divided by; None for none.
    """

    strategy: Ensemble
    task: Task
    wiring: Wiring
    settings: Mapping[str, Any] = field(default_factory=dict)
    state: Mapping[str, Tensor] = field(default_factory=dict)
    temperature: float | None = None


def trained_part(
    description: ModelDescription, state: Mapping[str, Tensor], preprocessing: Preprocessing, plugins: Plugins
) -> Part:
    """Return a trained network as files have it: a model of its own, or a part of a combination.

    Args:
        description: What it is.
        state: The network's `state_dict`, on the CPU.
        preprocessing: What is applied to each field before it.
        plugins: Names and versions of the packages that it needs.

    Returns:
        The part.
    """
    needed = packages(components_of(description), plugins)
    return Part(model_table(description, plugins), model_tensors(state, preprocessing), needed)


def stored_part(folder: Path, plugins: Plugins) -> Part:
    """Return the model of a folder as a part of a combination.

    Args:
        folder: A model folder.
        plugins: What is installed.

    Returns:
        The part.

    Raises:
        DataError: A file is missing or damaged.
        PluginError: A package that it needs is not installed.
    """
    table = read_table(folder, plugins)
    inner = {key: value for key, value in table.items() if key not in ("format", "packages")}
    return Part(inner, read_tensors(folder / WEIGHTS), table.get("packages", {}))


def write_part(folder: Path, part: Part) -> None:
    """Write a model folder that holds a part alone, whole or not at all."""
    write_files(folder, {"format": FORMAT, **part.table, "packages": dict(part.packages)}, part.tensors)


def write_combination(folder: Path, parts: Mapping[str, Part], combined: Combined, plugins: Plugins) -> None:
    """Write a model folder that holds all members and how they are combined, whole or not at all.

    Args:
        folder: Where.
        parts: All members, by identity; those that feed others too.
        combined: How they become one.
        plugins: Names and versions of the packages that the strategy needs.
    """
    models: list[Mapping[str, Any]] = []
    listed: list[dict[str, Any]] = []
    tensors = {f"combiner.{name}": tensor for name, tensor in combined.state.items()}
    for identity, part in parts.items():
        if part.table not in models:
            models.append(part.table)
        listed.append({"identity": identity, "model": models.index(part.table)})
        tensors |= {f"members.{identity}.{name}": tensor for name, tensor in part.tensors.items()}
    combination = {
        "strategy": plugins.registry.dump(combined.strategy),
        "task": str(combined.task),
        "settings": dict(combined.settings),
        "temperature": combined.temperature,
        "parts": listed,
        "members": list(combined.wiring.members),
        "fed": combined.wiring.fed,
    }
    needed = packages([combined.strategy], plugins)
    for part in parts.values():
        needed |= part.packages
    whole = Part({"combination": combination, "models": models}, tensors, dict(sorted(needed.items())))
    write_part(folder, whole)


def read_model(folder: Path, plugins: Plugins) -> AnyModel:
    """Read a model folder; nothing in it is unpickled, imported or executed.

    Args:
        folder: What `write_part` or `write_combination` left.
        plugins: Where its components are.

    Returns:
        The model, in eval mode on the CPU.

    Raises:
        DataError: A file is missing, damaged, or does not fit the other.
        PluginError: A package that it needs is not installed.
    """
    table = read_table(folder, plugins)
    return _make(table, read_tensors(folder / WEIGHTS), folder, plugins.registry)


def _make(table: Mapping[str, Any], tensors: Mapping[str, Tensor], folder: Path, registry: Registry) -> AnyModel:
    path = folder / DESCRIPTION
    if "combination" not in table:
        return make_model(read_description(table, path, registry), tensors, folder)
    try:
        combination, models = table["combination"], table["models"]
        strategy = registry.component(Ensemble, combination["strategy"])
        task, temperature = Task(combination["task"]), combination["temperature"]
        listed = {str(entry["identity"]): models[int(entry["model"])] for entry in combination["parts"]}
        fed = {
            str(identity): {name: tuple(tuple(map(str, group)) for group in groups) for name, groups in inputs.items()}
            for identity, inputs in combination["fed"].items()
        }
        wiring = Wiring(tuple(map(str, combination["members"])), fed)
        if not wiring.members or not set(wiring.everybody) <= set(listed):
            raise ValueError(f"it combines {', '.join(wiring.everybody)}, but holds {', '.join(listed)}")
        settings = dict(combination["settings"])
        scale = None if temperature is None else float(temperature)
        if scale is not None and not 0 < scale < math.inf:
            raise ValueError(f"its temperature is {scale}, expected a number above 0")
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise DataError(f"{path} is damaged: {type(error).__name__}: {error}") from None
    parts = {
        identity: _make(entry, below(f"members.{identity}.", tensors), folder, registry)
        for identity, entry in listed.items()
    }
    try:
        combiner = strategy.combine(task, settings, below("combiner.", tensors))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} is damaged: {strategy.name} cannot combine by it ({error})") from None
    return CombinedModel(parts, combiner, wiring, scale, strategy.answers_alone)


def write_mean(folder: Path, parts: Mapping[str, Part], task: Task, plugins: Plugins) -> None:
    """Write a model folder that holds the mean of members: of probabilities, or of targets.

    Args:
        folder: Where.
        parts: The members, by identity.
        task: How outputs are read.
        plugins: Where the strategy is that takes the mean.
    """
    strategy = plugins.registry.component(Ensemble, "dlcli:voting")
    write_combination(folder, parts, Combined(strategy, task, Wiring(tuple(parts)), {"vote": "soft"}), plugins)
