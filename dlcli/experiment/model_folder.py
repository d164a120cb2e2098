"""A model folder: all that evaluate, predict, export and ensemble need, of one network or of several combined."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from dlcli.contracts.preprocessor import Preprocessing
from dlcli.errors import DataError
from dlcli.experiment.combination import COMBINERS, CombinedModel
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
from dlcli.training.checkpoint import read_tensors

AnyModel = Model | CombinedModel
"""What a run's model folder holds."""


@dataclass(frozen=True)
class TrainedMember:
    """One trained network of a combination.

    Args:
        identity: Its name within the run.
        description: What it is.
        state: The network's `state_dict`, on the CPU.
        preprocessing: What is applied to each field before it.
    """

    identity: str
    description: ModelDescription
    state: Mapping[str, Tensor]
    preprocessing: Preprocessing = field(default_factory=dict)


def write_combination(
    folder: Path,
    members: Sequence[TrainedMember],
    plugins: Plugins,
    *,
    combiner: str = "mean",
    settings: Mapping[str, Any] | None = None,
    state: Mapping[str, Tensor] | None = None,
) -> None:
    """Write a model folder that holds all members and how they are combined, whole or not at all.

    Args:
        folder: Where.
        members: In the order in which the combiner gets their outputs; one at least.
        plugins: Names and versions of the packages that it needs.
        combiner: One of `COMBINERS`.
        settings: The combiner's JSON-ready settings.
        state: The combiner's tensors.
    """
    models: list[dict[str, Any]] = []
    listed: list[dict[str, Any]] = []
    tensors = {f"combiner.{name}": tensor for name, tensor in (state or {}).items()}
    for member in members:
        table = model_table(member.description, plugins)
        if table not in models:
            models.append(table)
        listed.append({"identity": member.identity, "model": models.index(table)})
        own = model_tensors(member.state, member.preprocessing)
        tensors |= {f"members.{member.identity}.{name}": tensor for name, tensor in own.items()}
    needed = [component for member in members for component in components_of(member.description)]
    combination = {"combiner": combiner, "settings": dict(settings or {}), "members": listed}
    table = {"format": FORMAT, "combination": combination, "models": models, "packages": packages(needed, plugins)}
    write_files(folder, table, tensors)


def read_model(folder: Path, plugins: Plugins) -> AnyModel:
    """Read a model folder; nothing in it is unpickled, imported or executed.

    Args:
        folder: What `write_model` or `write_combination` left.
        plugins: Where its components are.

    Returns:
        The model, in eval mode on the CPU.

    Raises:
        DataError: A file is missing, damaged, or does not fit the other.
        PluginError: A package that it needs is not installed.
    """
    path = folder / DESCRIPTION
    table = read_table(folder, plugins)
    if "combination" not in table:
        description = read_description(table, path, plugins.registry)
        return make_model(description, read_tensors(folder / WEIGHTS), folder)
    try:
        combination, models = table["combination"], table["models"]
        name, settings = combination["combiner"], combination["settings"]
        listed = {str(entry["identity"]): models[int(entry["model"])] for entry in combination["members"]}
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise DataError(f"{path} is damaged: {type(error).__name__}: {error}") from None
    if name not in COMBINERS or not listed:
        raise DataError(
            f"{path} combines {len(listed)} members by {name!r}; this dlcli knows {', '.join(COMBINERS)}: "
            "use the dlcli that wrote it"
        )
    tensors = read_tensors(folder / WEIGHTS)
    members = {
        identity: make_model(
            read_description(entry, path, plugins.registry), below(f"members.{identity}.", tensors), folder
        )
        for identity, entry in listed.items()
    }
    task = next(iter(members.values())).task
    return CombinedModel(members, COMBINERS[name](task, settings, below("combiner.", tensors)))
