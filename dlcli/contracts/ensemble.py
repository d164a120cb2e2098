"""The contract of an ensembling strategy, and what it may ask for."""

from abc import abstractmethod
from collections.abc import Generator, Mapping, Sequence
from typing import ClassVar, Literal, Protocol

import torch
from torch import Tensor, nn

from dlcli.contracts.architecture import Architecture
from dlcli.contracts.component import Component
from dlcli.contracts.ensemble_members import Combination, MemberResult, MemberSpecification, Outcome
from dlcli.contracts.folds import Fold
from dlcli.contracts.history import Direction
from dlcli.contracts.task import Task


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
        """Return the targets of rows, as losses take them; an error where the loss has several outputs a target."""
        ...

    def folds(self, count: int) -> tuple[Fold, ...]:
        """Return folds over the training rows, stratified or grouped as the data wants.

        A fold's validation rows are the context's, or a part of the fold's own training rows where it has none.
        """
        ...

    def outputs_of(self, identity: str, rows: Tensor) -> Tensor:
        """Return a member's outputs on rows (R, …, O), as its loss takes them, without its offset, on the CPU.

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

        Returns:
            The value.
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
    `takes`, whether members are trained, given by other runs, or either; `picks`, whether `ensemble.members` says how
    many of the given models it takes, where others take every one; `extends`, whether more members may be added to a
    finished run: it then asks for the same members as before, and for more; `tasks`, those that it can do;
    `needs_validation`, whether it must have validation rows; `expands_checkpoints`, whether a single run that is given
    stands for the checkpoints that it kept; `answers_alone`, whether each member answers the task by itself, so that
    members can be compared, which rounds that only correct those before them cannot.
    """

    kind: ClassVar[str] = "ensemble"
    counts: ClassVar[str | None] = "networks"
    takes: ClassVar[Literal["trained", "given", "either"]] = "trained"
    picks: ClassVar[bool] = False
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

        Args:
            context: What it may know and ask.

        Returns:
            The generator.

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
