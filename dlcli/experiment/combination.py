"""Several models as one: members' outputs are combined into outputs that read as a member's."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from dlcli.contracts.field import Field
from dlcli.contracts.task import Task, probabilities
from dlcli.experiment.model import Model, ModelDescription

LEAST = 1e-7
"""Probabilities are kept this far from 0 and 1, so that no output is infinite."""


class MeanCombiner(nn.Module):
    """The mean of members' probabilities, as outputs; the mean of their outputs for regression.

    Args:
        task: How outputs are read.

    Shape:
        Members' outputs (M, B, …, O) in; out come (B, …, O): log-probabilities for multiclass, log-odds for binary and
        multilabel, targets for regression. Probabilities are clamped to [1e-7, 1 − 1e-7].
    """

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.task = task

    def forward(self, outputs: Tensor) -> Tensor:
        """Return the combined outputs."""
        if not self.task.classifies:
            return outputs.mean(dim=0)
        if self.task is Task.MULTICLASS:
            return _clamped(functional.log_softmax(outputs, dim=-1).exp().mean(dim=0)).log()
        # From both sides, because 1 − p of a p near 1 has no digits left in float32.
        yes, no = torch.sigmoid(outputs).mean(dim=0), torch.sigmoid(-outputs).mean(dim=0)
        return _clamped(yes).log() - _clamped(no).log()


def _clamped(values: Tensor) -> Tensor:
    return values.clamp(LEAST, 1 - LEAST)


Combine = Callable[[Task, Mapping[str, Any], Mapping[str, Tensor]], nn.Module]
"""Builds a combiner from the task, JSON-ready settings and tensors, at once and at every later load."""


def _mean(task: Task, settings: Mapping[str, Any], state: Mapping[str, Tensor]) -> nn.Module:
    return MeanCombiner(task)


COMBINERS: dict[str, Combine] = {"mean": _mean}
"""Combiners by the permanent name that model files have."""


class CombinedModel(nn.Module):
    """Several trained networks from raw field tensors to one output; in eval mode.

    Args:
        members: By identity, in the order in which the combiner gets their outputs.
        combiner: From outputs (M, B, …, O) to outputs (B, …, O).

    Shape:
        As `Model`.
    """

    def __init__(self, members: Mapping[str, Model], combiner: nn.Module) -> None:
        super().__init__()
        self.identities = tuple(members)
        self.members = nn.ModuleList(members.values())
        self.combiner = combiner
        self.eval()

    @property
    def models(self) -> tuple[Model, ...]:
        """The members, in order."""
        return tuple(member for member in self.members if isinstance(member, Model))

    @property
    def description(self) -> ModelDescription:
        """The first member's description: fields, task, loss and metrics are common to all."""
        return self.models[0].description

    @property
    def task(self) -> Task:
        """The task that it answers."""
        return self.description.io.task

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes or labels; empty for regression."""
        return self.description.io.classes

    @property
    def inputs(self) -> tuple[Field, ...]:
        """The raw input fields, in the order in which they are given."""
        return self.description.inputs

    def forward(self, *inputs: Tensor, **extra: Any) -> Tensor:
        """Return combined outputs; arguments as those of `Model`."""
        return self.combine([member(*inputs, **extra) for member in self.members])

    def combine(self, outputs: Sequence[Tensor]) -> Tensor:
        """Return the combination of members' outputs, one tensor a member, in order."""
        combined: Tensor = self.combiner(torch.stack(list(outputs)))
        return combined

    def probabilities(self, *inputs: Tensor, **extra: Any) -> Tensor:
        """Return probabilities (B, O), one sigmoid column for binary; targets for regression.

        Args:
            *inputs: As `forward`.
            **extra: As `forward`.

        Returns:
            Probabilities, without gradient.
        """
        with torch.no_grad():
            return probabilities(self(*inputs, **extra), self.task)
