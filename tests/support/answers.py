"""Answers as a test gives them."""

import torch

from dlcli.contracts.task import Task
from dlcli.experiment.evaluation.answers import Answers


def made(task, output, target, *, weight=None, losses=None, unit=None, row=None, position=None):
    """Return answers; one a row, of equal weight, drawn one by one, unless said otherwise."""
    count = len(output)
    rows = torch.arange(count) if row is None else row
    weights = torch.ones(count, dtype=torch.float64) if weight is None else weight.double()
    belongs = rows if unit is None else unit
    return Answers(
        task=Task(task),
        output=output,
        target=target,
        weight=weights,
        losses=torch.zeros(count, dtype=torch.float64) if losses is None else losses.double(),
        loss_weights=weights,
        row=rows,
        position=position,
        unit=belongs,
        units=int(belongs.max()) + 1,
        grouped=unit is not None,
        weighted=weight is not None,
    )
