"""The strategy `stacking`."""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from dlcli import (
    Architecture,
    Combination,
    Context,
    Ensemble,
    MeanOfMembers,
    MemberResult,
    MemberSpecification,
    Optimizer,
    Plan,
    Task,
    by_name,
    probabilities,
)
from dlcli.builtin.ensembles.members import names, need_whole_rows, specifications
from dlcli.builtin.schedules.cosine import Cosine

Groups = tuple[tuple[str, ...], ...]


class Stacking(Ensemble):
    """A meta-model learns from what base members say of rows that they have not seen.

    Every base member trains once a fold, preprocessing too; what each fold's model answers on its held-out rows
    (probabilities; for regression outputs) are the meta-model's inputs on the training rows, base members side by
    side. On all other rows the base members answer as `final` says. The whole stack has no out-of-fold score: a
    fold's answers come from models that saw the other folds' labels, so it would take folds within folds. Given runs
    are not trained again: the meta-model trains on their answers for the validation rows, all its epochs.

    Args:
        folds: Number of folds, ≥ 2.
        meta: The meta-model's architecture; `linear` is logistic regression for classes.
        meta_epochs: Its epochs, ≥ 1, its rate falling as half a cosine; the best one on validation rows counts, without
            any the last.
        meta_optimizer: Its optimizer: probabilities are small numbers, so it wants a larger rate than a deep network.
        passthrough: Whether the meta-model gets the dataset's inputs too.
        layers: Layers of base members, ≥ 1; those of a further layer get the inputs and the last layer's answers.
        final: `refit` trains every base member once more on all training rows; `average` takes the mean of its fold
            models.

    Raises:
        ValueError: From the plan: answers per position; runs without validation rows, or with several layers; no base
            member of which all trainings went well.

    Source: Wolpert 1992, "Stacked generalization"; van der Laan et al. 2007, "Super learner".
    """

    name: ClassVar[str] = "stacking"
    counts: ClassVar[str | None] = "base members"
    takes: ClassVar[Literal["trained", "given", "either"]] = "either"

    folds: int = Field(5, ge=2, description="number of folds")
    meta: Architecture = by_name("dlcli:linear")
    meta_epochs: int = Field(100, ge=1, description="epochs of the meta-model")
    meta_optimizer: Optimizer = by_name("dlcli:adam", lr=1e-2, weight_decay=1e-4)
    passthrough: bool = Field(False, description="whether the meta-model gets the dataset's inputs too")
    layers: int = Field(1, ge=1, description="layers of base members below the meta-model")
    final: Literal["refit", "average"] = Field(
        "refit", description="base members trained once more on all training rows, or the mean of the fold models"
    )

    def plan(self, context: Context) -> Plan:
        """Train the base members layer by layer, then the meta-model on their answers."""
        need_whole_rows(self.name, context, context.target(context.training_rows[:1]))
        meta = MemberSpecification(
            "meta",
            architecture=self.meta,
            own_inputs=self.passthrough,
            epochs=self.meta_epochs,
            optimizer=self.meta_optimizer,
            schedule=Cosine(),
        )
        fed: dict[str, Groups] = {}  # for every member of a further layer
        if context.given:
            judged = self._rows_for_given(context)
            groups: Groups = tuple((member,) for member in names(context.given))
            answers = torch.zeros(context.rows, len(groups) * context.outputs)
            answers[judged] = _answers(groups, judged, context)
            meta = replace(meta, training_rows=judged, validation_rows=torch.empty(0, dtype=torch.int64))
        else:
            layer = yield from self._layer(1, None, context)
            for number in range(2, self.layers + 1):
                below = layer
                layer = yield from self._layer(number, below.answers, context)
                fed |= {member: below.groups for group in layer.groups for member in group}
            groups, answers = layer.groups, layer.answers
        results = yield [replace(meta, fed={"answers": answers})]
        members = names(results)
        combination = Combination(
            members,
            fed={member: {"answers": below} for member, below in (fed | {members[0]: groups}).items()},
            fitted_on_validation=bool(context.given),
        )
        context.reached(combination)
        return combination

    def _rows_for_given(self, context: Context) -> Tensor:
        if self.layers > 1:
            raise ValueError(
                f"stacking of runs that exist has one layer, got layers = {self.layers}: further layers would train on "
                "their answers for training rows, which they have seen; use layers = 1, or stack a recipe"
            )
        if context.validation_rows is None:
            raise ValueError(
                "stacking of runs that exist trains its meta-model on their answers for validation rows, and there are "
                "none; give the data a validation part (data.split = { val = 0.2 }) or stack a recipe"
            )
        return context.validation_rows

    def _layer(
        self, number: int, below: Tensor | None, context: Context
    ) -> Generator[Sequence[MemberSpecification], Sequence[MemberResult], "_Layer"]:
        """Train a layer's base members, all folds and refits at once; return what they answer."""
        prefix = "member" if number == 1 else f"layer-{number}-member"
        base = specifications(context, prefix, context.members or len(context.architectures))
        if below is not None:
            base = [replace(each, fed={"answers": below}) for each in base]
        folds = context.folds(self.folds)
        none = torch.empty(0, dtype=torch.int64)
        asked = [
            replace(
                each,
                identity=_fold_model(each.identity, place),
                training_rows=fold.training,
                validation_rows=none if fold.validation is None else fold.validation,
            )
            for each in base
            for place, fold in enumerate(folds)
        ]
        trained = {result.identity for result in (yield asked + (base if self.final == "refit" else []))}
        whole = []
        for each in base:
            fold_models = tuple(_fold_model(each.identity, place) for place in range(len(folds)))
            final = (each.identity,) if self.final == "refit" else fold_models
            if trained.issuperset(fold_models + final):
                whole.append((fold_models, final))
            else:
                context.note(f"stacking leaves {each.identity} out: not all of its trainings went well")
        if not whole:
            raise ValueError(
                f"stacking has no base member in layer {number} of which all {len(folds)} fold models "
                "and the final one trained; see the members that failed"
            )
        groups = tuple(final for _, final in whole)
        judged = context.validation_rows
        answers = torch.zeros(context.rows, len(groups) * context.outputs)
        if judged is not None:
            answers[judged] = _answers(groups, judged, context)
        for place, fold in enumerate(folds):
            held_out = tuple((fold_models[place],) for fold_models, _ in whole)
            answers[fold.held_out] = _answers(held_out, fold.held_out, context)
        return _Layer(groups, answers)

    def combine(self, task: Task, settings: Mapping[str, object], state: Mapping[str, Tensor]) -> nn.Module:
        """Build the mean of one member, the meta-model: its outputs as they are."""
        return MeanOfMembers(task)


@dataclass(frozen=True)
class _Layer:
    """A layer's groups, and what they answer: on training rows out-of-fold (N, groups · O)."""

    groups: Groups
    answers: Tensor


def _fold_model(identity: str, place: int) -> str:
    return f"{identity}-fold-{place}"


def _answers(groups: Groups, rows: Tensor, context: Context) -> Tensor:
    """Return the groups' answers on rows side by side, (R, groups · O), float32."""
    each = [
        torch.stack([probabilities(context.outputs_of(member, rows), context.task) for member in group]).mean(dim=0)
        for group in groups
    ]
    return torch.cat(each, dim=1).float()
