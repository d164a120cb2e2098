"""A model folder: all that evaluate, predict, export and ensemble need, of one network or of several combined."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from dlcli.contracts.ensemble import Ensemble
from dlcli.contracts.preprocessor import Preprocessing
from dlcli.contracts.task import Task
from dlcli.experiment.models.combination import Wiring
from dlcli.experiment.models.model import ModelDescription
from dlcli.experiment.models.model_file import (
    FORMAT,
    WEIGHTS,
    components_of,
    model_table,
    model_tensors,
    packages,
    read_table,
    write_files,
)
from dlcli.experiment.models.model_reader import AnyModel as AnyModel
from dlcli.experiment.models.model_reader import ModelReader
from dlcli.plugins import Plugins
from dlcli.training.tensor_file import read_tensors


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
    return ModelReader(folder, plugins.registry).read(table, read_tensors(folder / WEIGHTS))


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
