"""What a strategy may know and ask, and what it is refused."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from dlcli.contracts.architecture import Architecture
from dlcli.contracts.batch import Batches
from dlcli.contracts.dataset import Dataset
from dlcli.contracts.ensemble import Ensemble
from dlcli.contracts.ensemble_members import Combination, MemberResult
from dlcli.contracts.folds import Fold, FoldKind
from dlcli.contracts.history import Direction
from dlcli.contracts.member import Member
from dlcli.contracts.randomness import derive, stream
from dlcli.contracts.task import Task
from dlcli.data.kfold import INNER_SHARE, FoldPlan, fold_rounds
from dlcli.errors import PluginError, UsageError
from dlcli.experiment.ensembling.outputs import MemberOutputs, combined_outputs
from dlcli.experiment.models.outputs import figures_of


@dataclass
class StrategyContext:
    """Implements `dlcli.contracts.ensemble.Context`, whose attributes are explained there.

    Args:
        strategy: Who asks.
        dataset: The data.
        batches: The same as batches.
        judge: Task, loss and metrics are its.
        seed: The run's.
        inner_share: Share of a fold's training rows that decide its best epoch where there are no validation rows.
        member_outputs: Outputs of all members there are.
        score_weights: Scores a network with other weights; `score_of_weights`.
        tell: Shows the user a note.
        show_reached: Is told how many members an ensemble has, and its score.
        combinations: What was reached so far.
        scores: The monitored value of each.
    """

    strategy: Ensemble
    dataset: Dataset
    batches: Batches
    judge: Member
    seed: int
    training_rows: Tensor
    validation_rows: Tensor | None
    members: int | None
    architectures: tuple[Architecture, ...]
    epochs: int
    monitor: str
    direction: Direction
    given: tuple[MemberResult, ...]
    member_outputs: MemberOutputs
    score_weights: Callable[[Mapping[str, Tensor], str], float]
    tell: Callable[[str], None]
    show_reached: Callable[[int, float], None]
    inner_share: float | None = None
    stratify: bool | None = None
    fold_kind: FoldKind | None = None
    combinations: list[Combination] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)

    task: Task = field(init=False)
    outputs: int = field(init=False)
    rows: int = field(init=False)
    columns: Mapping[str, int] = field(init=False)

    def __post_init__(self) -> None:
        io = self.judge.io
        self.task, self.outputs, self.rows = io.task, io.outputs, self.dataset.rows
        self.columns = {f.name: f.shape[-1] for f in io.inputs if f.kind in ("features", "sequence")}

    def target(self, rows: Tensor) -> Tensor:
        """Return the targets of rows; refused where members' outputs are not of their form."""
        self.refuse_others(rows)
        if (several := self.judge.loss.outputs_per_target) > 1:
            raise UsageError(
                f"{self.strategy.name} compares members' outputs with targets, but of {self.judge.loss.name} there are "
                f"{several} outputs a target; take soft voting, bagging, snapshot or greedy, or train with another loss"
            )
        return self.dataset.tensors[self.dataset.target.name].index_select(0, rows)

    def folds(self, count: int) -> tuple[Fold, ...]:
        """Return folds over the training rows."""
        inner = None if self.validation_rows is not None else (self.inner_share or INNER_SHARE)
        if self.fold_kind == "time_ordered":
            raise UsageError(
                f"{self.strategy.name} needs every training row held out once, which time_ordered folds do not do; set "
                "data.folds.kind to another"
            )
        plan = FoldPlan(count, self.fold_kind, self.stratify)
        rounds = fold_rounds(self.dataset, self.training_rows, plan, seed=self.seed, inner=inner)
        if self.validation_rows is None:
            return rounds
        return tuple(replace(fold, validation=self.validation_rows) for fold in rounds)

    def outputs_of(self, identity: str, rows: Tensor) -> Tensor:
        """Return a member's outputs on rows."""
        self.refuse_others(rows)
        if identity not in self.member_outputs:
            raise PluginError(
                f"the strategy {self.strategy.name} asked for the member {identity!r}, which is not there"
            )
        return self.member_outputs(identity, rows)

    def score(self, output: Tensor, rows: Tensor) -> float:
        """Return the monitored value of outputs for rows."""
        self.refuse_others(rows)
        return self.figure(output, rows)

    def figure(self, output: Tensor, rows: Tensor) -> float:
        """Return the monitored value of outputs for any rows."""
        name = "loss" if self.monitor == "train_loss" else self.monitor.removeprefix("val_")
        metrics = {key: metric for key, metric in self.judge.metrics.items() if key == name}
        return figures_of(output, replace(self.judge, metrics=metrics), self.batches, rows)[name]

    def score_of_weights(self, state: Mapping[str, Tensor], like: str) -> float:
        """Return the monitored value of a network with other weights on validation rows."""
        if self.validation_rows is None:
            raise PluginError(f"the strategy {self.strategy.name} scores weights, but there are no validation rows")
        return self.score_weights(state, like)

    def generator(self, purpose: str) -> torch.Generator:
        """Return the strategy's own random stream for a purpose."""
        return stream(derive(self.seed, "ensemble"), purpose)

    def note(self, text: str) -> None:
        """Tell the user something."""
        self.tell(text)

    def reached(self, combination: Combination) -> None:
        """Remember what the ensemble would be so far, and show how good it is."""
        score = self.reached_score(combination)
        self.combinations.append(combination)
        self.scores.append(score)
        self.show_reached(len(combination.members), score)

    def reached_score(self, combination: Combination) -> float:
        """Return the monitored value of a combination on validation rows, else on rows unseen; NaN without either."""
        if self.validation_rows is not None:
            outputs = combined_outputs(self.strategy, self.task, combination, self.member_outputs, self.validation_rows)
            return self.figure(outputs, self.validation_rows)
        unseen = combination.unseen
        return math.nan if unseen is None or not len(unseen.rows) else self.figure(unseen.outputs, unseen.rows)

    def refuse_others(self, rows: Tensor) -> None:
        """Refuse rows that are neither training nor validation rows.

        Args:
            rows: Rows of the dataset, int64.

        Raises:
            PluginError: Some are not; the strategy is at fault.
        """
        allowed = torch.zeros(self.dataset.rows, dtype=torch.bool)
        allowed[self.training_rows] = True
        if self.validation_rows is not None:
            allowed[self.validation_rows] = True
        if not bool(allowed[rows].all()):
            raise PluginError(
                f"the strategy {self.strategy.name} asked for rows that are neither training nor validation rows, such "
                "as test rows: nothing may be selected, weighted or calibrated on them"
            )
