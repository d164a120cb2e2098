"""Members of one structure as one: stacked copies of their tensors, and a combination's output from them."""

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from dlcli.experiment.models.model import Model
from dlcli.layers.over_members import one_at_a_time, over_members
from dlcli.training.capture import Function
from dlcli.training.stacked_network import CannotStackError, why_not
from dlcli.training.tensor_tables import flatten, unflatten

if TYPE_CHECKING:
    from dlcli.experiment.models.combination import CombinedModel

Group = tuple[str, ...]
"""Identities of members of one structure."""
Call = tuple[tuple[Tensor, ...], dict[str, Any]]
"""Positional arguments and those by name."""


class GroupError(Exception):
    """Members of one structure cannot be computed together.

    Args:
        group: Who.
        cause: Why.
    """

    def __init__(self, group: Group, cause: Exception) -> None:
        super().__init__(str(cause))
        self.group = group


def groups_of(models: Mapping[str, nn.Module]) -> list[Group]:
    """Find models that differ in their tensors alone.

    Args:
        models: By identity; all but a `Model` are passed over.

    Returns:
        Groups of two and more.
    """
    alike: dict[object, list[str]] = {}
    for identity, model in models.items():
        if type(model) is Model:
            alike.setdefault(_structure(model), []).append(identity)
    return [tuple(found) for found in alike.values() if len(found) > 1]


def _structure(model: Model) -> object:
    description = model.description
    chains = {
        name: [(step.stack_key(), step.per_member()) for step in chain]
        for name, chain in description.preprocess.items()
    }
    return (
        description.architecture.stack_key(),
        repr((description.io, description.fields, chains, sorted(description.columns))),
        tuple((name, type(module)) for name, module in model.named_modules()),
        tuple((name, t.shape, t.dtype, t.device) for name, t in _state(model).items()),
    )


def _state(module: nn.Module) -> dict[str, Tensor]:
    return dict((*module.named_parameters(), *module.named_buffers()))


class StackedMembers:
    """A combination as a function whose members of one structure are computed together.

    Args:
        model: The combination.
        groups: The members of each structure.

    Attributes:
        tensors: What it computes with besides its arguments: stacked copies of the groups' tensors, the others' own.
        sources: For each of them the members' tensors that it was made of.
        pattern: The form of the groups' tensors: most have a member axis, some all members share.
    """

    def __init__(self, model: "CombinedModel", groups: Sequence[Group]) -> None:
        self._model, self._groups = model, groups
        members = [[model.part(identity) for identity in group] for group in groups]
        stacks = [_stacked(models) for models in members]
        self._dims = [{name: dim for name, (_, dim) in stack.items()} for stack in stacks]
        self.pattern = tuple((t.shape, t.dtype, t.device, dim) for stack in stacks for t, dim in stack.values())
        grouped = tuple(f"parts.{model.identities.index(i)}." for group in groups for i in group)
        rest = {name: t for name, t in _state(model).items() if not name.startswith(grouped)}
        own = {name: tensor.detach() for name, tensor in rest.items()}
        self._table = ([{name: t for name, (t, _) in stack.items()} for stack in stacks], own)
        self.tensors = flatten(self._table)
        states = [[_state(model) for model in models] for models in members]
        self.sources = [[state[name] for state in own] for own in states for name in own[0]]
        self.sources += [[tensor] for tensor in rest.values()]

    def function(self, call: Call) -> Function:
        """Return the combination's output as a function of a call's tensors and then of `tensors`.

        Args:
            call: Arguments like those that it will get.

        Returns:
            The function; it raises `GroupError` where a group cannot be computed together.
        """
        # The tensors of the code are exchanged while it runs, which other threads must not see.
        code = copy.deepcopy(self._model, {id(t): t for t in (*self._model.parameters(), *self._model.buffers())})

        def function(flat: Sequence[Tensor], names: dict[str, list[str]]) -> list[Tensor]:
            from torch.func import functional_call

            with torch.no_grad():
                own, (stacks, rest) = unflatten((call, self._table), list(flat))
                outputs = {
                    group: _together(group, code.part(group[0]), stack, dims, own)
                    for group, stack, dims in zip(self._groups, stacks, self._dims, strict=True)
                }
                others = {f"code.{name}": tensor for name, tensor in rest.items()}
                combined: Tensor = functional_call(_Combining(code), others, (outputs, own))
            return [combined]

        return function


def _stacked(models: Sequence[nn.Module]) -> dict[str, tuple[Tensor, int | None]]:
    """Return copies of models' tensors by name, with the dimension of the member axis."""
    each = [{name: tensor.detach() for name, tensor in _state(model).items()} for model in models]
    buffers = {name for name, _ in models[0].named_buffers()}
    found: dict[str, tuple[Tensor, int | None]] = {}
    for name, first in each[0].items():
        # What is done with what all share, such as preprocessing that saw the same rows, is then done once.
        shared = name in buffers and all(torch.equal(first, own[name]) for own in each[1:])
        found[name] = (first.clone(), None) if shared else (torch.stack([own[name] for own in each]), 0)
    return found


def _together(
    group: Group, code: nn.Module, stack: dict[str, Tensor], dims: dict[str, int | None], call: Call
) -> Tensor:
    from torch.func import functional_call

    if (known := one_at_a_time(code)) is not None:
        raise GroupError(group, CannotStackError(known))
    whole = _RawOutputs(code)

    def one(own: dict[str, Tensor]) -> Tensor:
        output: Tensor = functional_call(whole, {f"code.{name}": tensor for name, tensor in own.items()}, *call)
        return output

    try:
        outputs: Tensor = over_members(one, stack, in_dims=(dims,))
    except Exception as error:
        cause = why_not(error)
        if isinstance(cause, CannotStackError):
            raise GroupError(group, cause) from error
        raise
    return outputs


class _RawOutputs(nn.Module):
    """A model's outputs as combinations take them."""

    def __init__(self, code: nn.Module) -> None:
        super().__init__()
        self.code = code

    def forward(self, *inputs: Tensor, **extra: Any) -> Tensor:
        output: Tensor = self.code.raw_outputs(*inputs, **extra)  # type: ignore[operator]
        return output


class _Combining(nn.Module):
    """What is left to do once groups have their outputs."""

    def __init__(self, code: "CombinedModel") -> None:
        super().__init__()
        self.code = code

    def forward(self, outputs: Mapping[Group, Tensor], call: Call) -> Tensor:
        if self.code.wiring.members in outputs:
            return self.code.combine_stacked(outputs[self.code.wiring.members])
        known = {i: own for group, stack in outputs.items() for i, own in zip(group, stack.unbind(), strict=True)}
        inputs, extra = call
        return self.code.combine_outputs(self.code.outputs_besides(known, *inputs, **extra))
