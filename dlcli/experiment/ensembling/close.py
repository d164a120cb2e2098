"""Leaves an ensemble complete: its model, its figures, the comparison with its members, a picture, `run.json`.

The test rows are looked at here, once, when everything is decided.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from dlcli import atomic
from dlcli.contracts.ensemble_members import AveragedWeights, Combination, Outcome, Unseen
from dlcli.data.out_of_fold import write_out_of_fold
from dlcli.errors import UsageError
from dlcli.experiment.ensembling.comparison import calibration, compare, fit_temperature
from dlcli.experiment.ensembling.model import write_outcome
from dlcli.experiment.ensembling.outputs import check_combined, combined_outputs
from dlcli.experiment.ensembling.ranking import best_of, compared_members, curve_of, members_of, scores_of
from dlcli.experiment.ensembling.state import Ensembling
from dlcli.experiment.environment import now
from dlcli.experiment.models.combination import CombinedModel, Tempered
from dlcli.experiment.models.model_folder import AnyModel
from dlcli.experiment.models.outputs import figures_of
from dlcli.experiment.row_file import RunRows, write_rows
from dlcli.experiment.summary import finite, finite_number
from dlcli.report.ensemble_outcome import (
    Comparison,
    EnsembleMember,
    EnsembleOutcome,
    TemperatureScaling,
)
from dlcli.report.ensemble_svg import ensemble_svg
from dlcli.training.timing import seconds_alone

PICTURE = "ensemble.svg"
FILES = {"out-of-bag": "oob.h5", "out-of-fold": "oof.h5"}


def close_ensemble(ensembling: Ensembling, outcome: Outcome, notes: Sequence[str]) -> EnsembleOutcome:
    """Leave a finished ensemble complete.

    Args:
        ensembling: The ensemble.
        outcome: What its strategy decided.
        notes: What the user should know.

    Returns:
        What it came to.

    Raises:
        UsageError: Temperature scaling is asked for, and there are no rows to fit it on.
        StorageError: A file could not be written.
    """
    return _Closing(ensembling, outcome).close(tuple(notes))


@dataclass
class _Closing:
    ensembling: Ensembling
    outcome: Outcome

    def close(self, notes: tuple[str, ...]) -> EnsembleOutcome:
        own, prepared = self.ensembling, self.ensembling.prepared
        context, judge = own.context, prepared.judge
        model = write_outcome(self.ensembling, self.outcome, None)
        rows = self._rows()
        outputs = {split: self._outputs(model, found) for split, found in rows.items()}
        scaling_rows, scaling_outputs = self._scaling(outputs, rows)
        split = self._compared_split(rows)
        temperature = None
        before = after = None
        if split is not None and judge.io.task.classifies and not judge.io.per_position:
            registry = own.plugins.registry
            before = calibration(outputs[split], judge, own.batches, rows[split], registry)
        if scaling_outputs is not None and scaling_rows is not None:
            temperature = fit_temperature(scaling_outputs, judge, own.batches, scaling_rows)
        applied = prepared.section.temperature_scaling and temperature is not None
        if temperature is not None and split is not None and before is not None:
            scaled = Tempered(temperature, judge.io.task)(outputs[split])
            after = calibration(scaled, judge, own.batches, rows[split], own.plugins.registry)
        if applied:
            model = write_outcome(self.ensembling, self.outcome, temperature)
            outputs = {name: own.outputs_of(model, found) for name, found in rows.items()}
        figures = {name: figures_of(outputs[name], judge, own.batches, found) for name, found in rows.items()}
        comparison, members = self._compare(outputs, rows, split)
        unseen = self._unseen()
        score = self._score(outputs, rows, unseen)
        summary = EnsembleOutcome(
            run=own.run.path,
            name=prepared.recipe.name,
            status="finished",
            strategy=prepared.strategy.name,
            kind=_kind(self.outcome),
            monitor=context.monitor,
            direction=context.direction,
            seconds=sum(training.seconds for training in own.conductor.trainings),
            members=members,
            train=figures.get("train"),
            val=figures.get("val"),
            test=figures.get("test"),
            score=score,
            comparison=comparison,
            unseen_kind=None if unseen is None else unseen.kind,
            unseen=None if unseen is None else figures_of(unseen.outputs, judge, own.batches, unseen.rows),
            calibration=before,
            temperature_scaling=None
            if temperature is None or before is None or after is None
            else TemperatureScaling(temperature, applied, before, after),
            curve=curve_of(own, None if split is None else rows[split]),
            relative_seconds=_relative_seconds(own),
            relative_parameters=_relative_parameters(members, _kind(self.outcome)),
            notes=notes,
            extends=prepared.strategy.extends and prepared.library is None,
        )
        return self._record(summary)

    def _outputs(self, model: AnyModel, rows: Tensor) -> Tensor:
        """Return the outputs of the model as it was read; what its members say on the way is not computed again."""
        own = self.ensembling
        if not isinstance(model, CombinedModel):
            return own.outputs_of(model, rows)
        each = own.outputs_of.of_members(model, rows)
        for identity, found in each.items():
            given = own.prepared.given.get(identity)
            if identity in own.outputs and identity not in model.wiring.fed and (given is None or not given.folds):
                own.outputs.learn(identity, rows, found)
        with torch.no_grad():
            together = [each[identity] for identity in model.wiring.members]
            combined: Tensor = model.combine(together)
        check_combined(own.prepared.strategy, torch.stack(together), combined)
        return combined

    @property
    def _fitted_on_validation(self) -> bool:
        return isinstance(self.outcome, Combination) and self.outcome.fitted_on_validation

    def _rows(self) -> dict[str, Tensor]:
        """Return the rows that figures of the model are computed over, by split."""
        prepared = self.ensembling.prepared
        rows: dict[str, Tensor | None] = {"test": prepared.test_rows}
        if not self._fitted_on_validation and not any(given.folds for given in prepared.given.values()):
            rows["val"] = prepared.validation_rows
        if prepared.library is None:
            rows["train"] = prepared.training_rows
        found = {name: own for name, own in rows.items() if own is not None and len(own)}
        return {name: found[name] for name in ("train", "val", "test") if name in found}

    def _unseen(self) -> Unseen | None:
        unseen = self.outcome.unseen if isinstance(self.outcome, Combination) else None
        return unseen if unseen is not None and len(unseen.rows) else None

    def _scaling(self, outputs: dict[str, Tensor], rows: dict[str, Tensor]) -> tuple[Tensor | None, Tensor | None]:
        """Return rows that a temperature may be fitted on, and the outputs for them; None where there are none."""
        own = self.ensembling
        asked = own.prepared.section.temperature_scaling
        task = own.context.task
        if not task.classifies or own.prepared.judge.io.per_position:
            return None, None
        unseen = self._unseen()
        if "val" in outputs:
            return rows["val"], outputs["val"]
        if unseen is not None:
            return unseen.rows, unseen.outputs
        validation = own.prepared.validation_rows
        if validation is not None and not self._fitted_on_validation and isinstance(self.outcome, Combination):
            # Models of folds: each row as the fold says that has not seen it.
            return validation, combined_outputs(own.prepared.strategy, task, self.outcome, own.outputs, validation)
        if asked:
            raise UsageError(
                "ensemble.temperature_scaling needs rows that the ensemble was not fitted to, and there are none: give "
                "the data a validation part (data.split.val = 0.2), or set it to false"
            )
        return None, None

    def _compared_split(self, rows: dict[str, Tensor]) -> Literal["test", "val"] | None:
        return "test" if "test" in rows else "val" if "val" in rows else None

    def _compare(
        self, outputs: dict[str, Tensor], rows: dict[str, Tensor], split: Literal["test", "val"] | None
    ) -> tuple[Comparison | None, tuple[EnsembleMember, ...]]:
        own = self.ensembling
        names = compared_members(own, self.outcome)
        scores = scores_of(own, names)
        comparison: Comparison | None = None
        figures: dict[str, dict[str, float]] = {}
        if split is not None and names:
            each = {identity: own.outputs(identity, rows[split]) for identity in names}
            best = best_of(own, names, scores)
            comparison, figures = compare(
                outputs[split], each, best, own.prepared.judge, own.batches, rows[split], split
            )
        return comparison, members_of(own, self.outcome, scores, figures)

    def _score(self, outputs: dict[str, Tensor], rows: dict[str, Tensor], unseen: Unseen | None) -> float | None:
        own = self.ensembling
        if "val" in outputs:
            return finite_number(own.context.figure(outputs["val"], rows["val"]))
        validation = own.prepared.validation_rows
        if validation is not None and isinstance(self.outcome, Combination) and not self.outcome.fed:
            found = combined_outputs(own.prepared.strategy, own.context.task, self.outcome, own.outputs, validation)
            return finite_number(own.context.figure(found, validation))
        return None if unseen is None else finite_number(own.context.figure(unseen.outputs, unseen.rows))

    def _write_rows(self) -> None:
        """Say which rows are left to judge a combination of runs by; those of a trained one are its recipe's."""
        own = self.ensembling
        if own.prepared.library is None:
            return
        none = torch.empty(0, dtype=torch.int64)
        parts = [none if own.conductor.trainings == [] else own.prepared.training_rows]
        for given in own.prepared.given.values():
            parts += [given.seen, *given.folds.values()]
        val = own.prepared.validation_rows
        if val is not None and self._fitted_on_validation:
            parts.append(val)
        seen = torch.unique(torch.cat(parts))
        left = none if val is None else val[~torch.isin(val, seen)]
        test = none if own.prepared.test_rows is None else own.prepared.test_rows
        write_rows(own.run, RunRows(seen, left, test[~torch.isin(test, seen)]))

    def _record(self, summary: EnsembleOutcome) -> EnsembleOutcome:
        """Write the picture, the predictions for unseen rows, and `run.json`."""
        own, run = self.ensembling, self.ensembling.run
        if len(summary.curve) > 1:
            summary = replace(summary, picture=run.path / PICTURE)
            atomic.write_text(run.path / PICTURE, ensemble_svg(summary))
        unseen = self._unseen()
        if unseen is not None:
            order = unseen.rows.argsort()
            said = own.prepared.judge.loss.prediction(unseen.outputs[order])
            write_out_of_fold(run.path / FILES[unseen.kind], own.prepared.dataset, unseen.rows[order], None, said)
        self._write_rows()
        seen = {"train"} | ({"val"} if own.prepared.recipe.train.rows != "train" else set())
        for given in own.prepared.given.values():
            seen |= {"val"} if given.folds or "val" in given.trained_on else set()
        if self._fitted_on_validation:
            seen.add("val")
        run.update(
            status="finished",
            finished=now(),
            error=None,
            seconds=round(summary.seconds, 3),
            epochs=max((member.epochs for member in summary.members), default=0),
            best_score=summary.score,
            train=finite(summary.train),
            val=finite(summary.val),
            test=finite(summary.test),
            members=[member.as_json() for member in summary.members],
            ensemble=summary.ensemble_json(),
            trained_on=sorted(seen),
            notes=list(summary.notes),
        )
        return summary


def _kind(outcome: Outcome) -> Literal["combination", "weights", "single"]:
    if isinstance(outcome, Combination):
        return "combination"
    return "weights" if isinstance(outcome, AveragedWeights) else "single"


def _relative_parameters(members: Sequence[EnsembleMember], kind: str) -> float | None:
    counts = [member.parameters for member in members if member.parameters]
    used = sum(member.parameters for member in members if member.used)
    if kind != "combination":
        return 1.0
    return used * len(counts) / sum(counts) if counts and used else None


def _relative_seconds(own: Ensembling) -> float | None:
    """Return the time of all training over that of one network alone; None unless several of one kind were trained."""
    trainings = own.conductor.trainings
    states = list(own.conductor.states.values())
    if len(trainings) < 2 or len({state.member.architecture.stack_key() for state in states}) != 1:
        return None
    alone = seconds_alone(states[0].member, own.batches, own.context.epochs, own.device)
    return sum(training.steady_seconds for training in trainings) / alone
