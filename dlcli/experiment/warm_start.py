"""`--from RUN`: weights of an earlier run for a new one, as far as they fit, and what is frozen."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dlcli.contracts.member import Member
from dlcli.contracts.selector import select_parameters
from dlcli.errors import UsageError
from dlcli.experiment.address import Address
from dlcli.experiment.models.combination import CombinedModel
from dlcli.experiment.models.model import Model
from dlcli.experiment.models.model_folder import read_model
from dlcli.experiment.prepare import Prepared
from dlcli.experiment.run_directory import RunDirectory
from dlcli.plugins import Plugins
from dlcli.training.network import build_network


@dataclass(frozen=True)
class WarmStart:
    """What a run starts from.

    Args:
        state: The tensors that fit, by name as in the new network's `state_dict`.
        mismatches: A line for everything that does not.
    """

    state: Mapping[str, Tensor]
    mismatches: tuple[str, ...]


def warm_start(member: Member, model: Model) -> WarmStart:
    """Match a model's network with the one that a member would train.

    Args:
        member: The member of the new run.
        model: The earlier run's model.

    Returns:
        What fits, and what does not.

    Raises:
        UsageError: Nothing fits.
    """
    own = build_network(member, torch.device("cpu")).state_dict()
    other = model.network.state_dict()
    fitting = {name: other[name] for name in own if name in other and other[name].shape == own[name].shape}
    if not fitting:
        raise UsageError(
            f"no tensor of the earlier run fits this network: it has {', '.join(list(other)[:6])}…, "
            f"this one {', '.join(list(own)[:6])}…; take the same model.architecture"
        )
    mismatches = [
        f"{name}: {tuple(other[name].shape)} there, {tuple(own[name].shape)} here; starts fresh"
        for name in own
        if name in other and name not in fitting
    ]
    mismatches += [f"{name}: not in the earlier run; starts fresh" for name in own if name not in other]
    mismatches += [f"{name}: only in the earlier run; unused" for name in other if name not in own]
    return WarmStart(fitting, tuple(mismatches))


def begin_from(prepared: Prepared, earlier: Address, plugins: Plugins) -> tuple[Prepared, WarmStart]:
    """Let all members of a run start from the weights of an earlier one.

    Args:
        prepared: The new run.
        earlier: The earlier run, or a member of one.
        plugins: Where its components are.

    Returns:
        The new run with the weights, and what was taken.

    Raises:
        UsageError: Nothing fits, the earlier run is several networks, or it has seen what the new one's folds hold out.
        DataError: It has no model yet.
    """
    model = read_model(earlier.trained_model(), plugins)
    if isinstance(model, CombinedModel):
        raise UsageError(
            f"{earlier} is the mean of {len(model.identities)} networks; start from one of them: "
            f"--from {earlier}@{model.identities[0]}"
        )
    if prepared.plan.folds and earlier.run.read()["data"]["fingerprint"] == prepared.dataset.fingerprint:
        raise UsageError(
            f"{earlier} was trained on the same data, so its weights have seen rows that the folds hold out, and the "
            "scores would be too good: cross-validate without a start, or start from a run on other data"
        )
    start = warm_start(prepared.member, model)
    train = prepared.recipe.train.model_copy(update={"start_from": _absolute(earlier)})
    recipe = prepared.recipe.model_copy(update={"train": train})
    return replace(prepared.with_members(initial_state=start.state), recipe=recipe), start


def _absolute(address: Address) -> str:
    return str(replace(address, run=RunDirectory(address.run.path.resolve())))


def frozen_parameters(member: Member, selector: str) -> frozenset[str]:
    """Return the names of the parameters that `--freeze` keeps as they are.

    Args:
        member: The member of the new run.
        selector: `weights`, `all`, or globs over parameter names joined by commas.

    Returns:
        The names.

    Raises:
        UsageError: It matches none, or all.
    """
    network = build_network(member, torch.device("cpu"))
    names = [name for name, _ in network.named_parameters()]
    frozen = select_parameters(network, selector)
    if not frozen or len(frozen) == len(names):
        what = "every parameter: nothing would be trained" if frozen else "no parameter"
        raise UsageError(f"train.freeze = {selector!r} matches {what}; write globs over {', '.join(names)}")
    return frozenset(frozen)
