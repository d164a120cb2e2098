"""The plan of a population: who trains with whom; and carrying it out, with halving at fixed epochs."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from dlcli import atomic
from dlcli.contracts.batch import Batches
from dlcli.contracts.component import implements
from dlcli.contracts.member import Engine, Member
from dlcli.contracts.regularizer import Regularizer
from dlcli.training.checkpoint import read_json
from dlcli.training.network import build_network
from dlcli.training.threads import multiply_adds

STACK_BYTES = 2 * 2**30
"""Memory that a stack may take, by `member_bytes`: a number of the plan, not the machine's free memory."""
LARGE_PARAMETERS, LARGE_MULTIPLY_ADDS = 2**17, 2**28
"""From either of these a processor core is busy with one member alone: stacking gained nothing in measurements, and
weights of several members crowd its cache."""
TENSOR_METHODS = ("batch", "mix", "parameters", "penalty", "activity", "gradients", "project", "draw")
PLAN = "plan.json"
FORMAT = 1


@dataclass(frozen=True)
class Plan:
    """Who trains with whom.

    Args:
        stacks: Identities of the members of each stack, in the order of the population.
        alone: Identities of those that train one by one.
        width: Most members of a stack.
        notes: Why members train alone, where that was not asked for.
    """

    stacks: tuple[tuple[str, ...], ...]
    alone: tuple[str, ...]
    width: int
    notes: tuple[str, ...] = ()

    @property
    def members(self) -> frozenset[str]:
        """Identities of all members."""
        return frozenset((*self.alone, *(name for stack in self.stacks for name in stack)))


def structure(member: Member, batches: Batches) -> str:
    """Return what members must share to train as one stack.

    Args:
        member: The member.
        batches: Knows how many steps an epoch has.

    Returns:
        Text that is equal for members that stack.
    """

    def regularizer(component: Regularizer) -> str:
        if any(implements(component, method) for method in TENSOR_METHODS):
            return component.stack_key()
        return ""  # a stopping rule is asked member by member

    parts: list[Any] = [
        member.architecture.stack_key(),
        repr(member.io),
        member.loss.stack_key(),
        member.trained_loss.stack_key(),
        member.optimizer.stack_key(),
        [key for key in map(regularizer, member.regularizers)],
        {name: metric.table(lambda c: type(c).__name__) for name, metric in member.metrics.items()},
        member.batch_size,
        batches.steps(member),
        sorted(member.frozen),
        member.validation_rows is not None,
        member.offset is not None,
        {name: len(columns) for name, columns in member.input_columns.items()},
        member.switches.loop_only,
    ]
    return json.dumps(parts, default=str)


def make_plan(members: Sequence[Member], batches: Batches, engine: Engine, device: torch.device) -> Plan:
    """Plan who trains with whom; a pure function of its arguments.

    Args:
        members: The population.
        batches: The shared dataset.
        engine: What was asked for.
        device: Where to train.

    Returns:
        The plan.
    """
    if engine == "loop" or (engine == "auto" and len(members) == 1):
        return Plan((), tuple(member.identity for member in members), 1)
    groups: dict[str, list[Member]] = {}
    for member in members:
        groups.setdefault(structure(member, batches), []).append(member)
    stacks: list[tuple[str, ...]] = []
    alone: list[str] = []
    notes: list[str] = []
    width = 1
    for group in groups.values():
        names = [member.identity for member in group]
        reason = _reason_alone(group, device) if engine == "auto" else None
        if reason is not None or (engine == "auto" and len(group) == 1):
            alone += names
            notes += [f"{_listed(names)} train one after the other: {reason}"] if reason else []
            continue
        most = max(1, STACK_BYTES // member_bytes(build_network(group[0], torch.device("cpu")), group[0]))
        width = max(width, min(most, len(group)))
        stacks += [tuple(names[first : first + most]) for first in range(0, len(names), most)]
    return Plan(tuple(stacks), tuple(alone), width, tuple(notes))


def _reason_alone(group: Sequence[Member], device: torch.device) -> str | None:
    if any(member.averager is not None for member in group):
        return "a stack keeps no averages of weights"
    if (reason := group[0].switches.loop_only) is not None:
        return reason
    if device.type == "cpu" and len(group) > 1:
        network = build_network(group[0], torch.device("cpu"))
        parameters = sum(parameter.numel() for parameter in network.parameters())
        if parameters >= LARGE_PARAMETERS or multiply_adds(network, group[0]) >= LARGE_MULTIPLY_ADDS:
            return "one network of this size keeps the processor busy (--engine vectorized stacks them all the same)"
    return None


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 4 else f"{names[0]}, {names[1]} … {names[-1]}"


def member_bytes(network: nn.Module, member: Member) -> int:
    """Estimate what one member takes in a stack: parameters six times over (gradient, optimizer, best), activations.

    Args:
        network: Its network.
        member: Its batch size and inputs.

    Returns:
        Bytes, at least 1.
    """
    parameters = sum(tensor.numel() * tensor.itemsize for tensor in network.state_dict().values())
    inputs = sum(4 * math.prod(field.shape) for field in member.io.inputs)
    pixels = max((math.prod(f.shape[1:]) for f in member.io.inputs if f.kind != "features"), default=1)
    widths = sum(p.shape[0] * (pixels if p.ndim > 2 else 1) for p in network.parameters() if p.ndim > 1)
    # Outputs of every layer before and after normalization, activation and dropout, and their gradients.
    return 1 + int(6 * parameters + member.batch_size * (inputs + 4 * 8 * widths))


def write_plan(directory: Path, plan: Plan) -> None:
    """Write the plan of a population into its directory, beside those of others that were trained there before."""
    others = [other for other in _read_plans(directory) if other.members != plan.members]
    atomic.write_json(directory / PLAN, {"format": FORMAT, "populations": [asdict(p) for p in (*others, plan)]})


def read_plan(directory: Path, members: Iterable[str]) -> Plan | None:
    """Return the plan of a population that began before; None where there is none.

    Args:
        directory: Where it trained.
        members: Identities of its members, in any order.

    Returns:
        The plan.
    """
    names = frozenset(members)
    return next((plan for plan in _read_plans(directory) if plan.members == names), None)


def read_companions(directory: Path, members: Iterable[str]) -> frozenset[str]:
    """Return whom members began to train with: they come to the same bits only beside them.

    Args:
        directory: Where they trained.
        members: Identities of some members of a population.

    Returns:
        Identities of the smallest population that has them all, themselves where there is none.
    """
    names = frozenset(members)
    return min((plan.members for plan in _read_plans(directory) if names <= plan.members), key=len, default=names)


def _read_plans(directory: Path) -> list[Plan]:
    path = directory / PLAN
    if not path.exists():
        return []
    return [
        Plan(
            stacks=tuple(tuple(names) for names in table["stacks"]),
            alone=tuple(table["alone"]),
            width=int(table["width"]),
            notes=tuple(table["notes"]),
        )
        for table in read_json(path)["populations"]
    ]
