"""The checkpoint of a stack: all of its members at one epoch, in one folder that appears whole."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from dlcli import atomic
from dlcli.errors import DataError
from dlcli.training.checkpoint import FORMAT, NETWORK, PROGRESS, TRAINING, read_json
from dlcli.training.tensor_file import read_tensors

BEST = "best.safetensors"


@dataclass(frozen=True)
class StackState:
    """Everything that the training of a stack goes on from, on the CPU.

    Args:
        epoch: Epochs finished by the members that still train.
        training: Identities of the members that still train, in the order of the stack.
        network: Their stacked state.
        optimizer: The optimizer's tensors.
        best: Best states of all members, stacked in the order in which the stack began.
        progress: What became of each member so far, by identity; with `epochs`, how many it finished.
    """

    epoch: int
    training: tuple[str, ...]
    network: Mapping[str, Tensor]
    optimizer: Mapping[str, Tensor]
    best: Mapping[str, Tensor]
    progress: Mapping[str, Mapping[str, Any]]


class StackCheckpoints:
    """The latest checkpoint of a stack on disk.

    Args:
        folder: Where it is; made when the first is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, state: StackState, name: str) -> None:
        """Write a checkpoint, then drop the earlier one.

        Args:
            state: The state.
            name: Name of its folder, `epoch-<number>-…`.

        Raises:
            StorageError: The system refused to write; the earlier checkpoint is untouched.
        """

        def fill(folder: Path) -> None:
            save_file(dict(state.network), folder / NETWORK)
            save_file(dict(state.best), folder / BEST)
            save_file(dict(state.optimizer), folder / TRAINING)
            table = {"format": FORMAT, "epoch": state.epoch, "training": state.training, "members": state.progress}
            (folder / PROGRESS).write_text(json.dumps(table) + "\n", encoding="utf-8")

        atomic.write_folder(self.folder / name, fill)
        with atomic.storage_errors(self.folder):
            for path in self._found():
                if path.name != name:
                    atomic.remove_folder(path)

    def read(self, identities: Sequence[str]) -> StackState | None:
        """Return the latest state.

        Args:
            identities: Whose it must be.

        Returns:
            The state, on the CPU; None where there is none.

        Raises:
            DataError: It is damaged, or of other members.
        """
        found = self._found()
        if not found:
            return None
        path = found[-1]
        table = read_json(path / PROGRESS)
        if list(table["members"]) != list(identities):
            raise DataError(
                f"{path} holds the members {', '.join(table['members'])}, expected {', '.join(identities)}: the run's "
                "plan was changed; start a new run"
            )
        return StackState(
            epoch=table["epoch"],
            training=tuple(table["training"]),
            network=read_tensors(path / NETWORK),
            optimizer=read_tensors(path / TRAINING),
            best=read_tensors(path / BEST),
            progress=table["members"],
        )

    def _found(self) -> list[Path]:
        paths = self.folder.glob("epoch-*") if self.folder.exists() else ()
        return sorted(paths, key=lambda path: int(path.name.split("-")[1]))
