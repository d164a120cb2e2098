"""`fit`: the only way in which anything is trained."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import torch

from dlcli import atomic
from dlcli.contracts.batch import Batches
from dlcli.contracts.member import Member, Result, Watch
from dlcli.errors import Interrupted, TrainingError, UsageError
from dlcli.training.checkpoint import Checkpoints
from dlcli.training.history_file import HistoryFile
from dlcli.training.loop import Loop, StopRequested, Surroundings
from dlcli.training.threads import suitable_threads


def member_folder(directory: Path, identity: str) -> Path:
    """Return where a member's files are: the run's directory itself for the only member of a plain run."""
    return directory / "members" / identity if identity else directory


def fit(
    members: Sequence[Member],
    batches: Batches,
    *,
    directory: Path,
    device: torch.device,
    watch: Watch,
    checkpoint_seconds: float,
    resume: bool,
) -> list[Result]:
    """Train every member of a population, one after the other.

    Args:
        members: Who; identities differ. The order changes nothing.
        batches: The shared dataset as batches.
        directory: The run's directory.
        device: Where to train.
        watch: Is told how it goes.
        checkpoint_seconds: Least time between two checkpoints for resuming, in seconds, ≥ 0.
        resume: Whether to go on from the directory's checkpoints, where there are any.

    Returns:
        One result a member, in the order of `members`.

    Raises:
        TrainingError: The loss became NaN or infinite, or memory ran out.
        Interrupted: The watch asked for it; the state is saved.
    """
    around = Surroundings(batches, device, watch, checkpoint_seconds)
    history_file = HistoryFile(directory / "history.jsonl")
    cuda = [device] if device.type == "cuda" else []
    results = []
    with torch.random.fork_rng(devices=cuda), closing(history_file):
        for member in members:
            folder = member_folder(directory, member.identity) / "checkpoints"
            with atomic.storage_errors(folder):
                folder.mkdir(parents=True, exist_ok=True)
            results.append(_fit_one(member, around, Checkpoints(folder, member.keep), history_file, resume))
    return results


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory ran out; on a CPU torch tells it in words alone."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)


def _fit_one(
    member: Member, around: Surroundings, checkpoints: Checkpoints, history_file: HistoryFile, resume: bool
) -> Result:
    if member.averager is not None:
        raise UsageError(f"the loop engine keeps no averages yet: train {member.identity or 'the member'} without one")
    loop = Loop(member, around, checkpoints, history_file)
    state = checkpoints.read() if resume else None
    if state is not None:
        loop.restore(state)
    else:
        history_file.cut(member.identity, 0)
    try:
        with suitable_threads(loop.network, member):
            return loop.run()
    except StopRequested:
        raise Interrupted(f"interrupted after epoch {loop.epoch} of {member.epochs}") from None
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise TrainingError(
            f"memory of {around.device} ran out in epoch {loop.epoch + 1}: {str(error).splitlines()[0]}; "
            f"try a smaller train.batch_size (now {member.batch_size}) or a smaller network"
        ) from error
