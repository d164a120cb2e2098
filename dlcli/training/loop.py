"""The loop engine: any module, one member at a time, at the speed of a hand-written PyTorch loop."""

import math
import time
from dataclasses import dataclass

import torch
from torch import Tensor

from dlcli.contracts.batch import Batches
from dlcli.contracts.history import EpochRecord, History
from dlcli.contracts.member import Member, Result, Watch
from dlcli.contracts.schedule import Horizon
from dlcli.errors import TrainingError
from dlcli.training.checkpoint import Checkpoints, State, optimizer_tensors, rank, restore_optimizer
from dlcli.training.evaluation import evaluate
from dlcli.training.history_file import HistoryFile
from dlcli.training.network import BestParameters, active_dropouts, build_network, cpu_copies, seed_epoch
from dlcli.training.step import Step

CHECK_STEPS = 256
"""Steps between two looks at whether the loss is still finite: each look waits for the device."""


class StopRequested(Exception):
    """The watch asked training to end, and everything up to the last finished epoch is on disk.

    An epoch that is not on disk yet was begun within `checkpoint_seconds` of the last checkpoint: the one under way is
    finished first, and nothing is lost.
    """


@dataclass(frozen=True)
class Surroundings:
    """What a member is trained with.

    Args:
        batches: The shared dataset as batches.
        device: Where to train.
        watch: Is told how it goes.
        checkpoint_seconds: Least time between two checkpoints, in seconds.
    """

    batches: Batches
    device: torch.device
    watch: Watch
    checkpoint_seconds: float


