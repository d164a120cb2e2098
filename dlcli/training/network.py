"""From a member to its network: initial values, our dropout, a start from other weights, frozen parameters."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from dlcli.contracts.member import Member
from dlcli.contracts.randomness import derive, stream
from dlcli.contracts.selector import WEIGHTS, select_parameters
from dlcli.layers.dropout import random_bits, replace_dropout, set_dropout_source


def build_network(member: Member, device: torch.device) -> nn.Module:
    """Build a member's network: the same initial values whatever its companions and the state of torch's streams.

    Args:
        member: Whose.
        device: Where it is to live; initial values are drawn on the CPU.

    Returns:
        The network in training mode.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(member.seed, "init"))
        network = replace_dropout(member.architecture.build(member.io))
    parameters = dict(network.named_parameters())
    if member.initializer is not None:
        generator = stream(member.seed, "initializer")
        with torch.no_grad():
            for name in select_parameters(network, WEIGHTS):
                member.initializer.fill(parameters[name], generator)
    if member.initial_state is not None:
        network.load_state_dict(member.initial_state, strict=False)
    for name in member.frozen:
        parameters[name].requires_grad_(False)
    return network.to(device).train()


def seed_epoch(network: nn.Module, member: Member, epoch: int, device: torch.device) -> None:
    """Seed all randomness inside the network for one epoch.

    Our Dropout draws from a stream of the member; whatever else a foreign module draws comes from torch's global
    streams, which are seeded here too, so that a resumed epoch equals the interrupted one.

    Args:
        network: The member's network.
        member: Whose seed counts.
        epoch: Number of the epoch, from 1.
        device: Where the network lives.
    """
    set_dropout_source(network, partial(random_bits, generator=stream(member.seed, "dropout", epoch, device)))
    torch.manual_seed(derive(member.seed, "foreign", epoch))


class Tensors:
    """A standing copy of a list of tensors, refreshed in a few calls: cheap enough to be taken every epoch.

    Args:
        source: Gives the tensors to copy; their shapes and order never change.
    """

    def __init__(self, source: Callable[[], dict[str, Tensor]]) -> None:
        self._source = source
        self.copies: dict[str, Tensor] = {}

    def take(self) -> None:
        """Copy the tensors as they are now."""
        tensors = self._source()
        if self.copies.keys() != tensors.keys():
            self.copies = {name: tensor.detach().clone() for name, tensor in tensors.items()}
        elif tensors:
            with torch.no_grad():
                torch._foreach_copy_(list(self.copies.values()), [tensor.detach() for tensor in tensors.values()])

    def to_cpu(self) -> dict[str, Tensor]:
        """Return copies on the CPU, contiguous and sharing nothing, ready to be saved."""
        return {name: tensor.to("cpu", copy=True).contiguous() for name, tensor in self.copies.items()}
