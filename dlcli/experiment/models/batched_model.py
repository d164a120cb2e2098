"""A combination whose members of one structure are computed by batched operations, for export."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from dlcli.experiment.models.combination import CombinedModel
from dlcli.experiment.models.model import Model, ModelDescription
from dlcli.experiment.models.model_folder import AnyModel
from dlcli.experiment.models.stacked_members import Group, groups_of
from dlcli.layers.stacked_graph import StackedGraph


class OfFields(nn.Module):
    """A model as a function of all its raw fields in one row, as `ModelDescription.fields` has them."""

    def __init__(self, model: AnyModel) -> None:
        super().__init__()
        self.model = model
        self.eval()

    def forward(self, *fields: Tensor) -> Tensor:
        """Return the model's outputs, as its loss takes them."""
        inputs, extra = divided(self.model.description, fields)
        return self.model.raw_outputs(*inputs, **extra)


def divided(description: ModelDescription, fields: Sequence[Tensor]) -> tuple[Sequence[Tensor], dict[str, Any]]:
    """Divide raw fields into inputs, and conditions, lengths and mask as a model's `forward` takes them.

    Args:
        description: Whose fields they are.
        fields: One tensor a field, in the order of its `fields`.

    Returns:
        Inputs, and the rest by name.
    """
    by_name = dict(zip((field.name for field in description.fields), fields, strict=True))
    extra: dict[str, Any] = {}
    if description.conditions:
        extra["conditions"] = tuple(by_name[field.name] for field in description.conditions)
    if description.length is not None:
        extra["lengths"] = by_name[description.length.name].to(torch.int64)
    if description.mask is not None:
        extra["mask"] = by_name[description.mask.name].to(torch.bool)
    return fields[: len(description.inputs)], extra


def batched(model: AnyModel, inputs: Mapping[str, Tensor], steps: Mapping[str, int]) -> AnyModel:
    """Return a model with the same outputs up to rounding, whose members of one structure are computed together.

    Args:
        model: Any model.
        inputs: Its raw fields by name, of two rows or more.
        steps: The dimension of steps of those that have any.

    Returns:
        The model itself where it is one network, or no two members have one structure.

    Raises:
        CannotExportError: A member cannot be recorded.
    """
    if isinstance(model, Model):
        return model
    unfed = [identity for identity in model.wiring.everybody if identity not in model.wiring.fed]
    groups = groups_of({identity: model.part(identity) for identity in unfed})
    stacks = {
        group: StackedGraph([OfFields(model.part(identity)) for identity in group], inputs, steps) for group in groups
    }
    grouped = {identity for group in groups for identity in group}
    rest = {
        identity: batched(model.part(identity), inputs, steps) if identity in unfed else model.part(identity)
        for identity in model.wiring.everybody
        if identity not in grouped
    }
    return BatchedModel(model, rest, stacks)


class BatchedModel(CombinedModel):
    """A combination of stacks of members, and of members that have a structure of their own.

    Args:
        model: The combination.
        parts: Members by identity that are computed one by one.
        stacks: The others by their identities.

    Shape:
        As `CombinedModel`.
    """

    def __init__(
        self, model: CombinedModel, parts: Mapping[str, AnyModel], stacks: Mapping[Group, StackedGraph]
    ) -> None:
        self._description = model.description
        super().__init__(parts, model.combiner, model.wiring, model.temperature, model.comparable)
        self._groups = tuple(stacks)
        self.stacks = nn.ModuleList(stacks.values())

    @property
    def description(self) -> ModelDescription:
        """As the combination's."""
        return self._description

    def combined_and_speaking(self, *inputs: Tensor, **extra: Any) -> tuple[Tensor, Tensor | None]:
        """Return as `CombinedModel` does, without taking a stack of all members apart."""
        together = {
            group: stack(*_in_a_row(inputs, extra)) for group, stack in zip(self._groups, self.stacks, strict=True)
        }
        if self.wiring.members in together and self.speakers in ((), self.wiring.members):
            outputs = together[self.wiring.members]
            return self.combine_stacked(outputs), outputs if self.speakers else None
        known = {i: own for group, stack in together.items() for i, own in zip(group, stack.unbind(), strict=True)}
        return self.of_outputs(self.outputs_besides(known, *inputs, **extra))

    def raw_outputs(self, *inputs: Tensor, **extra: Any) -> Tensor:
        """Return combined outputs as the members' loss takes them; arguments as those of `Model`."""
        return self.combined_and_speaking(*inputs, **extra)[0]


def _in_a_row(inputs: Sequence[Tensor], extra: Mapping[str, Any]) -> tuple[Tensor, ...]:
    rest = (extra[name] for name in ("lengths", "mask") if name in extra)
    return (*inputs, *extra.get("conditions", ()), *rest)
