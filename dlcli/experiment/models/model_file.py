"""The two files of a model folder, `model.safetensors` and `model.json`: what is in them, and back."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from safetensors.torch import save_file
from torch import Tensor

from dlcli import atomic
from dlcli.contracts.architecture import Architecture
from dlcli.contracts.component import Component
from dlcli.contracts.field import Field, InputOutput
from dlcli.contracts.loss import Loss
from dlcli.contracts.metric import Metric
from dlcli.contracts.preprocessor import Preprocessing, Preprocessor
from dlcli.contracts.task import Task
from dlcli.errors import DataError, PluginError
from dlcli.experiment.models.description_check import check_description, list_of, read_field, table_of, whole
from dlcli.experiment.models.model import ModelDescription
from dlcli.plugins import Plugins
from dlcli.registry import Registry
from dlcli.training.network import cpu_copies
from dlcli.untrusted import read_json, reason

FORMAT = 1
PACKAGE = re.compile(r"[A-Za-z0-9]([\w.-]{0,98}[A-Za-z0-9])?", re.ASCII)
VERSION = re.compile(r"[\w.+!-]{1,64}", re.ASCII)
"""Of the packages that a model needs: what a shell takes as it is."""
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
        "length": None if description.length is None else asdict(description.length),
        "mask": None if description.mask is None else asdict(description.mask),
        "target_scaled": description.target_scaled,
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
        table = read_json(path)
    except (OSError, ValueError) as error:
        cause = reason(error)
        raise DataError(f"cannot read the model {path}: {cause}; train again, or restore it from a copy") from None
    if not isinstance(table, dict) or table.get("format") != FORMAT:
        raise DataError(f"{path} is of another format; this dlcli reads format {FORMAT}")
    needed = table.get("packages", {})
    if not isinstance(needed, dict) or not all(
        isinstance(version, str) and PACKAGE.fullmatch(name) and VERSION.fullmatch(version)
        for name, version in needed.items()
    ):
        raise DataError(f"{path} is damaged: its packages are {reason(repr(needed))}, expected names and versions")
    installed = {entry.distribution for entry in plugins.registry.entries()}
    missing = sorted(set(needed) - installed)
    if missing:
        listed = " ".join(f"{name}=={needed[name]}" for name in missing)
        raise PluginError(
            f"the model {folder} needs packages that are not installed: pip install {listed}, if you trust them; dlcli "
            "installs and imports nothing that a model names"
        )
    return table


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
        io = table_of(table["io"])
        description = ModelDescription(
            architecture=registry.component(Architecture, table["architecture"]),
            io=InputOutput(
                inputs=_fields(io["inputs"]),
                task=Task(io["task"]),
                outputs=whole(io["outputs"]),
                classes=tuple(list_of(io["classes"])),
                conditions=_fields(io["conditions"]),
                per_position=bool(io["per_position"]),
                targets=tuple(list_of(io["targets"])),
            ),
            inputs=_fields(table["inputs"]),
            conditions=_fields(table["conditions"]),
            target=read_field(table["target"]),
            preprocess={
                name: tuple(registry.component(Preprocessor, entry) for entry in list_of(chain))
                for name, chain in table_of(table["preprocess"]).items()
            },
            loss=registry.component(Loss, table["loss"]),
            metrics={name: registry.component(Metric, entry) for name, entry in table_of(table["metrics"]).items()},
            columns={name: tuple(map(whole, list_of(columns))) for name, columns in table_of(table["columns"]).items()},
            # Runs of earlier versions do not say whether there are any.
            length=read_field(table["length"]) if table.get("length") else None,
            mask=read_field(table["mask"]) if table.get("mask") else None,
            target_scaled=bool(table.get("target_scaled", False)),
        )
        check_description(description)
    except DAMAGE as error:
        raise damaged(path, error) from None
    return description


DAMAGE = (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError, RecursionError)
"""What reading a description raises where something in it is not what it should be."""


def damaged(path: Path, error: Exception) -> DataError:
    """Return the error that says why a description cannot be."""
    cause = str(error)
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_context=False)[0]
        cause = f"{error.title}: {'.'.join(map(str, first['loc'])) or 'its parameters'}: {first['msg']}"
    return DataError(f"{path} is damaged: {type(error).__name__}: {reason(cause)}")


def _fields(tables: object) -> tuple[Field, ...]:
    return tuple(read_field(table) for table in list_of(tables))


def below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors whose name begins with a prefix, by the rest of their name."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
