"""What predicts: a run's model, or an artefact that `dlcli export` left."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

from dlcli.contracts.component import Component
from dlcli.contracts.exporter import Artefact, Exporter
from dlcli.data.conversion import DTYPES
from dlcli.data.mapping import FieldMapping
from dlcli.data.origin import is_origin, origin_of_run
from dlcli.errors import DataError, DlcliError, PluginError, TrainingError, UsageError
from dlcli.experiment.address import find_address
from dlcli.experiment.models.answering import Answering
from dlcli.experiment.models.interface import (
    IMPORTED_KEY,
    PREDICTION,
    PROBABILITIES,
    SPREAD,
    Interface,
    read_interface,
)
from dlcli.experiment.models.model_file import DESCRIPTION
from dlcli.experiment.models.model_folder import read_model
from dlcli.experiment.prepare import field_mappings
from dlcli.plugins import Plugins
from dlcli.recipe.load import load_recipe
from dlcli.registry import Registry
from dlcli.training.device import choose_device
from dlcli.untrusted import reason

C = TypeVar("C", bound=Component)
Fields = Mapping[str, Tensor]


class UnansweredError(DataError):
    """An artefact could not be run on rows; whose fault that is, the rows' or its own, it does not tell."""


@dataclass(frozen=True)
class Predictor:
    """A model to be asked.

    Args:
        name: The run, the member, or the artefact's path.
        interface: What it takes and gives.
        mappings: Where its fields lie in the data that it was trained on; of an artefact nothing is known.
        imported: How that data was imported: `importer` and `parameters`; empty where it was not, None where nothing is
            known, as of artefacts of earlier versions.
        answer: From raw rows by field name, on the CPU, to its outputs by name, on the CPU.
    """

    name: str
    interface: Interface
    mappings: Mapping[str, FieldMapping]
    imported: Mapping[str, Any] | None
    answer: Callable[[Fields], Fields]

    def __call__(self, rows: Fields) -> Fields:
        """Return what it answers.

        Args:
            rows: Raw rows (B, …) by field name.

        Returns:
            Probabilities or prediction, and spread where it has one, by output name.

        Raises:
            TrainingError: Memory ran out.
            DataError: The answers are not of the shape that its interface promises.
        """
        count = len(next(iter(rows.values())))
        try:
            answers = self.answer(rows)
        except torch.OutOfMemoryError as cause:
            raise TrainingError(
                f"memory ran out with {count} rows at once; take fewer with --batch-size, or --device cpu"
            ) from cause
        wanted = PROBABILITIES if self.interface.task.classifies else PREDICTION
        width = len(self.interface.columns)
        dimensions = 3 if self.interface.per_position else 2
        for name in (wanted, *({SPREAD} & set(self.interface.outputs))):
            found = answers.get(name)
            if found is None or found.ndim != dimensions or (len(found), found.shape[-1]) != (count, width):
                got = "nothing" if found is None else f"a tensor of shape {tuple(found.shape)}"
                raise DataError(
                    f"{self.name} is damaged: as {name} of {count} rows it gives {got}, expected {width} columns; "
                    "export it again"
                )
        return answers


def open_predictor(run: str | Path, device: str | None, runs: Path, plugins: Plugins) -> Predictor:
    """Open what a user named: an artefact where there is a file or folder that an exporter writes, else a run.

    Args:
        run: A run, a member of one, or the path of an artefact.
        device: Where to compute; of a run the recipe's where None.
        runs: Folder of all runs.
        plugins: Where components are.

    Returns:
        What can be asked.

    Raises:
        UsageError: There is no such run, or the artefact holds machine code, or is to run elsewhere than on the CPU.
        DataError: The model has not been trained, or the files are damaged.
    """
    exporters = _exporters(Path(run), plugins)
    if exporters:
        if device not in (None, "auto", "cpu"):
            raise UsageError(
                f"an artefact runs on the CPU; got --device {device}: leave it out, or predict with the run"
            )
        return _of_artefact(Path(run), exporters)
    address = find_address(run, runs)
    answering = Answering(read_model(address.trained_model(), plugins))
    recipe = load_recipe(address.run.recipe, plugins.registry)
    where = choose_device(device or recipe.train.device)
    answering.to(where)
    interface = answering.interface
    names = [field.name for field in interface.fields]
    kept = tuple(name for name in interface.outputs if name in (PROBABILITIES, PREDICTION, SPREAD))

    def answer(rows: Fields) -> Fields:
        with torch.inference_mode():
            found = answering(*(rows[name].to(where) for name in names))
            by_name = dict(zip(interface.outputs, found, strict=True))
            return {name: by_name[name].cpu() for name in kept}

    return Predictor(str(address), interface, field_mappings(recipe), origin_of_run(address.run.read()), answer)


