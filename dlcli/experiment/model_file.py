"""The two files of a model folder, `model.safetensors` and `model.json`: what is in them, and back."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors.torch import save_file
from torch import Tensor

from dlcli import atomic
from dlcli.contracts.architecture import Architecture
from dlcli.contracts.component import Component
from dlcli.contracts.field import Field, InputOutput
from dlcli.contracts.loss import Loss
from dlcli.contracts.metric import Metric
from dlcli.contracts.preprocessor import FittedPreprocessor, Preprocessing, Preprocessor
from dlcli.contracts.task import Task
from dlcli.errors import DataError, PluginError
from dlcli.experiment.model import Model, ModelDescription
from dlcli.layers.dropout import replace_dropout
from dlcli.plugins import Plugins
from dlcli.registry import Registry
from dlcli.training.network import cpu_copies

FORMAT = 1
WEIGHTS, DESCRIPTION = "model.safetensors", "model.json"


def model_table(description: ModelDescription, plugins: Plugins) -> dict[str, Any]:
    """Return a description as `model.json` has it."""
    dump = plugins.registry.dump
    return {
        "architecture": dump(description.architecture),
        "io": asdict(description.io),
        "inputs": [asdict(field) for field in description.inputs],
        "conditions": [asdict(field) for field in description.conditions],
        "target": asdict(description.target),
        "preprocess": {name: [dump(c) for c in chain] for name, chain in description.preprocess.items()},
        "loss": dump(description.loss),
        "metrics": {name: dump(metric) for name, metric in description.metrics.items()},
        "columns": {name: list(columns) for name, columns in description.columns.items()},
    }


def components_of(description: ModelDescription) -> list[Component]:
    """Return every component that a model needs."""
    return [
        description.architecture,
        description.loss,
        *description.metrics.values(),
        *(component for chain in description.preprocess.values() for component in chain),
    ]


def model_tensors(state: Mapping[str, Tensor], preprocessing: Preprocessing) -> dict[str, Tensor]:
    """Return the tensors of a network and of the preprocessing before it as `model.safetensors` names them."""
    tensors = {f"network.{name}": tensor for name, tensor in state.items()}
    for field, chain in preprocessing.items():
        for index, fitted in enumerate(chain):
            tensors |= {f"preprocess.{field}.{index}.{name}": t for name, t in fitted.state.items()}
    return tensors


def write_files(folder: Path, table: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Write the two files of a model folder.

    Args:
        folder: Where; it appears whole.
        table: What `model.json` is to hold.
        tensors: What `model.safetensors` is to hold.
    """
    copies = cpu_copies(tensors)  # members may share preprocessing, and safetensors takes nothing that is shared

    def fill(temporary: Path) -> None:
        save_file(copies, temporary / WEIGHTS)
        (temporary / DESCRIPTION).write_text(json.dumps(table, indent=1, allow_nan=False) + "\n", encoding="utf-8")

    atomic.write_folder(folder, fill)


def packages(components: Sequence[Any], plugins: Plugins) -> dict[str, str]:
    """Return the version of every package that the components, and those inside them, come from."""
    text = json.dumps([plugins.registry.dump(component) for component in components])
    named = {entry.distribution for entry in plugins.registry.entries() if f'"{entry.label}"' in text}
    return {distribution: plugins.version(distribution) for distribution in sorted(named)}


def read_table(folder: Path, plugins: Plugins) -> dict[str, Any]:
    """Read `model.json` of a folder, and see that what it needs is installed.

    Args:
        folder: A model folder.
        plugins: What is installed.

    Returns:
        The table.

    Raises:
        DataError: The file is missing, damaged or of another format.
        PluginError: A package that the model needs is not installed.
    """
    path = folder / DESCRIPTION
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read the model {path}: {error}; train again, or restore it from a copy") from None
    if not isinstance(table, dict) or table.get("format") != FORMAT:
        raise DataError(f"{path} is of another format; this dlcli reads format {FORMAT}")
    installed = {entry.distribution for entry in plugins.registry.entries()}
    missing = sorted(set(table.get("packages", {})) - installed)
    if missing:
        needed = " ".join(f"{name}=={table['packages'][name]}" for name in missing)
        raise PluginError(f"the model {folder} needs packages that are not installed: pip install {needed}")
    return table


def make_model(description: ModelDescription, tensors: Mapping[str, Tensor], folder: Path) -> Model:
    """Put a model together from what its files say.

    Args:
        description: What it is.
        tensors: Its tensors, named as `model_tensors` does.
        folder: Where they are from, for errors.

    Returns:
        The model, in eval mode on the CPU.

    Raises:
        DataError: The tensors do not fit the description.
    """
    preprocessing = {
        name: tuple(
            FittedPreprocessor(component, below(f"preprocess.{name}.{index}.", tensors))
            for index, component in enumerate(chain)
        )
        for name, chain in description.preprocess.items()
    }
    with torch.random.fork_rng(devices=[]):
        network = replace_dropout(description.architecture.build(description.io))
    try:
        network.load_state_dict(below("network.", tensors))
    except RuntimeError as error:
        cause = str(error).splitlines()[-1].strip()
        raise DataError(f"{folder / WEIGHTS} does not fit {DESCRIPTION}: {cause}") from None
    return Model(description, network, preprocessing)


def read_description(table: Mapping[str, Any], path: Path, registry: Registry) -> ModelDescription:
    """Read a description from `model.json`; nothing in it is unpickled, imported or executed.

    Args:
        table: What `model_table` returned.
        path: The file, for errors.
        registry: Where its components are.

    Returns:
        The description.

    Raises:
        DataError: Something is missing or of another type.
    """
    try:
        io = table["io"]
        return ModelDescription(
            architecture=registry.component(Architecture, table["architecture"]),
            io=InputOutput(
                inputs=tuple(_field(field) for field in io["inputs"]),
                task=Task(io["task"]),
                outputs=int(io["outputs"]),
                classes=tuple(io["classes"]),
                conditions=tuple(_field(field) for field in io["conditions"]),
                per_position=bool(io["per_position"]),
                targets=tuple(io["targets"]),
            ),
            inputs=tuple(_field(field) for field in table["inputs"]),
            conditions=tuple(_field(field) for field in table["conditions"]),
            target=_field(table["target"]),
            preprocess={
                name: tuple(registry.component(Preprocessor, entry) for entry in chain)
                for name, chain in table["preprocess"].items()
            },
            loss=registry.component(Loss, table["loss"]),
            metrics={name: registry.component(Metric, entry) for name, entry in table["metrics"].items()},
            columns={name: tuple(map(int, columns)) for name, columns in table["columns"].items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError, ValidationError) as error:
        raise DataError(f"{path} is damaged: {type(error).__name__}: {error}") from None


def _field(table: dict[str, Any]) -> Field:
    lists = {key: tuple(table[key]) for key in ("shape", "classes", "names")}
    return Field(**{**table, **lists})


def below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors whose name begins with a prefix, by the rest of their name."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
