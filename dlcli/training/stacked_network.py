"""Networks of one structure as one: each parameter and buffer of all members stacked on a leading axis."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from dlcli.contracts.member import Member
from dlcli.layers.dropout import Randomized
from dlcli.layers.over_members import one_at_a_time
from dlcli.training.network import build_network
from dlcli.training.out_of_memory import is_out_of_memory


class CannotStackError(Exception):
    """Members cannot train as a stack; says why, in words for the user."""


def why_not(error: Exception) -> Exception:
    """Return what to raise for an error that came up while members were computed together.

    Args:
        error: The error.

    Returns:
        The error itself where memory ran out, else a `CannotStackError` with its first line.
    """
    if is_out_of_memory(error):
        return error
    first = str(error).strip().splitlines()
    return CannotStackError(f"they cannot be computed together ({first[0][:200] if first else type(error).__name__})")


class StackedNetwork:
    """The networks of several members.

    Args:
        members: Whose, in the order of the stack; they share all that decides the structure.
        device: Where to train.

    Attributes:
        base: The first member's network, whose code computes all of them; its own tensors are not used.
        witness: The network of a member whose architecture has other numbers, where there is one, else the first.
        witness_place: Its place in the stack; None once its member has left.
        parameters: Those that are trained, (M, …) by name.
        fixed: Frozen parameters, (M, …) by name.
        buffers: (M, …) by name.

    Raises:
        CannotStackError: The networks differ in more than numbers, or keep a state that is no tensor.
    """

    def __init__(self, members: Sequence[Member], device: torch.device) -> None:
        networks = [build_network(member, device) for member in members]
        self.base = networks[0]
        if (cause := one_at_a_time(self.base)) is not None:
            raise CannotStackError(f"they cannot be computed together ({cause})")
        self.parameters: dict[str, Tensor] = {}
        self.fixed: dict[str, Tensor] = {}
        for name, stacked in _stacked(networks, lambda network: dict(network.named_parameters())).items():
            trained = self.base.get_parameter(name).requires_grad
            (self.parameters if trained else self.fixed)[name] = stacked
        self.buffers = _stacked(networks, lambda network: dict(network.named_buffers()))
        self._names = self._state_names()
        self._activate_dropout(networks)
        # A member whose architecture has other numbers than the first's: its own code shows whether all are buffers.
        first = members[0].architecture
        place = next((i for i, member in enumerate(members) if member.architecture != first), 0)
        self.witness_place: int | None = place
        self.witness = networks[place]

    def _state_names(self) -> dict[str, str]:
        """Return, for each name of the `state_dict`, the one under which the tensor is stacked: tied ones have two."""
        own = {id(t): name for name, t in [*self.base.named_parameters(), *self.base.named_buffers()]}
        found = {}
        for name, tensor in self.base.state_dict(keep_vars=True).items():
            if not isinstance(tensor, Tensor) or id(tensor) not in own:
                raise CannotStackError(f"{type(self.base).__name__} keeps {name}, which is no parameter or buffer")
            found[name] = own[id(tensor)]
        return found

    def _activate_dropout(self, networks: Sequence[nn.Module]) -> None:
        """Drop nothing only where no member drops anything: a rate of 0 drops nothing by its threshold."""
        for modules in zip(*(network.modules() for network in networks), strict=True):
            if isinstance(modules[0], Randomized):
                active = any(module.active for module in modules if isinstance(module, Randomized))
                for module in modules:
                    module.active = active

    @property
    def drops(self) -> str:
        """Which dropouts drop anything, as text: it decides the operations of a step."""
        return "".join(str(int(m.active)) for m in self.base.modules() if isinstance(m, Randomized))

    @property
    def state(self) -> dict[str, Tensor]:
        """The stacked tensors, (M, …), by name as in a member's `state_dict`; not copied."""
        tensors = {**self.parameters, **self.fixed, **self.buffers}
        return {name: tensors[canonical] for name, canonical in self._names.items()}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Put stacked tensors back, by name as in `state`."""
        for name, tensor in self.state.items():
            tensor.copy_(state[name])

    def keep(self, places: Tensor) -> None:
        """Let all members but those at given places, rising, leave."""
        kept: list[int] = places.tolist()
        self.witness_place = kept.index(self.witness_place) if self.witness_place in kept else None
        for tensors in (self.parameters, self.fixed, self.buffers):
            for name, tensor in tensors.items():
                tensors[name] = tensor.index_select(0, places)


def _stacked(networks: Sequence[nn.Module], tensors_of: Callable[[nn.Module], dict[str, Tensor]]) -> dict[str, Tensor]:
    each = [tensors_of(network) for network in networks]
    first = each[0]
    for other in each[1:]:
        if first.keys() != other.keys() or any(first[name].shape != other[name].shape for name in first):
            raise CannotStackError("the networks of two members differ in structure, not only in their numbers")
    return {name: torch.stack([tensors[name].detach() for tensors in each]) for name in first}
