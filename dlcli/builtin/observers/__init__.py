"""Built-in observers."""

from typing import TYPE_CHECKING, Any

from dlcli import hookimpl
from dlcli.builtin.observers import tensorboard

if TYPE_CHECKING:
    from dlcli import EpochRecord, RunInfo


@hookimpl
def run_started(run: "RunInfo") -> None:
    """Open what a run asked for."""
    tensorboard.open_events(run)


@hookimpl
def epoch_finished(run: "RunInfo", member: str, record: "EpochRecord") -> None:
    """Write a member's epoch."""
    tensorboard.write_epoch(run, member, record)


@hookimpl
def run_finished(run: "RunInfo", summary: "dict[str, Any]") -> None:
    """Close what was opened."""
    tensorboard.close_events(run)
