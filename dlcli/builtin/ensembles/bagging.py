"""The strategy `bagging`."""

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from dlcli import (
    Combination,
    Context,
    Ensemble,
    MeanOfMembers,
    MemberSpecification,
    Plan,
    Task,
    Unseen,
    outputs_from,
    probabilities,
)
from dlcli.builtin.ensembles.members import DEFAULT_MEMBERS, names, specifications


class Bagging(Ensemble):
    """Networks that each train on rows drawn from the training rows, and the mean of their answers.

    A bag may also see only some columns of the inputs. Each member's epoch is chosen on the validation rows, from
    which no bag draws; without any, members train all their epochs. Training rows that a bag did not draw are its
    out-of-bag rows: they only score, each by the mean of the members that did not draw it. Rows are drawn one by one,
    so rows of one group may be on both sides, and the out-of-bag score is then too good.

    Args:
        samples: Rows that a bag draws, as a share of the training rows, > 0; at least one row.
        replacement: Whether a row may be drawn more than once. Without, `samples` is at most 1, and 1 leaves no
            out-of-bag rows.
        features: Columns that a bag sees of every input of features or a sequence, as a share in (0, 1]; at least one.

    Raises:
        ValueError: More samples than rows without replacement; from the plan: `features` with no columns to choose.

    Source: Breiman 1996, "Bagging predictors"; Ho 1998, "The random subspace method", for `features`.
    """

    name: ClassVar[str] = "bagging"
    counts: ClassVar[str | None] = "bags"
    extends: ClassVar[bool] = True

    samples: float = Field(1.0, gt=0, description="rows that a bag draws, as a share of the training rows")
    replacement: bool = Field(True, description="whether a bag may draw a row more than once")
    features: float = Field(1.0, gt=0, le=1, description="columns that a bag sees of each input, as a share")

    @model_validator(mode="after")
    def _enough_rows(self) -> "Bagging":
        if not self.replacement and self.samples > 1:
            raise ValueError(
                f"samples = {self.samples:g} draws more rows than there are, and replacement = false draws each at "
                "most once; use samples ≤ 1 or replacement = true"
            )
        return self

    def plan(self, context: Context) -> Plan:
        """Train a member on every bag; say what they answer out of bag."""
        if self.features < 1 and not context.columns:
            raise ValueError(
                f"features = {self.features:g} chooses columns, but no input has any: only features and sequences do; "
                "use features = 1"
            )
        none = torch.empty(0, dtype=torch.int64) if context.validation_rows is None else None
        count = context.members or DEFAULT_MEMBERS
        asked = [
            replace(self._drawn(each, context), validation_rows=none) for each in specifications(context, "bag", count)
        ]
        rows_of = {each.identity: each.training_rows for each in asked}
        members = names((yield asked))
        outside = _OutOfBag(context)
        combination = Combination(())
        for place, member in enumerate(members):
            outside.add(member, rows_of[member])
            combination = Combination(members[: place + 1], unseen=outside.unseen())
            context.reached(combination)
        return combination

    def _drawn(self, specification: MemberSpecification, context: Context) -> MemberSpecification:
        """Return the specification with its rows and columns, drawn from a stream of its own."""
        generator = context.generator(specification.identity)
        total = len(context.training_rows)
        count = max(1, round(self.samples * total))
        if self.replacement:
            places = torch.randint(total, (count,), generator=generator)
        else:
            places = torch.randperm(total, generator=generator)[:count]
        columns = {}
        if self.features < 1:
            for name, width in context.columns.items():
                chosen = torch.randperm(width, generator=generator)[: max(1, round(self.features * width))]
                columns[name] = chosen.sort().values
        return replace(specification, training_rows=context.training_rows[places], input_columns=columns)

    def combine(self, task: Task, settings: Mapping[str, object], state: Mapping[str, Tensor]) -> nn.Module:
        """Build the mean."""
        return MeanOfMembers(task)


class _OutOfBag:
    """Sums, for every training row, the answers of the members that did not draw it."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._rows = context.training_rows
        self._voices = torch.zeros(len(self._rows), dtype=torch.float64)
        self._sum: Tensor | None = None

    def add(self, member: str, drawn: Tensor | None) -> None:
        out = ~torch.isin(self._rows, self._rows if drawn is None else drawn)
        if not out.any():
            return
        answers = probabilities(self._context.outputs_of(member, self._rows[out]).double(), self._context.task)
        if self._sum is None:
            self._sum = torch.zeros(len(self._rows), *answers.shape[1:], dtype=torch.float64)
        self._sum[out] += answers
        self._voices[out] += 1

    def unseen(self) -> Unseen | None:
        """Return the mean answers for rows that at least one member did not draw; None where there is no such row."""
        if self._sum is None:
            return None
        some = self._voices > 0
        voices = self._voices[some].reshape(-1, *[1] * (self._sum.ndim - 1))
        outputs = outputs_from(self._sum[some] / voices, self._context.task).float()
        return Unseen("out-of-bag", self._rows[some], outputs)
