"""The loop engine: any module, one member at a time, at the speed of a hand-written PyTorch loop."""

import math
import time
from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor

from dlcli.contracts.history import EpochRecord
from dlcli.contracts.member import Member, Result
from dlcli.training.accumulation import counted_rows, step_batches
from dlcli.training.averaging import Average
from dlcli.training.checkpoint import State, optimizer_tensors, rank, restore_optimizer
from dlcli.training.evaluation import evaluate
from dlcli.training.network import (
    BestParameters,
    active_dropouts,
    build_network,
    build_optimizer,
    cpu_copies,
    seed_epoch,
)
from dlcli.training.progress import Progress, describe_divergence
from dlcli.training.surroundings import CHECK_STEPS, StopRequested, Surroundings
from dlcli.training.switched_step import make_step
from dlcli.training.threads import suitable_threads


class _Diverged(Exception):
    """The loss is no longer finite; says where."""


class Loop:
    """Trains one member.

    Args:
        member: Who.
        around: With what.
        resume: Whether to go on from its checkpoint, where there is one.
    """

    def __init__(self, member: Member, around: Surroundings, *, resume: bool) -> None:
        self.member, self.around = member, around
        self.checkpoints, self.history_file = around.checkpoints(member), around.history_file
        self.network = build_network(member, around.device)
        self.optimizer = build_optimizer(member, self.network)
        self._average = None if member.averager is None else Average(member.averager, self.network)
        # After the average, which is a copy of the network as it was built.
        self.step = make_step(member, self.network, self.optimizer, around.device)
        self.horizon = member.horizon(around.batches.steps(member))
        self.progress = Progress(member)
        self._dropouts = active_dropouts(self.network)
        self._judged = self.network if self._average is None else self._average.network
        self._best = BestParameters(self._judged)
        self._pending: dict[int, dict[str, Tensor]] = {}
        self._written = 0
        self._written_at = time.monotonic()
        state = self.checkpoints.read() if resume else None
        if state is not None:
            self._restore(state)
        else:
            self.history_file.cut({member.identity: 0})

    @property
    def members(self) -> tuple[Member, ...]:
        """Whom it trains."""
        return (self.member,)

    @property
    def progresses(self) -> tuple[Progress, ...]:
        """How far they have come."""
        return (self.progress,)

    @property
    def epoch(self) -> int:
        """Epochs finished."""
        return self.progress.epoch

    def _restore(self, state: State) -> None:
        """Go on from a checkpoint; the history is cut back to it."""
        self._judged.load_state_dict(state.best)
        self._best.take()
        self._judged.load_state_dict(state.network)
        if self._average is not None:
            self.network.load_state_dict(state.trained)
            self._average.started = bool(state.progress["averaging"])
        restore_optimizer(self.optimizer, state.optimizer)
        self.step.restore(cast(Mapping[str, float], state.progress.get("step", {})))
        self.history_file.cut({self.member.identity: state.epoch})
        self.progress.restore(self.history_file.read(self.member.identity), state.progress)
        self._written = state.epoch

    def run_until(self, epoch: int) -> None:
        """Train up to the end of an epoch, or until it is over; where it is over, everything is on disk afterwards.

        Args:
            epoch: Number of the epoch, from 1.

        Raises:
            StopRequested: The watch asked for it.
        """
        try:
            with suitable_threads(self.network, self.member):
                while self.epoch < epoch and not self.progress.over:
                    self._train_epoch(self.epoch + 1)
        except _Diverged as error:
            self.progress.failure = str(error)
        except torch.OutOfMemoryError:
            self._write_best()
            raise
        if self.progress.failure is not None:
            self._write_best()
        elif self.progress.over:
            self._write_checkpoint()

    def prune(self, reasons: Mapping[str, str]) -> None:
        """End the training of members that are worse than others, by identity."""
        if self.member.identity in reasons:
            self.progress.prune(reasons[self.member.identity])
            self._written = 0
            self._write_checkpoint()

    def results(self) -> list[Result]:
        """Return what came of it."""
        last = self.progress.selects_last or not self.progress.best_epoch
        return [self.progress.result(cpu_copies(self._judged.state_dict()) if last else self._best.to_cpu())]

    def _train_epoch(self, epoch: int) -> None:
        start = time.perf_counter()
        self.around.watch.epoch_started(self.member, epoch, self.horizon.steps_per_epoch)
        seed_epoch(self._dropouts, self.member, epoch, self.around.device)
        self.step.start_epoch(epoch)
        train_loss, rate = self._take_steps(epoch)
        if self._average is not None:
            self._average.settle(self.around.batches.evaluation(self.member, self.member.training_rows))
        values = {"train_loss": train_loss, **self._validate(epoch, rate)}
        record = EpochRecord(epoch, rate, values, time.perf_counter() - start)
        if self.progress.add(record):
            self._best.take()
        self.history_file.append(self.member.identity, record)
        self._keep(epoch)
        interrupted = self.around.watch.interrupted()
        if interrupted or time.monotonic() - self._written_at >= self.around.checkpoint_seconds:
            self._write_checkpoint()
        self.around.watch.epoch_finished(self.member, record, self.progress.history)
        if interrupted and not self.progress.over:
            raise StopRequested

    def _take_steps(self, epoch: int) -> tuple[float, float]:
        """Take the steps of one epoch; return its mean loss and the rate of its last step."""
        member, watch, step, group = self.member, self.around.watch, self.step, self.optimizer.param_groups[0]
        base, first = float(member.optimizer.lr), (epoch - 1) * self.horizon.steps_per_epoch
        history = self.progress.history
        pending: list[Tensor] = []
        weights: list[Tensor | int] = []
        total, weight, checked = 0.0, 0.0, 0
        batches = step_batches(self.around.batches.training(member, epoch), member.switches.accumulate)
        for index, batch in enumerate(batches):
            if self._written == self.epoch and watch.interrupted():
                raise StopRequested
            rate = base * member.schedule.factor(first + index, self.horizon, history)
            group["lr"] = rate
            loss = step(batch)
            if self._average is not None:
                self._average.take(first + index, self.horizon)
            pending.append(loss)
            weights.append(counted_rows(batch))
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
                factor = self.member.schedule.factor(step, self.horizon, self.progress.history)
                rate = float(self.member.optimizer.lr) * factor
                what = "batch" if self.member.switches.accumulate == 1 else "step"
                raise self._diverged(f"{what} {before + index + 1}", f"the loss became {value}", epoch, rate)
        return math.fsum(value * share for value, share in zip(values, shares, strict=True)), math.fsum(shares)

    def _validate(self, epoch: int, rate: float) -> dict[str, float]:
        rows = self.member.validation_rows
        if rows is None:
            return {}
        figures = evaluate(
            self._judged,
            self.around.batches.evaluation(self.member, rows),
            task=self.member.io.task,
            loss=self.member.loss,
            metrics=self.member.metrics,
        )
        if not math.isfinite(figures["loss"]):
            raise self._diverged("its end", f"the validation loss became {figures['loss']}", epoch, rate)
        return {f"val_{name}": value for name, value in figures.items()}

    def _diverged(self, place: str, what: str, epoch: int, rate: float) -> _Diverged:
        return _Diverged(describe_divergence(self.progress, epoch, place, what, rate))

    def _keep(self, epoch: int) -> None:
        """Hold an epoch's parameters in memory until the next checkpoint, where they are to stay on disk."""
        keep, history = self.member.keep, self.progress.history
        if self.checkpoints.keeps_now(epoch):
            self.checkpoints.write_parameters(epoch, cpu_copies(self._judged.state_dict()), history)
        elif keep.best > 1 and epoch in rank(history)[: keep.best]:
            self._pending[epoch] = cpu_copies(self._judged.state_dict())

    def _write_checkpoint(self) -> None:
        if not self.epoch or self._written == self.epoch:
            return
        self.history_file.sync()
        best, history = self._best.to_cpu(), self.progress.history
        pending = {**self._pending, self.progress.best_epoch: best}
        for epoch in sorted(pending.keys() & self.checkpoints.wanted(history) - {self.epoch}):
            self.checkpoints.write_parameters(epoch, pending[epoch], history)
        self._pending = {}
        average = self._average
        carried: dict[str, object] = {} if average is None else {"averaging": average.started}
        if scaling := self.step.state():
            carried["step"] = dict(scaling)
        state = State(
            epoch=self.epoch,
            network=cpu_copies(self._judged.state_dict()),
            optimizer=cpu_copies(optimizer_tensors(self.optimizer)),
            best_epoch=self.progress.best_epoch,
            best=best,
            progress={**self.progress.as_table(), **carried},
            trained={} if average is None else cpu_copies(self.network.state_dict()),
        )
        self.checkpoints.write(state, history)
        self._written, self._written_at = self.epoch, time.monotonic()

    def _write_best(self) -> None:
        """Keep the best parameters of a training that failed: there is nothing to go on from, but much to look at."""
        if self.progress.best_epoch:
            self.history_file.sync()
            self.checkpoints.write_parameters(self.progress.best_epoch, self._best.to_cpu(), self.progress.history)
