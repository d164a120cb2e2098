"""Coarse to fine: how long each stage trains, where halving compares, and the spaces, frozen on disk."""

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path

from dlcli import atomic
from dlcli.contracts.history import Direction
from dlcli.contracts.search import Setting, Space
from dlcli.errors import DataError
from dlcli.search.populations import write_once
from dlcli.search.space_file import space_from_json, space_to_json

Narrow = Callable[[Space, Sequence[tuple[Setting, float]], Direction], Space]
"""Makes the next stage's space from the finished settings of a stage and their scores."""

FORMAT = 1


def stage_epochs(epochs: int, stages: int) -> tuple[int, ...]:
    """Return how many epochs each stage trains: from 1 to all, each by the same factor more than the one before.

    Args:
        epochs: Epochs of the last stage, ≥ 1.
        stages: Number of stages, ≥ 1.

    Returns:
        Rising numbers, the last one `epochs`; fewer than `stages` where there are not that many different ones.
    """
    if stages == 1:
        return (epochs,)
    return tuple(sorted({round(epochs ** (stage / (stages - 1))) for stage in range(stages)}))


def rungs(epochs: int) -> tuple[int, ...]:
    """Return after which epochs the worse half leaves: a ninth and a third of them, rounded up.

    Args:
        epochs: Epochs at most, ≥ 1.

    Returns:
        Rising numbers below `epochs`: two from 9 epochs on, one from 3, none below.
    """
    if epochs < 3:
        return ()
    third = math.ceil(epochs / 3)
    return (math.ceil(epochs / 9), third) if epochs >= 9 else (third,)


def frozen_space(directory: Path, stage: int) -> Space | None:
    """Read the space of a stage.

    Args:
        directory: The run directory.
        stage: The stage, from 1.

    Returns:
        The space; None where the stage has not begun.

    Raises:
        DataError: The file is damaged.
    """
    path = _path(directory, stage)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["format"] != FORMAT:
            raise ValueError(f"it is not of format {FORMAT}, the one that this dlcli reads")
        return space_from_json(found["space"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is damaged: {error}; restore the file from a copy, or start the search anew") from None


def freeze_space(directory: Path, stage: int, space: Space) -> Space:
    """Write the space of a stage, unless another worker did.

    Args:
        directory: The run directory.
        stage: The stage, from 1.
        space: Its space.

    Returns:
        The space as it is on disk.

    Raises:
        StorageError: It could not be written.
    """
    path = _path(directory, stage)
    with atomic.storage_errors(path):
        path.parent.mkdir(exist_ok=True)
    write_once(path, {"format": FORMAT, "stage": stage, "space": space_to_json(space)})
    found = frozen_space(directory, stage)
    assert found is not None  # it was just written
    return found


def _path(directory: Path, stage: int) -> Path:
    return directory / "stages" / f"{stage}.json"
