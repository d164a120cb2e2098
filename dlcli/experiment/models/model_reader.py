"""From the two files of a model folder to a model: of one network, or of several combined, at any depth."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dlcli.contracts.ensemble import Ensemble
from dlcli.contracts.task import Task
from dlcli.errors import DataError, PluginError
from dlcli.experiment.ensembling.outputs import check_combined
from dlcli.experiment.models.bounded import Bounded, OutOfBounds
from dlcli.experiment.models.combination import CombinedModel, Wiring
from dlcli.experiment.models.description_check import list_of, table_of, whole
from dlcli.experiment.models.model import Model
from dlcli.experiment.models.model_build import SPARE_BYTES, SPARE_OPERATIONS, ModelBuilder
from dlcli.experiment.models.model_file import DAMAGE, DESCRIPTION, damaged, read_description
from dlcli.registry import Registry
from dlcli.untrusted import is_folder_name

DEEPEST = 16
"""Combinations within combinations at most."""
AnyModel = Model | CombinedModel
"""What a run's model folder holds."""


class ModelReader:
    """Makes the model of a folder; nothing in it is unpickled, imported or executed.

    Args:
        folder: The model folder, for errors.
        registry: Where its components are.
    """

    def __init__(self, folder: Path, registry: Registry) -> None:
        self._folder, self._registry = folder, registry
        self._path = folder / DESCRIPTION
        self._builders: dict[int, ModelBuilder] = {}

    def read(self, table: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> AnyModel:
        """Make the model.

        Args:
            table: What `model.json` holds.
            tensors: What `model.safetensors` holds.

        Returns:
            The model, in eval mode on the CPU.

        Raises:
            DataError: Something in it is damaged, or does not fit the rest.
            PluginError: Members' outputs are combined into what no outputs can be.
        """
        with torch.random.fork_rng(devices=[]):
            return self._any(table, tensors, 0)[0]

    def _any(
        self, table: Mapping[str, Any], tensors: Mapping[str, Tensor], depth: int
    ) -> tuple[AnyModel, Tensor | None]:
        """Return a model, and its answer to one row where that is cheap."""
        if "combination" in table:
            return self._combined(table, tensors, depth)
        # A table stands for all members that refer to it, and lives as long as the whole.
        if id(table) not in self._builders:
            description = read_description(table, self._path, self._registry)
            self._builders[id(table)] = ModelBuilder(description, self._folder)
        builder = self._builders[id(table)]
        model = builder.build(tensors)
        return model, builder.try_out(model)

    def _combined(
        self, table: Mapping[str, Any], tensors: Mapping[str, Tensor], depth: int
    ) -> tuple[CombinedModel, Tensor | None]:
        try:
            combination, models = table_of(table["combination"]), list_of(table["models"])
            strategy = self._registry.component(Ensemble, combination["strategy"])
            task = Task(combination["task"])
            listed = _listed(list_of(combination["parts"]), models)
            wiring = _wiring(combination, listed)
            settings = dict(table_of(combination["settings"]))
            scale = _temperature(combination["temperature"])
            if depth == DEEPEST:
                raise ValueError(f"combinations are nested deeper than {DEEPEST}")
        except DAMAGE as error:
            raise damaged(self._path, error) from None
        own = _by_member(tensors)
        parts: dict[str, AnyModel] = {}
        answers: dict[str, Tensor | None] = {}
        for identity, entry in listed.items():
            parts[identity], answers[identity] = self._any(entry, own.get(identity, {}), depth + 1)
        try:
            _check_parts(parts, wiring, task)
        except ValueError as error:
            raise damaged(self._path, error) from None
        try:
            with Bounded(SPARE_BYTES, SPARE_OPERATIONS, f"combining by {strategy.name}"):
                combiner = strategy.combine(task, settings, own.get("", {}))
            model = CombinedModel(parts, combiner, wiring, scale, strategy.answers_alone)
            return model, _combined_answer(model, strategy, answers)
        except PluginError:
            raise
        # Strategies of others raise what they like when settings and state are not theirs.
        except Exception as error:
            cause = damaged(self._path, error)
            raise DataError(f"{cause}: {strategy.name} cannot combine by it") from None


def _listed(entries: list[Any], models: list[Any]) -> dict[str, Mapping[str, Any]]:
    """Return the entry of each member's model, by identity."""
    found: dict[str, Mapping[str, Any]] = {}
    for entry in entries:
        identity, number = table_of(entry)["identity"], whole(entry["model"])
        if not is_folder_name(identity) or "." in identity or identity in found:
            raise ValueError(f"a member is called {identity!r}, which is no name or is there twice")
        if not 0 <= number < len(models):
            raise ValueError(f"{identity} is model {number}, of {len(models)}")
        found[identity] = table_of(models[number])
    return found


def _wiring(combination: Mapping[str, Any], listed: Mapping[str, object]) -> Wiring:
    fed = {
        identity: {
            name: tuple(tuple(map(str, list_of(group))) for group in list_of(groups))
            for name, groups in table_of(inputs).items()
        }
        for identity, inputs in table_of(combination["fed"]).items()
    }
    wiring = Wiring(tuple(map(str, list_of(combination["members"]))), fed)
    everybody = wiring.everybody
    if not wiring.members or not {*everybody, *fed} <= set(listed):
        raise ValueError(f"it combines {', '.join(everybody)}, but holds {', '.join(listed)}")
    if len(set(wiring.members)) < len(wiring.members):
        raise ValueError("a member is combined twice")
    before: set[str] = set()
    for identity in everybody:
        groups = [group for groups in fed.get(identity, {}).values() for group in groups or ((),)]
        if not all(group and set(group) <= before for group in groups) or (identity in fed and not groups):
            raise ValueError(f"{identity} is fed by nobody, or by itself in the end")
        before.add(identity)
    return wiring


def _temperature(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ValueError(f"its temperature is {value!r}, expected a number above 0")
    return float(value)


def _by_member(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Return the tensors of each member by the rest of their names; those of the combiner under no name."""
    found: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        whose, _, rest = name.partition(".")
        if whose == "combiner":
            found.setdefault("", {})[rest] = tensor
        elif whose == "members":
            identity, _, own = rest.partition(".")
            found.setdefault(identity, {})[own] = tensor
    return found


def _check_parts(parts: Mapping[str, AnyModel], wiring: Wiring, task: Task) -> None:
    """See that members answer the same task on the same fields, and that those that are fed get what they take."""
    first = parts[next(identity for identity in wiring.everybody if identity not in wiring.fed)]
    raw = {field.name: field for field in first.inputs}
    io = first.description.io
    for identity in wiring.everybody:
        part = parts[identity]
        own = part.description.io
        if (own.task, own.outputs, own.classes, own.per_position) != (task, io.outputs, io.classes, io.per_position):
            raise ValueError(f"{identity} answers another task than the rest")
        fed = wiring.fed.get(identity, {})
        for field in part.inputs:
            if field.name in fed:
                fits = field.shape == (len(fed[field.name]) * io.outputs,)
            else:
                fits = field.name in raw and (field.kind, field.shape) == (raw[field.name].kind, raw[field.name].shape)
            if not fits:
                raise ValueError(f"{identity} takes {field.name} {field.shape}, which nothing gives")
        if [f.name for f in part.description.conditions] != [f.name for f in first.description.conditions]:
            raise ValueError(f"{identity} takes other conditions than the rest")


def _combined_answer(model: CombinedModel, strategy: Ensemble, answers: Mapping[str, Tensor | None]) -> Tensor | None:
    outputs = {identity: answer for identity, answer in answers.items() if answer is not None}
    if not set(model.wiring.members) <= set(outputs):
        return None
    try:
        with torch.no_grad(), Bounded(SPARE_BYTES, SPARE_OPERATIONS, "combining"):
            combined = model.combine_outputs(outputs)
    except OutOfBounds:
        return None
    check_combined(strategy, torch.stack([outputs[identity] for identity in model.wiring.members]), combined)
    return combined
