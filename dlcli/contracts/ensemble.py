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
from dlcli.contracts.folds import Fold
from dlcli.contracts.history import Direction
from dlcli.contracts.loss import Loss
from dlcli.contracts.schedule import Schedule
from dlcli.contracts.task import Task


@dataclass(frozen=True)
class KeptStates:
    """Which states of one training a strategy wants; one result for each.

    Args:
        which: `best` or `last`; `every` so many epochs (a cycle's end); the `last_n` or the `best_n` epochs.
        count: The spacing in epochs, or how many epochs, ≥ 1; unused for `best` and `last`.
    """

    which: Literal["best", "last", "every", "last_n", "best_n"] = "best"
    count: int = 1


@dataclass(frozen=True)
class MemberSpecification:
    """A member to be trained; what is None is as the recipe says.

    Args:
        identity: Permanent name within the run, such as `bag-3`; the member's seed is derived from it.
        architecture: Another architecture than the recipe's.
        training_rows: Rows to train on, int64; a row may be there more than once. By default the context's.
        validation_rows: Rows that decide its best epoch; by default the context's. Empty for none: then it trains all
            its epochs, and the last is kept.
        row_weights: Weight of every row of the dataset in the loss (N,), while training.
        fed: Further inputs by name, features over all rows of the dataset (N, F): what other members say of them.
        own_inputs: Whether it gets the dataset's inputs too, beside those that it is fed.
        training_loss: Another loss to train with; figures, and the best epoch, are always by the recipe's own.
        training_target: Stands for the target while training, over all rows of the dataset.
        offset: Per row, added to the outputs before the loss and the figures (N, O).
        input_columns: For an input field: the columns that this member sees, int64, after preprocessing.
        initial_state: Weights to start from instead of fresh ones, by name as in the network's `state_dict`.
        epochs: Epochs at most.
        schedule: Another schedule, laid out for `epochs`.
        averager: Keeps an average of the weights, which is then what is validated and kept.
        keep: Which states it wants.
    """

    identity: str
    architecture: Architecture | None = None
    training_rows: Tensor | None = None
    validation_rows: Tensor | None = None
    row_weights: Tensor | None = None
    fed: Mapping[str, Tensor] = field(default_factory=dict)
    own_inputs: bool = True
    training_loss: Loss | None = None
    training_target: Tensor | None = None
    offset: Tensor | None = None
    input_columns: Mapping[str, Tensor] = field(default_factory=dict)
    initial_state: Mapping[str, Tensor] | None = None
    epochs: int | None = None
    schedule: Schedule | None = None
    averager: Averager | None = None
    keep: KeptStates = KeptStates()


@dataclass(frozen=True)
class MemberResult:
    """One trained network, or one kept state of it; or a model that another run left.

    Args:
        identity: Its name: the specification's, with `-epoch-0010` behind it where several states were asked for; of
            another run its name and number, such as `digits-mlp-0001`.
        specification: The identity that was asked for.
        epoch: The epoch that the state is from; 0 where another run's model is no single network.
        score: Its monitored value on validation rows; NaN without any.
        structure: Equal for networks whose weights may be averaged: built and preprocessed alike; empty for a model
            that is no single network.
        state: The network's `state_dict`, on the CPU; empty for a model that is no single network.
        start: Digest of the weights that it started from; empty where those were fresh.
    """

    identity: str
    specification: str
    epoch: int
    score: float
    structure: str = ""
    state: Mapping[str, Tensor] = field(default_factory=dict)
    start: str = ""


@dataclass(frozen=True)
class Unseen:
    """What members say of rows that those who speak have not seen, neither to train nor to choose an epoch by.

    Args:
        kind: What that is called.
        rows: The rows, int64 (R,), each once.
        outputs: Outputs for them, read as a network's (R, …, O).
    """

    kind: Literal["out-of-bag", "out-of-fold"]
    rows: Tensor
    outputs: Tensor


@dataclass(frozen=True)
class Combination:
    """Members and how to combine them.

    Args:
        members: Identities of the members, in the order in which the combiner gets their outputs; a member counts by
            its place, so each is there once.
        state: The combiner's tensors.
        settings: The combiner's JSON-ready settings.
        fed: For members that are fed: by name of the further input the groups of members whose answers it is made of.
            A group's answers are the mean of its members' (`probabilities`; for regression outputs) (N, O), and the
            groups stand side by side, (N, groups · O).
        unseen: What can be said of rows without having seen them; scored, and written for the user.
        fitted_on_validation: Whether more than choices was fitted to validation rows, so that figures on them would be
            too good.
    """

    members: tuple[str, ...]
    state: Mapping[str, Tensor] = field(default_factory=dict)
    settings: Mapping[str, object] = field(default_factory=dict)
    fed: Mapping[str, Mapping[str, tuple[tuple[str, ...], ...]]] = field(default_factory=dict)
    unseen: Unseen | None = None
    fitted_on_validation: bool = False


