"""Several models as one: members' outputs are combined into outputs that read as a member's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from dlcli.contracts.field import Field
from dlcli.contracts.task import Task, probabilities
from dlcli.experiment.models.model import Model, ModelDescription
from dlcli.experiment.models.stacked_inference import StackedInference

Groups = tuple[tuple[str, ...], ...]
"""Groups of members: each group's answers are the mean of its members'."""


@dataclass(frozen=True)
class Wiring:
    """Whose outputs go where.

    Args:
        members: Whose outputs the combiner gets, in order.
        fed: For members that are fed: by name of the further input the groups whose answers it is made of.
    """

    members: tuple[str, ...]
    fed: Mapping[str, Mapping[str, Groups]] = field(default_factory=dict)

    @property
    def everybody(self) -> tuple[str, ...]:
        """All members that are needed, each after those that feed it."""
        found: dict[str, None] = {}

        begun: set[str] = set()

        def add(identity: str) -> None:
            if identity in begun:
                return
            begun.add(identity)
            for groups in self.fed.get(identity, {}).values():
                for group in groups:
                    for other in group:
                        add(other)
            found.setdefault(identity)

        for identity in self.members:
            add(identity)
        return tuple(found)


def answers(groups: Groups, outputs: Mapping[str, Tensor], task: Task) -> Tensor:
    """Return what groups of members say of rows, side by side.

    Args:
        groups: Groups of identities.
        outputs: Of each member, by identity (B, O).
        task: How outputs are read.

    Returns:
        Mean probabilities of each group, for regression mean outputs (B, groups · O).
    """
    return torch.cat(
        [torch.stack([probabilities(outputs[i], task) for i in group]).mean(dim=0) for group in groups], dim=-1
    )


class Tempered(nn.Module):
    """Divides outputs by a temperature: p^(1/T), made to sum to 1 again.

    Args:
        temperature: T > 0.
        task: A task with classes.

    Shape:
        Outputs (B, …, O) in and out.
    """

    def __init__(self, temperature: float, task: Task) -> None:
        super().__init__()
        self.temperature, self.task = temperature, task

    def forward(self, outputs: Tensor) -> Tensor:
        """Return the outputs, read as before."""
        divided = outputs / self.temperature
        return torch.log_softmax(divided, dim=-1) if self.task is Task.MULTICLASS else divided


class CombinedModel(nn.Module):
    """Several trained models from raw field tensors to one output; in eval mode.

    Args:
        parts: All members by identity: networks, or combinations themselves.
        combiner: From outputs (M, B, …, O) to outputs (B, …, O).
        wiring: Whose outputs go where.
        temperature: What outputs are divided by; None for none.
        comparable: Whether each member answers the task by itself.

    Shape:
        As `Model`.
    """

    def __init__(
        self,
        parts: Mapping[str, "Model | CombinedModel"],
        combiner: nn.Module,
        wiring: Wiring,
        temperature: float | None = None,
        comparable: bool = True,
    ) -> None:
        super().__init__()
        self.wiring = wiring
        self.comparable = comparable
        self.identities = tuple(parts)
        self.parts = nn.ModuleList(parts.values())
        self.combiner = combiner
        self.temperature = temperature
        self.tempered = None if temperature is None else Tempered(temperature, self.task)
        self._stacked = StackedInference()
        self.eval()

    @property
    def speakers(self) -> tuple[str, ...]:
        """Members that answer the task by themselves, whose difference means something; of a stack its base."""
        if not self.comparable:
            return ()
        several = len(self.wiring.members) > 1
        return self.wiring.members if several else tuple(i for i in self.wiring.everybody if i not in self.wiring.fed)

    def part(self, identity: str) -> "Model | CombinedModel":
        """Return a member's model."""
        found: Model | CombinedModel = self.parts[self.identities.index(identity)]  # type: ignore[assignment]
        return found

    @property
    def description(self) -> ModelDescription:
        """A member's description, of one that is fed nothing: raw fields, task, loss and metrics are common to all."""
        first = next(i for i in self.wiring.everybody if i not in self.wiring.fed)
        return self.part(first).description

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
        """Return combined outputs, of several a target their prediction; arguments as those of `Model`."""
        return self.description.loss.prediction(self.raw_outputs(*inputs, **extra))

    def raw_outputs(self, *inputs: Tensor, **extra: Any) -> Tensor:
        """Return combined outputs as the members' loss takes them; arguments as those of `Model`."""
        # Looked at here, so that what compiles or exports the model finds the plain computation alone.
        if not torch.compiler.is_compiling():
            together = self._stacked(self, (inputs, extra))
            if together is not None:
                return together
        return self.combine_outputs(self.outputs(*inputs, **extra))

    def outputs(self, *inputs: Tensor, **extra: Any) -> dict[str, Tensor]:
        """Return every member's outputs (B, …, O), by identity; arguments as those of `Model`."""
        return self.outputs_besides({}, *inputs, **extra)

    def outputs_besides(self, known: Mapping[str, Tensor], *inputs: Tensor, **extra: Any) -> dict[str, Tensor]:
        """Compute the outputs of members whose outputs are not known yet.

        Args:
            known: Outputs of some members, by identity.
            *inputs: As `forward`.
            **extra: As `forward`.

        Returns:
            Every member's outputs (B, …, O), by identity.
        """
        raw = {field.name: tensor for field, tensor in zip(self.inputs, inputs, strict=True)}
        found: dict[str, Tensor] = {}
        for identity in self.wiring.everybody:
            if identity in known:
                found[identity] = known[identity]
                continue
            fed = {name: answers(g, found, self.task) for name, g in self.wiring.fed.get(identity, {}).items()}
            part = self.part(identity)
            found[identity] = part.raw_outputs(*({**raw, **fed}[field.name] for field in part.inputs), **extra)
        return found

    def combined_and_speaking(self, *inputs: Tensor, **extra: Any) -> tuple[Tensor, Tensor | None]:
        """Return combined outputs, and those of the speakers (M, B, …, O) where there are two; as `Model` takes."""
        return self.of_outputs(self.outputs(*inputs, **extra))

    def of_outputs(self, outputs: Mapping[str, Tensor]) -> tuple[Tensor, Tensor | None]:
        """Return combined outputs, and those of the speakers, from members' outputs by identity."""
        speaking = [outputs[identity] for identity in self.speakers]
        return self.combine_outputs(outputs), torch.stack(speaking) if len(speaking) > 1 else None

    def combine(self, outputs: Sequence[Tensor]) -> Tensor:
        """Return the combination of outputs, one tensor for each of the wiring's `members`, in order."""
        return self.combine_stacked(torch.stack(list(outputs)))

    def combine_outputs(self, outputs: Mapping[str, Tensor]) -> Tensor:
        """Return the combination of members' outputs, by identity."""
        return self.combine([outputs[identity] for identity in self.wiring.members])

    def combine_stacked(self, outputs: Tensor) -> Tensor:
        """Return the combination of outputs (M, B, …, O), one for each of the wiring's `members`, in order."""
        combined: Tensor = self.combiner(outputs)
        return combined if self.tempered is None else self.tempered(combined)

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