class Loop:
    """Trains one member.

    Args:
        member: Who.
        around: With what.
        checkpoints: Where its state goes.
        history_file: Where its epochs go.
    """

    def __init__(
        self, member: Member, around: Surroundings, checkpoints: Checkpoints, history_file: HistoryFile
    ) -> None:
        self.member, self.around = member, around
        self.checkpoints, self.history_file = checkpoints, history_file
        self.network = build_network(member, around.device)
        parameters = [p for p in self.network.parameters() if p.requires_grad]
        self.optimizer = member.optimizer.build(
            parameters, lr=float(member.optimizer.lr), weight_decay=float(member.optimizer.weight_decay)
        )
        self.step = Step(member, self.network, self.optimizer, around.device)
        self.horizon = Horizon(member.epochs * around.batches.steps(member), around.batches.steps(member))
        self.history = History((), member.monitor, member.direction)
        self.best_epoch = 0
        self.stopped: str | None = None
        self._dropouts = active_dropouts(self.network)
        self._best = BestParameters(self.network)
        self._pending: dict[int, dict[str, Tensor]] = {}
        self._written = 0
        self._written_at = time.monotonic()

    @property
    def epoch(self) -> int:
        """Epochs finished."""
        return len(self.history.records)

    def restore(self, state: State) -> None:
        """Go on from a checkpoint; the history is cut back to it."""
        self.network.load_state_dict(state.best)
        self._best.take()
        self.network.load_state_dict(state.network)
        restore_optimizer(self.optimizer, state.optimizer)
        self.history_file.cut(self.member.identity, state.epoch)
        records = self.history_file.read(self.member.identity)
        self.history = History(records, self.member.monitor, self.member.direction)
        self.best_epoch, self.stopped = state.best_epoch, state.stopped
        self._written = state.epoch

    def run(self) -> Result:
        """Train to the end.

        Returns:
            What came of it.

        Raises:
            TrainingError: The loss is no longer finite.
            StopRequested: The watch asked for it.
        """
        try:
            while self.epoch < self.member.epochs and not self.stopped:
                self._train_epoch(self.epoch + 1)
        except (TrainingError, torch.OutOfMemoryError):
            self._write_best()
            raise
        self._write_checkpoint()
        last = self.member.select == "last" or not self.best_epoch
        return Result(
            identity=self.member.identity,
            state=cpu_copies(self.network.state_dict()) if last else self._best.to_cpu(),
            selected_epoch=self.epoch if last else self.best_epoch,
            best_epoch=self.best_epoch,
            history=self.history,
            stopped=self.stopped,
            seconds=sum(record.seconds for record in self.history.records),
        )

    def _train_epoch(self, epoch: int) -> None:
        start = time.perf_counter()
        self.around.watch.epoch_started(self.member, epoch, self.horizon.steps_per_epoch)
        seed_epoch(self._dropouts, self.member, epoch, self.around.device)
        self.step.start_epoch(epoch)
        train_loss, rate = self._take_steps(epoch)
        values = {"train_loss": train_loss, **self._validate(epoch, rate)}
        record = EpochRecord(epoch, rate, values, time.perf_counter() - start)
        self.history = History((*self.history.records, record), self.member.monitor, self.member.direction)
        scores = self.history.scores
        if not self.best_epoch or self.history.better(scores[-1], scores[self.best_epoch - 1]):
            self.best_epoch = epoch
            self._best.take()
        self.history_file.append(self.member.identity, record)
        reasons = [(r.name, r.stop(self.history)) for r in self.member.regularizers]
        self.stopped = next((f"{name}: {reason}" for name, reason in reasons if reason), None)
        self._keep(epoch)
        interrupted = self.around.watch.interrupted()
        if interrupted or time.monotonic() - self._written_at >= self.around.checkpoint_seconds:
            self._write_checkpoint()
        self.around.watch.epoch_finished(self.member, record, self.history)
        if interrupted and self.epoch < self.member.epochs and not self.stopped:
            raise StopRequested

    def _take_steps(self, epoch: int) -> tuple[float, float]:
        """Take the steps of one epoch; return its mean loss and the rate of its last step."""
        member, watch, step, group = self.member, self.around.watch, self.step, self.optimizer.param_groups[0]
        base, first = float(member.optimizer.lr), (epoch - 1) * self.horizon.steps_per_epoch
        pending: list[Tensor] = []
        weights: list[Tensor | int] = []
        total, weight, checked = 0.0, 0.0, 0
        for index, batch in enumerate(self.around.batches.training(member, epoch)):
            if self._written == self.epoch and watch.interrupted():
                raise StopRequested
            rate = base * member.schedule.factor(first + index, self.horizon, self.history)
            group["lr"] = rate
            loss = step(batch)
            pending.append(loss)
            weights.append(len(batch.target) if batch.weight is None else batch.weight.sum())
            watch.step_finished(index + 1, loss, rate)
            if len(pending) == CHECK_STEPS:
                part, part_weight = self._checked(pending, weights, epoch, checked)
                total, weight, checked = total + part, weight + part_weight, checked + len(pending)
                pending, weights = [], []
        part, part_weight = self._checked(pending, weights, epoch, checked)
        return (total + part) / max(weight + part_weight, 1e-300), rate

    def _checked(
        self, losses: list[Tensor], weights: list[Tensor | int], epoch: int, before: int
    ) -> tuple[float, float]:
        """Return Σ weight · loss and Σ weight of some steps, in float64; refuse a loss that is not finite."""
        if not losses:
            return 0.0, 0.0
        values, shares = torch.stack(losses).tolist(), [float(weight) for weight in weights]
        for index, value in enumerate(values):
            if not math.isfinite(value):
                step = (epoch - 1) * self.horizon.steps_per_epoch + before + index
                rate = float(self.member.optimizer.lr) * self.member.schedule.factor(step, self.horizon, self.history)
                raise self._diverged(f"batch {before + index + 1}", f"the loss became {value}", epoch, rate)
        return math.fsum(value * share for value, share in zip(values, shares, strict=True)), math.fsum(shares)

    def _validate(self, epoch: int, rate: float) -> dict[str, float]:
        rows = self.member.validation_rows
        if rows is None:
            return {}
        figures = evaluate(
            self.network,
            self.around.batches.evaluation(self.member, rows),
            task=self.member.io.task,
            loss=self.member.loss,
            metrics=self.member.metrics,
        )
        if not math.isfinite(figures["loss"]):
            raise self._diverged("its end", f"the validation loss became {figures['loss']}", epoch, rate)
        return {f"val_{name}": value for name, value in figures.items()}

    def _diverged(self, place: str, what: str, epoch: int, rate: float) -> TrainingError:
        kept = f"epoch {self.best_epoch}, the best, is kept" if self.epoch else "no epoch was finished"
        lower = float(self.member.optimizer.lr) / 10
        advice = [f"a lower rate (--set train.optimizer.lr={lower:.3g})"]
        if not self.member.schedule.warmup_epochs:
            advice.append("a warm-up (--set train.schedule.warmup_epochs=1)")
        if "clip_gradients" not in {regularizer.name for regularizer in self.member.regularizers}:
            advice.append("the clip_gradients regularizer")
        if not any(self.member.preprocessing.values()):
            advice.append('preprocess = ["standardize"] under [data]')
        return TrainingError(
            f"training diverged in epoch {epoch}, {place}: {what} at learning rate {rate:.3g}; {kept}. "
            f"Try {', or '.join(advice)}"
        )

    def _keep(self, epoch: int) -> None:
        """Hold an epoch's parameters in memory until the next checkpoint, where they are to stay on disk."""
        keep = self.member.keep
        if keep.every_epochs and epoch % keep.every_epochs == 0:
            self.checkpoints.write_parameters(epoch, cpu_copies(self.network.state_dict()), self.history)
        elif keep.best > 1 and epoch in rank(self.history)[: keep.best]:
            self._pending[epoch] = cpu_copies(self.network.state_dict())

    def _write_checkpoint(self) -> None:
        if not self.epoch or self._written == self.epoch:
            return
        self.history_file.sync()
        best = self._best.to_cpu()
        pending = {**self._pending, self.best_epoch: best}
        for epoch in sorted(pending.keys() & self.checkpoints.wanted(self.history) - {self.epoch}):
            self.checkpoints.write_parameters(epoch, pending[epoch], self.history)
        self._pending = {}
        state = State(
            epoch=self.epoch,
            network=cpu_copies(self.network.state_dict()),
            optimizer=cpu_copies(optimizer_tensors(self.optimizer)),
            best_epoch=self.best_epoch,
            best=best,
            stopped=self.stopped,
        )
        self.checkpoints.write(state, self.history)
        self._written, self._written_at = self.epoch, time.monotonic()

    def _write_best(self) -> None:
        """Keep the best parameters of a training that failed: there is nothing to go on from, but much to look at."""
        if self.best_epoch:
            self.history_file.sync()
            self.checkpoints.write_parameters(self.best_epoch, self._best.to_cpu(), self.history)
