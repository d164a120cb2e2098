"""Members of a population, what training them gives, and the function that does it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal, Protocol

import torch
from torch import Tensor

from dlcli.contracts.architecture import Architecture
from dlcli.contracts.averager import Averager
from dlcli.contracts.batch import Batches
from dlcli.contracts.field import InputOutput
from dlcli.contracts.history import Direction, EpochRecord, History
from dlcli.contracts.initializer import Initializer
from dlcli.contracts.loss import Loss
from dlcli.contracts.metric import Metric
from dlcli.contracts.optimizer import Optimizer
from dlcli.contracts.preprocessor import Preprocessing
from dlcli.contracts.regularizer import Regularizer
from dlcli.contracts.schedule import Horizon, Schedule
from dlcli.contracts.switches import Switches


@dataclass(frozen=True)
class Keep:
    """Which checkpoints of a member stay on disk.

    Args:
        best: How many of the best epochs, ≥ 0.
        last: How many of the last epochs, ≥ 1; resuming goes on from the latest of them.
        every_epochs: Also every so many epochs; 0 for none.
    """

    best: int = 1
    last: int = 1
    every_epochs: int = 0


@dataclass(frozen=True)
class TargetScale:
    """How the targets of a regression are scaled while training: (target − offset) / scale.

    Args:
        offset: Mean of each target (O,), float32.
        scale: Standard deviation of each target (O,), > 0, float32.
    """

    offset: Tensor
    scale: Tensor

    def scaled(self, target: Tensor) -> Tensor:
        """Return targets as the network is trained on them: (…, O), or (…, k·O) of k targets side by side."""
        copies = target.shape[-1] // len(self.offset)
        return (target - self.offset.to(target.device).repeat(copies)) / self.scale.to(target.device).repeat(copies)


@dataclass(frozen=True)
class Member:
    """One network of a population, as live objects.

    Args:
        identity: Permanent name within its run, such as `fold-3`; empty for the only member of a plain run.
        seed: The member's seed; every stream of its randomness is derived from it.
        architecture: Builds the network.
        io: What it is built for, after preprocessing.
        loss: What is made small.
        optimizer: How.
        schedule: Learning-rate schedule.
        training_rows: Rows to train on, int64, into the shared dataset.
        epochs: Epochs at most, ≥ 1.
        batch_size: Rows in a batch, ≥ 1.
        horizon_epochs: Epochs that the schedule is laid out for, ≥ 1; None for `epochs`.
        validation_rows: Rows that decide the best epoch and stopping; None where there are none.
        regularizers: In the order of the recipe.
        metrics: Figures over the validation rows, by name.
        averager: Keeps an average of the parameters, which is then what is validated, selected and kept.
        initializer: Refills the weights after `build`.
        initial_state: State to start from instead, by name as in the network's `state_dict`; may be partial.
        frozen: Names of parameters that are not trained.
        preprocessing: Fitted on the member's training rows.
        row_weights: Weight of every row of the dataset in the loss (N,); None where all are 1.
        fed: Tensors of input fields of `io` that the dataset does not have, by name, over the same rows.
        training_loss: Another loss to train with; figures are by `loss`.
        training_target: Tensor that stands for the target while training, over the same rows.
        target_scale: How targets are scaled while training; the network's answers are in the target's own units all the
            same. None to train on them as they are.
        offset: Per row, added to the outputs before the loss and the metrics (N, O).
        input_columns: For an input field: the columns that this member sees.
        drop_last: Whether a short last batch is left out instead of filled.
        monitor: The value that decides, such as `val_loss`.
        direction: Whether a smaller or larger monitored value is better.
        select: Which epoch's parameters are the result.
        keep: Which checkpoints stay.
        switches: How its steps are computed, and which rows an epoch has.
    """

    identity: str
    seed: int
    architecture: Architecture
    io: InputOutput
    loss: Loss
    optimizer: Optimizer
    schedule: Schedule
    training_rows: Tensor
    epochs: int
    batch_size: int
    horizon_epochs: int | None = None
    validation_rows: Tensor | None = None
    regularizers: tuple[Regularizer, ...] = ()
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    averager: Averager | None = None
    initializer: Initializer | None = None
    initial_state: Mapping[str, Tensor] | None = None
    frozen: frozenset[str] = frozenset()
    preprocessing: Preprocessing = field(default_factory=dict)
    row_weights: Tensor | None = None
    fed: Mapping[str, Tensor] = field(default_factory=dict)
    training_loss: Loss | None = None
    training_target: Tensor | None = None
    target_scale: TargetScale | None = None
    offset: Tensor | None = None
    input_columns: Mapping[str, Tensor] = field(default_factory=dict)
    drop_last: bool = False
    monitor: str = "val_loss"
    direction: Direction = "min"
    select: Literal["best", "last"] = "best"
    keep: Keep = Keep()
    switches: Switches = Switches()

    @cached_property  # asked at every step
    def trained_loss(self) -> Loss:
        """What training makes small; of scaled targets, what asks the same of them."""
        loss = self.loss if self.training_loss is None else self.training_loss
        return loss if self.target_scale is None else loss.for_scaled(self.target_scale.scale)

    def history(self, records: Sequence[EpochRecord] = ()) -> History:
        """Return the member's history with these epochs."""
        comparable = self.training_loss is None and self.target_scale is None
        return History(tuple(records), self.monitor, self.direction, comparable)

    def horizon(self, batches_per_epoch: int) -> Horizon:
        """Return what the schedule is laid out for, in optimizer steps, with as many batches in an epoch."""
        steps_per_epoch = self.switches.steps(batches_per_epoch)
        return Horizon((self.horizon_epochs or self.epochs) * steps_per_epoch, steps_per_epoch)


