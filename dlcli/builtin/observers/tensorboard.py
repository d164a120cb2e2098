"""Writes a run's figures for TensorBoard, where its recipe says `[log] tensorboard = true`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dlcli import EpochRecord, RunInfo

_WRITERS: dict[Path, Any] = {}
"""The open event file of every run that is under way in this process."""


def open_events(run: "RunInfo") -> None:
    """Open an event file in `tensorboard/` of a run whose recipe asks for it.

    A resumed run writes a file of its own beside the earlier one. Epochs that are trained again have the same numbers
    at the same places, so TensorBoard draws one curve.

    Args:
        run: The run.
    """
    if run.recipe["log"]["tensorboard"]:
        from torch.utils.tensorboard import SummaryWriter

        _WRITERS[run.path] = SummaryWriter(str(run.path / "tensorboard"))


def write_epoch(run: "RunInfo", member: str, record: "EpochRecord") -> None:
    """Write every value of an epoch, and its learning rate, at the epoch's number.

    Args:
        run: The run.
        member: Its identity comes after the value's name, `val_loss/fold-3`, which TensorBoard shows as one group.
        record: The epoch.
    """
    if writer := _WRITERS.get(run.path):
        for name, value in {**record.values, "learning_rate": record.learning_rate}.items():
            writer.add_scalar(f"{name}/{member}" if member else name, value, record.epoch)


def close_events(run: "RunInfo") -> None:
    """Write what is pending and close the run's event file, where it has one.

    Args:
        run: The run.
    """
    if writer := _WRITERS.pop(run.path, None):
        writer.close()
