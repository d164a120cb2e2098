"""An ensemble that is being made: its run, its live objects, and what is known of every member."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dlcli.contracts.batch import Batches
from dlcli.contracts.dataset import Dataset
from dlcli.contracts.ensemble import Ensemble
from dlcli.contracts.member import Member
from dlcli.experiment.ensembling.conductor import Conductor
from dlcli.experiment.ensembling.context import StrategyContext
from dlcli.experiment.ensembling.given import Given
from dlcli.experiment.ensembling.library import Library
from dlcli.experiment.ensembling.members import MemberRoom
from dlcli.experiment.ensembling.outputs import MemberOutputs
from dlcli.experiment.models.model import Model
from dlcli.experiment.models.model_folder import Part, trained_part
from dlcli.experiment.models.model_outputs import ModelOutputs
from dlcli.experiment.run_directory import RunDirectory
from dlcli.plugins import Plugins
from dlcli.recipe.ensemble_section import EnsembleSection
from dlcli.recipe.model import Recipe


@dataclass(frozen=True)
class Prepared:
    """A recipe of an ensemble as live objects.

    Args:
        recipe: Settled, with `[ensemble]`.
        section: That.
        dataset: All rows.
        judge: A member of the recipe: whose task, loss and metrics outputs are judged by.
        training_rows: Rows to train on, int64.
        validation_rows: Rows that decide, int64; None where there are none.
        test_rows: Rows that are looked at once, at the end, int64; None where there are none.
        library: Models that other runs left; None where members are trained.
    """

    recipe: Recipe
    section: EnsembleSection
    dataset: Dataset
    judge: Member
    training_rows: Tensor
    validation_rows: Tensor | None
    test_rows: Tensor | None
    library: Library | None = None

    @property
    def strategy(self) -> Ensemble:
        """The strategy."""
        return self.section.strategy

    @property
    def given(self) -> Mapping[str, Given]:
        """Models that other runs left, by identity."""
        return {} if self.library is None else {given.identity: given for given in self.library.members}


@dataclass(frozen=True)
class Ensembling:
    """An ensemble that is being made.

    Args:
        run: Its directory.
        prepared: Its recipe as live objects.
        room: Makes and describes members.
        conductor: Trains them.
        context: What the strategy may know.
        outputs: Outputs of all members.
        outputs_of: Computes outputs of models.
        batches: The dataset as batches.
        device: Where to compute.
        plugins: Which packages the components come from.
    """

    run: RunDirectory
    prepared: Prepared
    room: MemberRoom
    conductor: Conductor
    context: StrategyContext
    outputs: MemberOutputs
    outputs_of: ModelOutputs
    batches: Batches
    device: torch.device
    plugins: Plugins

    def member(self, identity: str) -> Member:
        """Return a trained member, or what stands for the one that a given model was."""
        return member_of(identity, self.prepared, self.conductor, self.outputs_of)

    def part(self, identity: str) -> Part:
        """Return a member's model as files have it."""
        given = self.prepared.given.get(identity)
        if given is not None:
            return given.part
        state = self.conductor.states[identity]
        return trained_part(
            self.room.describe(state.member), state.result.state, state.member.preprocessing, self.plugins
        )


def member_of(identity: str, prepared: Prepared, conductor: Conductor, outputs_of: ModelOutputs) -> Member:
    """Return a trained member without its offset, or what stands for the one that a given model was.

    Args:
        identity: Which.
        prepared: Knows the given ones.
        conductor: Knows the trained ones.
        outputs_of: Makes what stands for a member.

    Returns:
        The member.

    Raises:
        ValueError: It is no single network.
    """
    if identity in conductor.states:
        return replace(conductor.states[identity].member, offset=None)
    model = prepared.given[identity].model
    if not isinstance(model, Model):
        raise ValueError(f"{identity} is no single network, so that it has no weights to average; leave it out")
    return outputs_of.member(model, prepared.training_rows)
