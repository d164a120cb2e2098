"""A model that another run left, as a member of an ensemble: read, and asked honestly."""

import copy
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from dlcli.contracts.dataset import Dataset
from dlcli.errors import DataError
from dlcli.experiment.address import Address
from dlcli.experiment.fold_file import read_folds
from dlcli.experiment.models.combination import CombinedModel
from dlcli.experiment.models.model import Model
from dlcli.experiment.models.model_file import model_tensors
from dlcli.experiment.models.model_folder import AnyModel, Part, stored_part
from dlcli.experiment.models.model_outputs import ModelOutputs
from dlcli.plugins import Plugins
from dlcli.training.checkpoint import NETWORK
from dlcli.training.tensor_file import read_tensors


@dataclass(frozen=True)
class Given:
    """A model that another run left.

    Args:
        identity: Its name within the ensemble, such as `digits-mlp-0001` or `digits-mlp-0001-trial-17`.
        specification: Equal for the checkpoints of one training.
        address: Where it is from.
        model: The model.
        part: The same as its files have it.
        seen: Rows that it was trained on, int64; of a model of folds none, since each row is asked of another fold.
        folds: Where its members are models of folds: each one's identity and held-out rows.
        trained_on: Names of the splits that it has seen.
        start: Digest of what its run started from; empty where that was fresh.
        epoch: The epoch that its weights are from; 0 where it is no single network.
    """

    identity: str
    specification: str
    address: Address
    model: AnyModel
    part: Part
    seen: Tensor
    folds: Mapping[str, Tensor]
    trained_on: tuple[str, ...] = ()
    start: str = ""
    epoch: int = 0

    def outputs(self, outputs_of: ModelOutputs, rows: Tensor) -> Tensor:
        """Return its outputs on rows; where it is of folds, each row's by the fold that has not seen it.

        Args:
            outputs_of: Computes outputs of models.
            rows: Rows of the dataset, int64 (R,).

        Returns:
            Outputs (R, …, O) on the CPU, in the order of the rows.
        """
        if not self.folds or not isinstance(self.model, CombinedModel):
            return outputs_of(self.model, rows)
        asked: list[tuple[AnyModel, Tensor]] = [
            (self.model.part(identity), torch.isin(rows, held_out)) for identity, held_out in self.folds.items()
        ]
        rest = ~torch.stack([own for _, own in asked]).any(dim=0)
        found: Tensor | None = None
        for model, own in (*asked, (self.model, rest)):
            if not bool(own.any()):
                continue
            values = outputs_of(model, rows[own])
            if found is None:
                found = values.new_zeros((len(rows), *values.shape[1:]))
            found[own] = values
        return outputs_of(self.model, rows) if found is None else found

    @property
    def structure(self) -> str:
        """Equal for networks whose weights may be averaged; empty where it is no single network."""
        if not isinstance(self.model, Model):
            return ""
        states = sorted(
            (name, hashlib.sha256(tensor.contiguous().numpy().tobytes()).hexdigest())
            for name, tensor in self.part.tensors.items()
            if name.startswith("preprocess.")
        )
        own = {key: self.part.table[key] for key in ("io", "columns", "preprocess")}
        return json.dumps([self.model.description.architecture.stack_key(), own, states], sort_keys=True)

    @property
    def source(self) -> str:
        """The run as a user may write it."""
        path = self.address.run.path.resolve()
        return f"{path.parent.name}/{path.name}" + (f"@{self.address.member}" if self.address.member else "")


