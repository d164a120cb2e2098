"""From a member to its network: initial values, our dropout, a start from other weights, frozen parameters."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from dlcli.contracts.member import Member
from dlcli.contracts.randomness import derive, stream
from dlcli.layers.dropout import BitStream, Randomized, replace_dropout, set_dropout_source
from dlcli.layers.scaled_target import SCALING, ScaledTarget
from dlcli.training.initial_values import fill_weights, suited_initializer


def build_network(member: Member, device: torch.device) -> nn.Module:
    """Build a member's network: the same initial values whatever its companions and the state of torch's streams.

    Args:
        member: Whose.
        device: Where it is to live; initial values are drawn on the CPU.

    Returns:
        The network in training mode.
    """
    with torch.random.fork_rng(devices=[]):
        # Initial values are drawn on the CPU; torch.manual_seed would seed every kind of device besides.
        torch.default_generator.manual_seed(derive(member.seed, "init"))
        network = replace_dropout(member.architecture.build(member.io))
    if (scale := member.target_scale) is not None:
        network = ScaledTarget(network, member.io.outputs, *member.loss.own_units(scale.offset, scale.scale))
    parameters = dict(network.named_parameters())
    if member.initializer is not None:
        initializer = suited_initializer(member.initializer, member.architecture)
        fill_weights(network, initializer, stream(member.seed, "initializer"))
    if member.initial_state is not None:
        # Weights of another member; how targets are scaled is the member's own, as it is for its training rows.
        scaling = SCALING if member.target_scale is not None else ()
        initial = {name: tensor for name, tensor in member.initial_state.items() if name not in scaling}
        network.load_state_dict(initial, strict=False)
    for name in member.frozen:
        parameters[name].requires_grad_(False)
    return network.to(device).train()


def build_optimizer(member: Member, network: nn.Module, *, rate: float | None = None) -> torch.optim.Optimizer:
    """Build a member's optimizer over what is trained of its network.

    Args:
        member: Whose.
        network: Its network; frozen parameters are left out.
        rate: Learning rate to begin with; the optimizer's own where None.

    Returns:
        The optimizer.
    """
    own = member.optimizer
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    return own.build(trained, lr=float(own.lr) if rate is None else rate, weight_decay=float(own.weight_decay))


def active_dropouts(network: nn.Module) -> tuple[Randomized, ...]:
    """Return every Dropout of a network that drops anything, and whatever else is random as Dropout is."""
    return tuple(module for module in network.modules() if isinstance(module, Randomized) and module.active)


def seed_epoch(dropouts: tuple[Randomized, ...], member: Member, epoch: int, device: torch.device) -> None:
    """Seed all randomness inside the network for one epoch.

    Our Dropout draws from a stream of the member; whatever else a foreign module draws comes from torch's global
    streams, which are seeded here too, so that a resumed epoch equals the interrupted one.

    Args:
        dropouts: The member's dropouts; they share one stream.
        member: Whose seed counts.
        epoch: Number of the epoch, from 1.
        device: Where the network lives.
    """
    if dropouts:
        source = BitStream(stream(member.seed, "dropout", epoch, device))
        for dropout in dropouts:
            set_dropout_source(dropout, source)
    seed = derive(member.seed, "foreign", epoch)
    # torch.manual_seed would seed every kind of device, and format a stack trace for each that is not there.
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)


class BestParameters:
    """A standing copy of a network's state, refreshed in one call: cheap enough for every epoch that is the best yet.

    Args:
        network: The network; the shapes of its state never change.
    """

    def __init__(self, network: nn.Module) -> None:
        self._network = network
        self._copies = {name: tensor.clone() for name, tensor in network.state_dict().items()}

    def take(self) -> None:
        """Copy the state as it is now."""
        torch._foreach_copy_(list(self._copies.values()), list(self._network.state_dict().values()))

    def to_cpu(self) -> dict[str, Tensor]:
        """Return the copy on the CPU, ready to be saved."""
        return cpu_copies(self._copies)


def cpu_copies(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return copies on the CPU, contiguous and sharing nothing, ready to be saved."""
    return {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}