@dataclass(frozen=True)
class AveragedWeights:
    """Weights for one network; its batch normalization is re-estimated on training rows.

    Args:
        state: The network's `state_dict`.
        like: A member that is built and preprocessed as the network is.
        members: The members whose weights are in it.
    """

    state: Mapping[str, Tensor]
    like: str
    members: tuple[str, ...] = ()


@dataclass(frozen=True)
class SingleMember:
    """One member is the answer.

    Args:
        identity: Which.
    """

    identity: str


Outcome = Combination | AveragedWeights | SingleMember


class Context(Protocol):
    """What a strategy may know and ask. Test rows are out of its reach: asking for them is an error.

    Attributes:
        task: The task.
        outputs: Width O of a network's output.
        rows: Rows N of the dataset, all splits together.
        training_rows: Rows that members train on, int64.
        validation_rows: Rows that decide, int64, on which every member may be judged; None where there are none.
        members: How many were asked for (`ensemble.members`); None where the recipe says nothing.
        architectures: The architectures to train, in turn: those of `[[ensemble.members]]`, or the recipe's own.
        columns: For each input field of features or a sequence its number of columns after preprocessing.
        epochs: `train.epochs`.
        monitor: The value that decides, such as `val_loss`.
        direction: Whether a smaller or a larger value of it is better.
        given: Models that other runs left, best first where they come from one search; empty where members are trained.
    """

    task: Task
    outputs: int
    rows: int
    training_rows: Tensor
    validation_rows: Tensor | None
    members: int | None
    architectures: tuple[Architecture, ...]
    columns: Mapping[str, int]
    epochs: int
    monitor: str
    direction: Direction
    given: tuple[MemberResult, ...]

    def target(self, rows: Tensor) -> Tensor:
        """Return the targets of rows, as losses take them."""
        ...

    def folds(self, count: int) -> tuple[Fold, ...]:
        """Return folds over the training rows, stratified or grouped as the data wants.

        A fold's validation rows are the context's, or a part of the fold's own training rows where it has none.
        """
        ...

    def outputs_of(self, identity: str, rows: Tensor) -> Tensor:
        """Return a member's outputs on rows (R, …, O), without its offset, on the CPU.

        Where a given member is a model of folds, each row's outputs are those of the fold that has not seen it.
        """
        ...

    def score(self, output: Tensor, rows: Tensor) -> float:
        """Return the monitored value of outputs for rows."""
        ...

    def score_of_weights(self, state: Mapping[str, Tensor], like: str) -> float:
        """Return the monitored value on validation rows of a network with other weights.

        Args:
            state: Its `state_dict`; batch normalization is re-estimated on training rows.
            like: A member that is built and preprocessed as the network is.
        """
        ...

    def generator(self, purpose: str) -> torch.Generator:
        """Return the strategy's own random stream for a purpose, on the CPU."""
        ...

    def note(self, text: str) -> None:
        """Tell the user something."""
        ...

    def reached(self, combination: Combination) -> None:
        """Say what the ensemble would be with the members so far: shown while it trains, and drawn at the end."""
        ...


Plan = Generator[Sequence[MemberSpecification], Sequence[MemberResult], Outcome]


class Ensemble(Component):
    """A strategy: which members to train and how to combine them; never how to train.

    Class attributes: `counts`, what `ensemble.members` counts, such as `networks`, None where it counts nothing;
    `takes`, whether members are trained, given by other runs, or either; `extends`, whether more members may be added
    to a finished run, which asks for the same members as before and then for more; `tasks`, those that it can do;
    `needs_validation`, whether it must have validation rows; `expands_checkpoints`, whether a single run that is given
    stands for the checkpoints that it kept; `answers_alone`, whether each member answers the task by itself, so that
    members can be compared, which rounds that only correct those before them cannot.
    """

    kind: ClassVar[str] = "ensemble"
    counts: ClassVar[str | None] = "networks"
    takes: ClassVar[Literal["trained", "given", "either"]] = "trained"
    extends: ClassVar[bool] = False
    tasks: ClassVar[frozenset[Task]] = frozenset(Task)
    needs_validation: ClassVar[bool] = False
    expands_checkpoints: ClassVar[bool] = False
    answers_alone: ClassVar[bool] = True

    @abstractmethod
    def plan(self, context: Context) -> Plan:
        """Yield lists of members to train, get their results, for any number of rounds; return the outcome.

        Must be deterministic given the context: resuming replays finished rounds from disk. Results come in the order
        of the specifications, the states of one in the order of their epochs; a member whose training failed is left
        out, and the user told; where all of a round failed, the run fails.

        Raises:
            ValueError: It cannot be done with these members or this data; the user is told the message.
        """

    @abstractmethod
    def combine(self, task: Task, settings: Mapping[str, object], state: Mapping[str, Tensor]) -> nn.Module:
        """Build the combiner, at once and at every later load.

        Args:
            task: The task of the members.
            settings: What the plan's `Combination` carried.
            state: Likewise.

        Returns:
            A module from members' outputs (M, B, …, O) to outputs (B, …, O) that any loss or metric reads as a
            member's: log-probabilities, log-odds, or targets; finite.
        """