def as_member(address: Address, model: AnyModel, dataset: Dataset, plugins: Plugins) -> Given:
    """Return the model of a run as a member.

    Args:
        address: The run, or a member of it.
        model: Its model.
        dataset: The data that it was trained on, split as it was for it.
        plugins: Where components are.

    Returns:
        The member.

    Raises:
        DataError: Its files are damaged.
    """
    folder, facts = address.trained_model(), address.run.read()
    part = stored_part(folder, plugins)
    broken = [name for name, t in part.tensors.items() if t.is_floating_point() and not bool(t.isfinite().all())]
    if broken:
        raise DataError(
            f"the model {folder} is damaged: {broken[0]} holds numbers that are not finite; restore it from a copy, or "
            "train again"
        )
    seen, folds = _seen(address, facts, dataset, model)
    start = address.run.start
    return Given(
        identity=identity_of(address),
        specification=identity_of(address),
        address=address,
        model=model,
        part=part,
        seen=seen,
        folds=folds,
        trained_on=_trained_on(address, facts),
        start=hashlib.sha256(start.read_bytes()).hexdigest() if start.exists() else "",
        epoch=_epoch(address, facts) if isinstance(model, Model) else 0,
    )


def checkpoints_of(given: Given) -> list[Given]:
    """Return the checkpoints that the run of a single network kept, by epoch.

    Args:
        given: Its model.

    Returns:
        Each checkpoint as a model.

    Raises:
        DataError: It is no single network, or kept fewer than two.
    """
    run = given.address.run
    folders = sorted((run.path / "checkpoints").glob("epoch-*/" + NETWORK))
    if not isinstance(given.model, Model) or given.address.member or len(folders) < 2:
        raise DataError(
            f"{given.address} kept {len(folders)} checkpoints of one network, and two at least are wanted; keep more "
            "when training it, such as --set train.keep_checkpoints.last=5, or give the recipe instead of the run"
        )
    found = []
    for file in folders:
        epoch = int(file.parent.name.split("-")[1])
        state = read_tensors(file)
        model = Model(given.model.description, copy.deepcopy(given.model.network), given.model.preprocessing)
        model.network.load_state_dict(state)
        part = replace(given.part, tensors=model_tensors(state, model.preprocessing))
        identity = f"{given.identity}-epoch-{epoch:04d}"
        found.append(replace(given, identity=identity, model=model, part=part, epoch=epoch))
    return found


def identity_of(address: Address) -> str:
    """Return what a given model is called within an ensemble."""
    path = address.run.path.resolve()
    name = f"{path.parent.name}-{path.name}" + (f"-{address.member}" if address.member else "")
    return name.replace(".", "_")


def _seen(
    address: Address, facts: Mapping[str, Any], dataset: Dataset, model: AnyModel
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the rows that a model was trained on, and its folds where it is the mean of their models."""
    if address.run.folds.exists():
        folds = {f"fold-{number}": fold for number, fold in enumerate(read_folds(address.run.folds))}
        if address.member in folds:
            own = folds[address.member]
            return _joined([own.training, own.validation]), {}
        if isinstance(model, CombinedModel) and set(model.wiring.members) == set(folds):
            held_out = {name: fold.held_out for name, fold in folds.items()}
            trained_on = torch.unique(torch.cat([fold.training for fold in folds.values()]))
            # In the order of time the first rows are held out by none.
            return trained_on[~torch.isin(trained_on, torch.cat(list(held_out.values())))], held_out
    return _joined([dataset.splits.get(name) for name in _trained_on(address, facts)]), {}


def _trained_on(address: Address, facts: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the splits that a model has seen: of a member those that its run trains on."""
    if not address.member:
        return tuple(facts.get("trained_on", ("train", "val")))
    if address.run.folds.exists():
        return ("train", "val")  # folds are made of both
    whole = facts.get("command") != "tune" and facts["recipe"]["train"]["rows"] != "train"
    return ("train", "val") if whole else ("train",)


def _joined(parts: list[Tensor | None]) -> Tensor:
    return torch.cat([torch.empty(0, dtype=torch.int64), *(part for part in parts if part is not None)])


def _epoch(address: Address, facts: Mapping[str, Any]) -> int:
    entries = {str(entry.get("identity")): entry for entry in facts.get("members", ())}
    entry = entries.get(address.member, {}) if address.member else facts
    return int(entry.get("selected_epoch") or entry.get("epoch") or 0)
