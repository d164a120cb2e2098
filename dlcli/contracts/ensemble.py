"""The contract of an ensembling strategy, and what it may ask for."""

from abc import abstractmethod
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal, Protocol

import torch
from torch import Tensor, nn

from dlcli.contracts.architecture import Architecture
from dlcli.contracts.averager import Averager
from dlcli.contracts.component import Component
from dlcli.contracts.folds import Folds
from dlcli.contracts.schedule import Schedule
from dlcli.contracts.task import Task


@dataclass(frozen=True)
class KeptStates:
    """Which states of one training a strategy wants; one result for each.

    Args:
        which: `best`, `last`, every `cycle`'s end, `every` so many epochs, or the `best_n` epochs.
        count: Epochs of a cycle, the spacing, or how many of the best; unused for `best` and `last`.
    """

    which: Literal["best", "last", "cycle", "every", "best_n"] = "best"
    count: int = 1


@dataclass(frozen=True)
class MemberSpecification:
    """A member to be trained; what is None is as the recipe says.

    Args:
        identity: Permanent name within the run, such as `bag-3`.
        architecture: Another architecture than the recipe's.
        training_rows: Rows to train on, int64.
        validation_rows: Rows that decide its best epoch; an empty tensor for none.
        row_weights: Weight of every row of the dataset in the loss (N,).
        replacement_inputs: Tensors that stand for input fields, over the same rows.
        replacement_target: Tensor that stands for the target, over the same rows.
        offset: Per row, added to the outputs before the loss (N, O).
        input_columns: For an input field: the columns that this member sees.
        epochs: Epochs at most.
        schedule: Another schedule.
        averager: Another averager.
        keep: Which states it wants.
        predict: Rows whose predictions it wants, int64; None for none.
    """

    identity: str
    architecture: Architecture | None = None
    training_rows: Tensor | None = None
    validation_rows: Tensor | None = None
    row_weights: Tensor | None = None
    replacement_inputs: Mapping[str, Tensor] = field(default_factory=dict)
    replacement_target: Tensor | None = None
    offset: Tensor | None = None
    input_columns: Mapping[str, Tensor] = field(default_factory=dict)
    epochs: int | None = None
    schedule: Schedule | None = None
    averager: Averager | None = None
    keep: KeptStates = KeptStates()
    predict: Tensor | None = None


@dataclass(frozen=True)
class MemberResult:
    """One kept state of one member.

    Args:
        identity: The member's.
        epoch: The epoch that the state is from.
        state: The network's `state_dict`.
        score: Its monitored value; NaN without validation rows.
        outputs: Its outputs on the rows that were asked for, in their order; None where none were.
    """

    identity: str
    epoch: int
    state: Mapping[str, Tensor]
    score: float
    outputs: Tensor | None


@dataclass(frozen=True)
class Combination:
    """Members and how to combine them.

    Args:
        members: Identities of the members, in the order in which the combiner gets their outputs.
        state: The combiner's tensors.
        settings: The combiner's JSON-ready settings.
    """

    members: tuple[str, ...]
    state: Mapping[str, Tensor] = field(default_factory=dict)
    settings: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class AveragedWeights:
    """Weights for one network; its batch normalization is re-estimated on training rows.

    Args:
        state: The network's `state_dict`.
        architecture: Whose network it is; None for the recipe's.
    """

    state: Mapping[str, Tensor]
    architecture: Architecture | None = None


@dataclass(frozen=True)
class SingleMember:
    """One member is the answer.

    Args:
        identity: Which.
    """

    identity: str


Outcome = Combination | AveragedWeights | SingleMember


class Context(Protocol):
    """What a strategy may know and ask; test rows are out of its reach."""

    task: Task
    outputs: int
    training_rows: Tensor
    validation_rows: Tensor | None
    target: Tensor

    def folds(self, count: int) -> Folds:
        """Return folds over the training rows, stratified or grouped as the data wants."""
        ...

    def outputs_of(self, identity: str, rows: Tensor) -> Tensor:
        """Return a trained member's outputs on rows of the dataset, in their order."""
        ...

    def score(self, output: Tensor, rows: Tensor) -> float:
        """Return the monitored value of outputs for rows."""
        ...

    def generator(self, purpose: str) -> torch.Generator:
        """Return the strategy's own random stream for a purpose."""
        ...


Plan = Generator[Sequence[MemberSpecification], Sequence[MemberResult], Outcome]


class Ensemble(Component):
    """A strategy: which members to train and how to combine them; never how to train."""

    kind: ClassVar[str] = "ensemble"

    @abstractmethod
    def plan(self, context: Context) -> Plan:
        """Yield lists of members to train, get their results, for any number of rounds; return the outcome.

        Must be deterministic given the context: resuming replays finished rounds from disk.
        """

    @abstractmethod
    def combine(self, settings: Mapping[str, object], state: Mapping[str, Tensor]) -> nn.Module:
        """Build the combiner, at once and at every later load.

        Args:
            settings: What the plan's `Combination` carried.
            state: Likewise.

        Returns:
            A module from members' outputs (M, B, O) to outputs (B, O) that any loss or metric reads as a member's:
            log-probabilities, log-odds, or targets; finite.
        """
