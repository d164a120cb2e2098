"""What members are trained with, whichever engine trains them."""

from dataclasses import dataclass
from pathlib import Path

import torch

from dlcli import atomic
from dlcli.contracts.batch import Batches
from dlcli.contracts.member import Member, Watch
from dlcli.training.checkpoint import Checkpoints
from dlcli.training.history_file import HistoryFile

CHECK_STEPS = 256
"""Steps between two looks at whether the loss is still finite: each look waits for the device."""


class StopRequested(Exception):
    """The watch asked training to end, and everything up to the last finished epoch is on disk.

    An epoch that is not on disk yet was begun within `checkpoint_seconds` of the last checkpoint: the one under way is
    finished first, and nothing is lost.
    """


@dataclass(frozen=True)
class Surroundings:
    """What members are trained with.

    Args:
        batches: The shared dataset as batches.
        device: Where to train.
        watch: Is told how it goes.
        checkpoint_seconds: Least time between two checkpoints, in seconds.
        directory: The run's directory.
        history_file: Where the epochs of all members go.
    """

    batches: Batches
    device: torch.device
    watch: Watch
    checkpoint_seconds: float
    directory: Path
    history_file: HistoryFile

    def checkpoints(self, member: Member) -> Checkpoints:
        """Return a member's checkpoints; their folder is made."""
        folder = member_folder(self.directory, member.identity) / "checkpoints"
        with atomic.storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        return Checkpoints(folder, member.keep)


def member_folder(directory: Path, identity: str) -> Path:
    """Return where a member's files are: the run's directory itself for the only member of a plain run."""
    return directory / "members" / identity if identity else directory
