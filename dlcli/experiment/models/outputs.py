"""Outputs of trained networks on rows, and the figures of outputs, whoever gave them."""

from typing import Any

import torch
from torch import Tensor, nn

from dlcli.contracts.batch import Batches
from dlcli.contracts.member import Member
from dlcli.training.evaluation import evaluate, forward
from dlcli.training.threads import suitable_threads


def outputs_on(network: nn.Module, member: Member, batches: Batches, rows: Tensor) -> Tensor:
    """Return a network's outputs in eval mode.

    Args:
        network: On the device of the batches.
        member: Whose it is; its preprocessing counts.
        batches: The dataset.
        rows: Rows of it, int64 (R,); one at least.

    Returns:
        Outputs (R, …, O) on the CPU, in the order of the rows.
    """
    network.eval()
    with torch.no_grad(), suitable_threads(network, member):
        return torch.cat(
            [forward(network, batch.inputs, batch).float().cpu() for batch in batches.evaluation(member, rows)]
        )


class _Given(nn.Module):
    """Stands for a network whose outputs are known: they come in, and go out."""

    def forward(self, outputs: Tensor, **_: Any) -> Tensor:
        return outputs


def figures_of(outputs: Tensor, member: Member, batches: Batches, rows: Tensor) -> dict[str, float]:
    """Return the loss and the metrics of given outputs.

    Args:
        outputs: Outputs for the rows (R, …, O), in their order, on the CPU.
        member: Loss, metrics and task are its.
        batches: The dataset.
        rows: Rows of it, int64 (R,).

    Returns:
        `loss` and each metric, by name.
    """

    def given() -> Any:
        first = 0
        for batch in batches.evaluation(member, rows):
            count = len(batch.target)
            part = outputs[first : first + count].to(batch.target.device)
            yield batch._replace(inputs=(part,), conditions=(), offset=None)
            first += count

    return evaluate(_Given(), given(), task=member.io.task, loss=member.loss, metrics=member.metrics)
