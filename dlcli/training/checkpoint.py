"""Checkpoints of one member: whole or not at all, never pickled; enough of them to resume to the same bits.

A checkpoint is a folder `epoch-0007-val_loss-0.1234/` with `network.safetensors`. Those that training can go on from
also hold `training.safetensors` (optimizer state, best parameters) and `training.json`.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from dlcli import atomic
from dlcli.contracts.history import History
from dlcli.contracts.member import Keep
from dlcli.errors import DataError
from dlcli.training.tensor_file import read_tensors

NETWORK, TRAINING, PROGRESS = "network.safetensors", "training.safetensors", "training.json"
FORMAT = 1


@dataclass(frozen=True)
class State:
    """Everything that training goes on from, on the CPU.

    Args:
        epoch: Epochs finished.
        network: The network's `state_dict`; that of its average, where there is one.
        optimizer: The optimizer's tensors, by `<parameter index>.<name>`.
        best_epoch: The best epoch so far, 0 before the first.
        best: The network's `state_dict` at that epoch.
        progress: What became of the member so far, as `Progress.as_table` says it.
        trained: The trained network's own `state_dict`, where `network` is an average; empty otherwise.
    """

    epoch: int
    network: Mapping[str, Tensor]
    optimizer: Mapping[str, Tensor]
    best_epoch: int
    best: Mapping[str, Tensor]
    progress: Mapping[str, object]
    trained: Mapping[str, Tensor] = field(default_factory=dict)


class Checkpoints:
    """The checkpoints of one member on disk.

    Args:
        folder: Where they are; made when the first is written.
        keep: Which stay.
    """

    def __init__(self, folder: Path, keep: Keep) -> None:
        self.folder = folder
        self.keep = keep

    def of_epoch(self, epoch: int) -> Path | None:
        """Return the checkpoint of an epoch, where there is one."""
        return self._by_epoch().get(epoch)

    def _by_epoch(self) -> dict[int, Path]:
        found = sorted(self.folder.glob("epoch-*")) if self.folder.exists() else []
        return {int(path.name.split("-")[1]): path for path in found}

    def wanted(self, history: History) -> set[int]:
        """Return the epochs whose parameters are to stay, by score, by spacing, and the last ones where several are."""
        ranked = rank(history)[: self.keep.best]
        spaced = [r.epoch for r in history.records if self.keep.every_epochs and r.epoch % self.keep.every_epochs == 0]
        latest = [r.epoch for r in history.records[-self.keep.last :]] if self.keep.last > 1 else []
        return {*ranked, *spaced, *latest}

    def keeps_now(self, epoch: int) -> bool:
        """Return whether an epoch's parameters are to be written when it ends, whatever its score."""
        return self.keep.last > 1 or (self.keep.every_epochs > 0 and epoch % self.keep.every_epochs == 0)

    def write_parameters(self, epoch: int, network: Mapping[str, Tensor], history: History) -> None:
        """Write an epoch's parameters alone, unless they are there."""
        if self.of_epoch(epoch) is None:
            path = self.folder / _name(epoch, history)
            atomic.write_folder(path, lambda folder: save_file(dict(network), folder / NETWORK))

    def write(self, state: State, history: History) -> None:
        """Write a checkpoint to go on from, then drop those that need not stay.

        Args:
            state: The state after its epoch.
            history: Every epoch up to it.

        Raises:
            StorageError: The system refused to write; earlier checkpoints are untouched.
        """
        tensors = {f"optimizer.{name}": tensor for name, tensor in state.optimizer.items()}
        if state.best_epoch != state.epoch:
            tensors |= {f"best.{name}": tensor for name, tensor in state.best.items()}
        tensors |= {f"trained.{name}": tensor for name, tensor in state.trained.items()}
        progress = {"format": FORMAT, "epoch": state.epoch, **state.progress}

        def fill(folder: Path) -> None:
            save_file(dict(state.network), folder / NETWORK)
            save_file(tensors, folder / TRAINING)
            (folder / PROGRESS).write_text(json.dumps(progress) + "\n", encoding="utf-8")

        atomic.write_folder(self.folder / _name(state.epoch, history), fill)
        self.prune(history)

    def prune(self, history: History) -> None:
        """Drop the checkpoints that need not stay, by every epoch so far."""
        found = self._by_epoch()
        resumable = [epoch for epoch, path in sorted(found.items()) if (path / PROGRESS).exists()]
        last = set(resumable[-1:])
        wanted = self.wanted(history)
        with atomic.storage_errors(self.folder):
            for epoch, path in found.items():
                if epoch not in last | wanted:
                    atomic.remove_folder(path)
                elif epoch not in last:
                    (path / PROGRESS).unlink(missing_ok=True)
                    (path / TRAINING).unlink(missing_ok=True)

    def read_best(self, history: History) -> tuple[int, dict[str, Tensor]] | None:
        """Return the best epoch of a history whose parameters are on disk, and them; None where none are."""
        found = self._by_epoch()
        epoch = next((epoch for epoch in rank(history) if epoch in found), None)
        return None if epoch is None else (epoch, read_tensors(found[epoch] / NETWORK))

    def parameters(self, epoch: int) -> dict[str, Tensor]:
        """Return the parameters of an epoch.

        Args:
            epoch: Number of the epoch, from 1.

        Returns:
            The network's `state_dict`, on the CPU.

        Raises:
            DataError: They were not kept, or the file is damaged.
        """
        path = self.of_epoch(epoch)
        if path is None:
            raise DataError(f"{self.folder} has no checkpoint of epoch {epoch}; restore it from a copy, or train again")
        return read_tensors(path / NETWORK)

    def read(self) -> State | None:
        """Return the latest state to go on from; None where there is none.

        Returns:
            The state, on the CPU.

        Raises:
            DataError: A file of the checkpoint is damaged.
        """
        paths = [path for _, path in sorted(self._by_epoch().items()) if (path / PROGRESS).exists()]
        if not paths:
            return None
        progress = read_json(paths[-1] / PROGRESS)
        network = read_tensors(paths[-1] / NETWORK)
        training = read_tensors(paths[-1] / TRAINING)
        best = _below("best.", training)
        return State(
            epoch=progress["epoch"],
            network=network,
            optimizer=_below("optimizer.", training),
            best_epoch=progress["best_epoch"],
            best=best or network,
            progress=progress,
            trained=_below("trained.", training),
        )


