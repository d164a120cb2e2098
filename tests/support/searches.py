"""What tests of searches share."""

import json
from pathlib import Path

import h5py
import numpy as np
import torch

from dlcli.search.stages import frozen_space

DIGITS = Path(__file__).parents[2] / "recipes/digits/digits.h5"


def truth(*splits):
    """Images as the model takes them, and labels, of splits of the digits laid end to end."""
    with h5py.File(DIGITS) as file:
        x = np.concatenate([file[f"{split}/x"][:] for split in splits])
        y = np.concatenate([file[f"{split}/y"][:] for split in splits])
    return torch.from_numpy(x)[:, None], y


def settings(outcome):
    """Each trial's number, setting, end and scores."""
    return [(row.number, row.setting, row.state, row.score, row.fold_scores) for row in outcome.search.trials]


def space_of(run, stage):
    """The space of a stage as it is on disk."""
    space = frozen_space(run, stage)
    assert space is not None
    return space


def facts(run):
    """What `run.json` says."""
    return json.loads((Path(run) / "run.json").read_text())