def those_that_load(registry: Registry, kind: type[C], attribute: str) -> tuple[list[C], PluginError | None]:
    """Return all components of a kind; one that is broken must not keep the others from their work.

    Args:
        registry: Where they are.
        kind: Class of the kind.
        attribute: What each must have to be chosen by.

    Returns:
        The components, and why the first broken one is.
    """
    found: list[C] = []
    broken: PluginError | None = None
    for entry in registry.entries(kind.kind):
        try:
            component = registry.component(kind, entry.label)
            getattr(component, attribute)
        except Exception as error:  # it may be anybody's
            broken = broken or PluginError(f"{kind.kind} {entry.label} is broken: {type(error).__name__}: {error}")
        else:
            found.append(component)
    return found, broken


def _exporters(path: Path, plugins: Plugins) -> list[Exporter]:
    """Return the exporters that may have written what lies at a path; none for a run."""
    registry = plugins.registry
    is_folder = (path / DESCRIPTION).is_file() and not (path / "run.json").exists()
    if not path.is_file() and not is_folder:
        return []
    everybody, broken = those_that_load(registry, Exporter, "suffix")
    fitting = [e for e in everybody if is_folder is not bool(e.suffix) and path.name.lower().endswith(e.suffix)]
    longest = max((len(exporter.suffix) for exporter in fitting), default=0)  # .aoti.pt2 is no .pt2
    found = [exporter for exporter in fitting if len(exporter.suffix) == longest]
    if not found and broken:
        raise broken
    if not found and path.is_file():
        suffixes = sorted({exporter.suffix for exporter in everybody if exporter.suffix})
        raise UsageError(
            f"{path} is neither a run nor an artefact that can be opened: artefacts end with {', '.join(suffixes)}"
        )
    return found


def _of_artefact(path: Path, exporters: Iterable[Exporter]) -> Predictor:
    problem: DataError | None = None
    for exporter in exporters:
        if exporter.foreign_code:
            raise UsageError(
                f"{path} is not opened: its machine code would be run, and it could do anything; predict with the run "
                "that it was exported from, or with another format of it"
            )
        try:
            artefact = exporter.open(path)
            interface = read_interface(artefact.metadata, path)
            imported = _imported(artefact.metadata, path)
        except DataError as error:  # another exporter with the same suffix may know better
            problem = problem or error
            continue
        _check(interface, path)
        return Predictor(str(path), interface, {}, imported, _answer_of(artefact, path))
    raise problem or DataError(f"{path} cannot be opened: no exporter that is installed knows it")


def _imported(metadata: Mapping[str, str], path: Path) -> Mapping[str, Any] | None:
    """Return what an artefact, which may be anybody's, says of how the training data was imported."""
    text = metadata.get(IMPORTED_KEY)
    if text is None:
        return None
    try:
        found = json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise DataError(
            f"the metadata of {path} are damaged: {IMPORTED_KEY} is no JSON ({reason(error)}); export it again"
        ) from None
    if not is_origin(found):
        raise DataError(
            f"the metadata of {path} are damaged: {IMPORTED_KEY} is {reason(repr(found))}, expected importer and "
            "parameters; export it again"
        )
    return cast(Mapping[str, Any], found)


def _answer_of(artefact: Artefact, path: Path) -> Callable[[Fields], Fields]:
    def answer(rows: Fields) -> Fields:
        try:
            with torch.inference_mode():
                return artefact.run(rows)
        except (DlcliError, torch.OutOfMemoryError):
            raise
        except Exception as error:  # each runtime has errors of its own
            raise UnansweredError(
                f"{path} cannot be run on these rows: {type(error).__name__}: {error}; look at them, or export it again"
            ) from error

    return answer


def _check(interface: Interface, path: Path) -> None:
    """Refuse an interface whose fields no rows could be converted to."""
    wrong = [field for field in interface.fields if field.dtype not in DTYPES]
    wrong += [field for field in interface.fields if field.kind == "image" and len(field.shape) != 3]
    if wrong:
        raise DataError(
            f"the metadata of {path} are damaged: field {wrong[0].name} is {wrong[0].dtype} of shape {wrong[0].shape}"
        )
    if interface.task.classifies and not interface.columns:
        raise DataError(f"the metadata of {path} are damaged: there are no classes")