Engine = Literal["auto", "loop", "vectorized"]
"""How members are trained: one by one, as stacks, or as stacks where that works."""


@dataclass(frozen=True)
class Halving:
    """Successive halving within a population.

    Args:
        epochs: Ends of these epochs, rising: of the members still training, the worse half by monitored value leaves
            (of an odd number the smaller part leaves; of equal values the later in the population leaves first).
    """

    epochs: tuple[int, ...]


@dataclass(frozen=True)
class Result:
    """What training one member gave.

    Args:
        identity: The member's.
        state: The network's `state_dict` at the selected epoch, on the CPU; empty where no epoch was finished.
        selected_epoch: The epoch that `state` is from; 0 where no epoch was finished.
        best_epoch: The epoch with the best monitored value; 0 where no epoch was finished.
        history: Every epoch.
        stopped: Why training ended early; None where it ran all its epochs.
        seconds: Wall time of all epochs, those before a resume included; a stack's time is shared among its members.
        pruned: Whether it was halving that ended it.
        failure: Why it failed, such as a loss that became NaN; `state` is then the best epoch's.
    """

    identity: str
    state: Mapping[str, Tensor]
    selected_epoch: int
    best_epoch: int
    history: History
    stopped: str | None
    seconds: float
    pruned: bool = False
    failure: str | None = None

    @property
    def epochs(self) -> int:
        """Epochs trained."""
        return len(self.history.records)


class Watch(Protocol):
    """Is told how training goes, and may ask it to end; called on the training thread, so it must be quick."""

    def interrupted(self) -> bool:
        """Return whether training should save its state and end now; asked before every step."""
        ...

    def epoch_started(self, member: Member, epoch: int, steps: int) -> None:
        """An epoch of a member begins."""
        ...

    def step_finished(self, step: int, loss: Tensor, learning_rate: float) -> None:
        """A step, counted from 1 in its epoch, was taken; `loss` is detached: reading it waits for the device."""
        ...

    def epoch_finished(self, member: Member, record: EpochRecord, history: History) -> None:
        """An epoch of a member ended; `history` includes it."""
        ...

    def note(self, text: str) -> None:
        """Something happened that the user should know, such as which engine trains and why."""
        ...


class Fit(Protocol):
    """Trains a population: the only way in which anything is trained."""

    def __call__(
        self,
        members: Sequence[Member],
        batches: Batches,
        *,
        directory: Path,
        device: torch.device,
        watch: Watch,
        checkpoint_seconds: float,
        resume: bool,
        engine: Engine = "auto",
        halving: Halving | None = None,
    ) -> list[Result]:
        """Train every member.

        Args:
            members: Who; the order changes nothing.
            batches: The shared dataset as batches.
            directory: The run's directory: `history.jsonl`, and `checkpoints/` of the plain member or of
                `members/<identity>/`, are written there.
            device: Where to train.
            watch: Is told how it goes.
            checkpoint_seconds: Least time between two checkpoints for resuming, in seconds, ≥ 0.
            resume: Whether to go on from the directory's checkpoints, where there are any.
            engine: Which engine; `vectorized` is refused where a member cannot train in a stack.
            halving: When the worse half leaves; None for never.

        Returns:
            One result a member, in the order of `members`; a member whose loss became NaN or infinite says so in
            `failure`, and the others go on.

        Raises:
            TrainingError: Memory ran out.
            UsageError: `engine` is `vectorized` and a member cannot train in a stack.
            Interrupted: The watch asked for it; the state is saved.
            StorageError: A file could not be written.
        """
        ...
