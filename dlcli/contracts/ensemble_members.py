"""What a strategy asks for, what it is told, and what it decides."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

from dlcli.contracts.architecture import Architecture
from dlcli.contracts.averager import Averager
from dlcli.contracts.loss import Loss
from dlcli.contracts.optimizer import Optimizer
from dlcli.contracts.schedule import Schedule


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
        optimizer: Another optimizer.
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
    optimizer: Optimizer | None = None
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
