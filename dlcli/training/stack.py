"""The vectorized engine: members of one structure train as one, each with its own rows, rates, rules and randomness."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from dlcli.contracts.history import EpochRecord
from dlcli.contracts.member import Keep, Member, Result
from dlcli.training.checkpoint import Checkpoints, rank
from dlcli.training.network import cpu_copies
from dlcli.training.progress import Progress, describe_divergence
from dlcli.training.stack_checkpoint import StackCheckpoints, StackState
from dlcli.training.stack_evaluation import StackEvaluation
from dlcli.training.stack_losses import StackLosses
from dlcli.training.stack_step import StackStep
from dlcli.training.stacked_network import CannotStackError, StackedNetwork
from dlcli.training.surroundings import StopRequested, Surroundings
from dlcli.training.threads import suitable_threads


class Stack:
    """Trains several members together; one that is over leaves, and the rest go on in a smaller stack.

    Args:
        name: Of its checkpoint's folder; permanent within the run.
        key: The members' common structure.
        members: Who, in the order of the population.
        around: With what.
        resume: Whether to go on from its checkpoint, where there is one.

    Raises:
        CannotStackError: The members cannot train together; told here or at the first step.
    """

    def __init__(self, name: str, key: str, members: Sequence[Member], around: Surroundings, *, resume: bool) -> None:
        if any(member.averager is not None for member in members):
            raise CannotStackError("a stack keeps no averages of weights")
        if (reason := members[0].switches.loop_only) is not None:
            raise CannotStackError(reason)
        self.members, self.around = tuple(members), around
        self.progresses = tuple(Progress(member) for member in members)
        self.checkpoints = StackCheckpoints(around.directory / "stacks" / name)
        self.network = StackedNetwork(members, around.device)
        self.step = StackStep(key, members, self.network, around.device)
        self.evaluation = StackEvaluation(key, members, self.network)
        steps = around.batches.steps(members[0])
        self.horizons = [member.horizon(steps) for member in members]
        self._training = list(range(len(members)))
        self._best = {name: tensor.clone() for name, tensor in self.network.state.items()}
        self._pending: dict[tuple[int, int], dict[str, Tensor]] = {}
        self._written = 0
        self._written_at = time.monotonic()
        identities = [member.identity for member in members]
        state = self.checkpoints.read(identities) if resume else None
        if state is not None:
            self._restore(state)
        else:
            around.history_file.cut(dict.fromkeys(identities, 0))

    @property
    def epoch(self) -> int:
        """Epochs finished by those that still train, or by those who came furthest."""
        return max(progress.epoch for progress in self.progresses)

    def run_until(self, epoch: int) -> None:
        """Train up to the end of an epoch, or until all are over; then everything is on disk.

        Args:
            epoch: Number of the epoch, from 1.

        Raises:
            StopRequested: The watch asked for it.
            CannotStackError: At the first step, where the members cannot be computed together.
        """
        try:
            with suitable_threads(self.network.base, self.members[0], len(self._training)):
                while self._training and self.epoch < epoch:
                    self._train_epoch(self.epoch + 1)
        except StopRequested:
            self._write_kept()
            raise
        if not self._training:
            self._write_checkpoint()
            self._write_kept()

    def prune(self, reasons: Mapping[str, str]) -> None:
        """End the training of members that are worse than others, by identity."""
        for progress in self.progresses:
            if progress.member.identity in reasons and not progress.over:
                progress.prune(reasons[progress.member.identity])
        self._let_leave()
        if not self._training:
            self._written = 0
            self._write_checkpoint()
            self._write_kept()

    def results(self) -> list[Result]:
        """Return what came of every member, in their order."""
        best = cpu_copies(self._best)
        results = []
        for place, progress in enumerate(self.progresses):
            result = progress.result({name: tensor[place].clone() for name, tensor in best.items()})
            last = progress.member.select == "last"  # then it is the last finished epoch's, whatever came after
            results.append(replace(result, selected_epoch=progress.epoch) if last else result)
        return results

    def _train_epoch(self, epoch: int) -> None:
        start = time.perf_counter()
        progresses = [self.progresses[place] for place in self._training]
        members = [progress.member for progress in progresses]
        self.around.watch.epoch_started(members[0], epoch, self.horizons[0].steps_per_epoch)
        self.step.start_epoch(epoch, self.horizons[0].steps_per_epoch)
        losses, rates = self._take_steps(epoch, members)
        figures = self._validate(members)
        seconds = (time.perf_counter() - start) / len(members)
        improved, finished = [], []
        for place, progress in enumerate(progresses):
            progress.failure = self._why_diverged(progress, epoch, losses[place], figures[place], rates[place])
            if progress.failure is not None:
                continue
            values = {"train_loss": losses[place][0], **figures[place]}
            record = EpochRecord(epoch, rates[place], values, seconds)
            if progress.add(record) or progress.member.select == "last":
                improved.append(place)
            self.around.history_file.append(progress.member.identity, record)
            finished.append((progress, record))
        self._take_best(improved)
        self._keep(progresses, epoch)
        self._let_leave()
        interrupted = self.around.watch.interrupted()
        if interrupted or time.monotonic() - self._written_at >= self.around.checkpoint_seconds:
            self._write_checkpoint()
        for progress, record in finished:
            self.around.watch.epoch_finished(progress.member, record, progress.history)
        if interrupted and self._training:
            raise StopRequested

    def _take_steps(self, epoch: int, members: Sequence[Member]) -> tuple[list[tuple[float, str]], list[float]]:
        """Take the steps of one epoch; return what `StackLosses.means` says, and the rates of the last step."""
        watch, first = self.around.watch, (epoch - 1) * self.horizons[0].steps_per_epoch
        factors = [
            partial(member.schedule.factor, horizon=self.horizons[place], history=self.progresses[place].history)
            for place, member in zip(self._training, members, strict=True)
        ]
        base = [float(member.optimizer.lr) for member in members]
        sums = StackLosses(len(members))
        rates = base
        for index, batch in enumerate(self.around.batches.stacked_training(members, epoch)):
            if self._written == self.epoch and watch.interrupted():
                raise StopRequested
            rates = [rate * factor(first + index) for rate, factor in zip(base, factors, strict=True)]
            loss = self.step(batch, rates)
            sums.add(loss, batch.target.shape[1] if batch.weight is None else batch.weight.sum(dim=1))
            watch.step_finished(index + 1, loss.mean(), rates[0])
        return sums.means(), rates

    def _validate(self, members: Sequence[Member]) -> list[dict[str, float]]:
        rows = [member.validation_rows for member in members]
        given = [own for own in rows if own is not None]
        if not given:
            return [{} for _ in members]
        figures = self.evaluation(self.around.batches.stacked_evaluation(members, given))
        return [{f"val_{name}": value for name, value in own.items()} for own in figures]

    def _why_diverged(
        self, progress: Progress, epoch: int, loss: tuple[float, str], figures: Mapping[str, float], rate: float
    ) -> str | None:
        mean, place = loss
        if not math.isfinite(mean):
            return describe_divergence(progress, epoch, place, f"the loss became {mean}", rate)
        validation = figures.get("val_loss", 0.0)
        if not math.isfinite(validation):
            what = f"the validation loss became {validation}"
            return describe_divergence(progress, epoch, "its end", what, rate)
        return None

    def _take_best(self, places: Sequence[int]) -> None:
        """Copy the state of members that are at their best, given by their place in the stack as it is now."""
        if not places:
            return
        state = self.network.state
        if len(places) == len(self.members):
            torch._foreach_copy_(list(self._best.values()), list(state.values()))
            return
        now = torch.tensor(places, device=self.around.device)
        whole = torch.tensor([self._training[place] for place in places], device=self.around.device)
        for name, best in self._best.items():
            best.index_copy_(0, whole, state[name].index_select(0, now))

    def _let_leave(self) -> None:
        """Take members that are over out of the stack."""
        staying = [i for i, place in enumerate(self._training) if not self.progresses[place].over]
        if len(staying) == len(self._training):
            return
        self._training = [self._training[i] for i in staying]
        if self._training:
            places = torch.tensor(staying, device=self.around.device)
            optimizer = self.step.optimizer.selected(places)
            self.network.keep(places)
            self._bind(optimizer)

    def _bind(self, optimizer: Mapping[str, Tensor]) -> None:
        members = [self.members[place] for place in self._training]
        self.step.bind(members)
        self.step.optimizer.restore(optimizer)
        self.evaluation.bind(members)

    def _restore(self, state: StackState) -> None:
        """Go on from a checkpoint; the history is cut back to it."""
        epochs = {identity: int(table["epochs"]) for identity, table in state.progress.items()}
        self.around.history_file.cut(epochs)
        records = self.around.history_file.read_all()
        for progress in self.progresses:
            identity = progress.member.identity
            progress.restore(records.get(identity, ()), state.progress[identity])
        for name, tensor in self._best.items():
            tensor.copy_(state.best[name])
        self._training = [i for i, member in enumerate(self.members) if member.identity in state.training]
        if self._training:
            self.network.keep(torch.tensor(self._training, device=self.around.device))
            self.network.load(state.network)
            self._bind(state.optimizer)
        self._written = state.epoch

    def _keep(self, progresses: Sequence[Progress], epoch: int) -> None:
        """Write or hold parameters of this epoch that are to stay on disk, beside the best."""
        for place, progress in enumerate(progresses):
            keep = progress.member.keep
            if progress.failure is not None:
                continue
            checkpoints = self.around.checkpoints(progress.member) if keep.last > 1 or keep.every_epochs else None
            if checkpoints is not None and checkpoints.keeps_now(epoch):
                checkpoints.write_parameters(epoch, self._slice(place), progress.history)
            elif keep.best > 1 and epoch in rank(progress.history)[: keep.best]:
                self._pending[self._training[place], epoch] = self._slice(place)

    def _slice(self, place: int) -> dict[str, Tensor]:
        return cpu_copies({name: tensor[place] for name, tensor in self.network.state.items()})

    def _write_kept(self) -> None:
        """Write the epochs of members that are to stay as checkpoints of their own, and drop the others."""
        best = cpu_copies(self._best)
        for place, progress in enumerate(self.progresses):
            if not progress.best_epoch or progress.member.keep == Keep(best=0):
                continue
            checkpoints: Checkpoints = self.around.checkpoints(progress.member)
            held = {epoch: state for (owner, epoch), state in self._pending.items() if owner == place}
            if progress.member.select == "best":
                held[progress.best_epoch] = {name: tensor[place].clone() for name, tensor in best.items()}
            for epoch in sorted(held.keys() & checkpoints.wanted(progress.history)):
                checkpoints.write_parameters(epoch, held[epoch], progress.history)
            checkpoints.prune(progress.history)
        self._pending = {}

    def _write_checkpoint(self) -> None:
        if not self.epoch or self._written == self.epoch:
            return
        self.around.history_file.sync()
        if self._pending:
            self._write_kept()
        scores = [p.best_score for p in self.progresses if not math.isnan(p.best_score)]
        first = self.progresses[0].history
        score = (min if first.direction == "min" else max)(scores, default=math.nan)
        state = StackState(
            epoch=self.epoch,
            training=tuple(self.members[place].identity for place in self._training),
            network=cpu_copies(self.network.state),
            optimizer=cpu_copies(self.step.optimizer.state()),
            best=cpu_copies(self._best),
            progress={p.member.identity: {"epochs": p.epoch, **p.as_table()} for p in self.progresses},
        )
        self.checkpoints.write(state, f"epoch-{self.epoch:04d}-{first.monitor}-{score:.4f}")
        self._written, self._written_at = self.epoch, time.monotonic()