def rank(history: History) -> list[int]:
    """Return the epochs from best to worst by the monitored value; of equals the earlier is the better."""
    sign = 1.0 if history.direction == "min" else -1.0
    scores = history.scores
    return [1 + i for i in sorted(range(len(scores)), key=lambda i: (math.isnan(scores[i]), sign * scores[i], i))]


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return an optimizer's tensors by `<parameter index>.<name>`.

    Args:
        optimizer: Any of torch's.

    Returns:
        Its tensors, not copied.

    Raises:
        TypeError: It keeps something that is no tensor, which a checkpoint cannot hold.
    """
    found = {}
    for index, state in optimizer.state_dict()["state"].items():
        for name, value in state.items():
            if value is None:
                continue
            if not isinstance(value, Tensor):
                raise TypeError(f"{type(optimizer).__name__} keeps {name} as {type(value).__name__}, not as a tensor")
            found[f"{index}.{name}"] = value
    return found


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put an optimizer's tensors back; rates and other settings stay as the recipe has them."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, _, key = name.partition(".")
        state.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def read_json(path: Path) -> dict[str, Any]:
    """Read the JSON file of a checkpoint.

    Args:
        path: The file.

    Returns:
        Its table.

    Raises:
        DataError: It is missing, damaged or of another format.
    """
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {path}: {error}; restore it from a copy, or train again") from None
    if found.get("format") != FORMAT:
        raise DataError(f"{path} has format {found.get('format')!r}; this dlcli reads format {FORMAT}")
    return found


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _name(epoch: int, history: History) -> str:
    return f"epoch-{epoch:04d}-{history.monitor}-{history.scores[epoch - 1]:.4f}"
