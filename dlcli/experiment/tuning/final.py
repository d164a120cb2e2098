"""What a search leaves: the best setting retrained on all rows, the recipe as it was beside it, the best models.

The test rows are looked at here, once, when everything is decided.
"""

import statistics
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

from dlcli import atomic
from dlcli.contracts.batch import Batches
from dlcli.contracts.component import implements
from dlcli.contracts.member import Keep, Member, Result, Watch
from dlcli.contracts.search import Setting
from dlcli.data.streamed_batches import make_batches
from dlcli.experiment.members import make_member, plan_members
from dlcli.experiment.models.model import ModelDescription, describe
from dlcli.experiment.models.model_folder import Part, trained_part, write_mean, write_part
from dlcli.experiment.run_directory import RunDirectory
from dlcli.experiment.tuning.problem import Trials, identity_of
from dlcli.experiment.tuning.trials import STATES, TRAINING, TrialRunner
from dlcli.recipe.model import Recipe
from dlcli.report.tune_outcome import ModelScores
from dlcli.search.state import SearchState
from dlcli.search.trials import Population, Trial
from dlcli.training.evaluation import evaluate
from dlcli.training.fit import fit
from dlcli.training.network import build_network


@dataclass(frozen=True)
class Refitted:
    """A network retrained on training and validation rows.

    Args:
        recipe: The recipe that gives it, which `dlcli train` takes.
        member: Its member.
        state: Its `state_dict`.
        figures: Its figures on the rows that it was trained on (`train`) and on the test rows (`test`), where there are
            any.
    """

    recipe: Recipe
    member: Member
    state: Mapping[str, Tensor]
    figures: Mapping[str, Mapping[str, float]]


def final_recipe(trials: Trials, setting: Setting, epochs: float) -> Recipe:
    """Return the recipe that retrains a setting on training and validation rows.

    Nothing is left to decide an epoch by: stopping rules are left out, the last epoch counts, and the schedule runs as
    it did in the search.

    Args:
        trials: What the setting was tried on.
        setting: The setting; empty for the recipe as it was.
        epochs: Epochs that were best on average.

    Returns:
        The recipe, settled, without `[tune]`.
    """
    recipe = trials.settled(setting)
    train = recipe.train.model_copy(
        update={
            "epochs": max(1, round(epochs)),
            "horizon": recipe.train.horizon or recipe.train.epochs,
            "rows": "train+val",
            "select": "last",
            "monitor": "train_loss",
            "kfold": None,
        }
    )
    staying = tuple(named for named in recipe.regularizers if not implements(named.component, "stop"))
    return recipe.model_copy(update={"train": train, "regularizers": staying, "tune": None})


class FinalModels:
    """Trains what a search leaves besides its trials.

    Args:
        trials: What settings were tried on.
        runner: Scores networks.
        run: The run directory.
        watch: Is told how it goes; says whether to end.
    """

    def __init__(self, trials: Trials, runner: TrialRunner, run: RunDirectory, watch: Watch) -> None:
        self._trials, self._runner, self._run, self._watch = trials, runner, run, watch

    def refit(self, recipe: Recipe, folder: Path) -> Refitted | str:
        """Train a final recipe, or go on with it.

        Args:
            recipe: What `final_recipe` returned.
            folder: For its checkpoints.

        Returns:
            The network; why it failed, where it did.

        Raises:
            Interrupted: The user stopped it; the state is saved.
        """
        dataset, device = self._trials.dataset, self._trials.device
        member = replace(plan_members(recipe, dataset).members[0], keep=Keep(best=0))
        # It learns from rows that trials were scored by, which are not among those that a stream of theirs reads.
        own = make_batches(dataset, device, [member.training_rows], recipe.seed) if dataset.stored else None
        result = self._fit([member], folder, own)[0]
        if result.failure is not None:
            return result.failure
        network = build_network(member, device)
        network.load_state_dict(dict(result.state))
        rows = {"train": member.training_rows, "test": dataset.splits.get("test")}
        figures = {
            name: evaluate(
                network,
                self._runner.batches.evaluation(member, own),
                task=member.io.task,
                loss=member.loss,
                metrics=member.metrics,
            )
            for name, own in rows.items()
            if own is not None
        }
        return Refitted(recipe, member, result.state, figures)

    def untuned(self, folder: Path) -> tuple[ModelScores, Refitted] | str:
        """Score the recipe as it was on the rounds of the search, and retrain it as the best setting is.

        Args:
            folder: For checkpoints.

        Returns:
            Its scores and its final model; why it failed, where it did.

        Raises:
            Interrupted: The user stopped it; the state is saved.
        """
        trials = self._trials
        several = len(trials.rounds) > 1
        members = [
            replace(
                make_member(
                    trials.recipe,
                    trials.dataset,
                    f"untuned-fold-{number}" if several else "untuned",
                    rows.training,
                    rows.validation,
                ),
                keep=Keep(best=0),
            )
            for number, rows in enumerate(trials.rounds)
        ]
        results = self._fit(members, folder)
        if failure := next((result.failure for result in results if result.failure), None):
            return failure
        scores = tuple(
            result.history.scores[result.selected_epoch - 1]
            if rows.held_out is None
            else self._runner.score(member, result.state, rows.held_out)
            for member, result, rows in zip(members, results, trials.rounds, strict=True)
        )
        epochs = statistics.fmean(result.selected_epoch for result in results)
        refitted = self.refit(final_recipe(trials, {}, epochs), folder / "final")
        return refitted if isinstance(refitted, str) else (scores_of(scores, refitted), refitted)

    def _fit(self, members: Sequence[Member], folder: Path, batches: Batches | None = None) -> list[Result]:
        with atomic.storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        train = self._trials.recipe.train
        return fit(
            members,
            batches or self._runner.batches,
            directory=folder,
            device=self._trials.device,
            watch=self._watch,
            checkpoint_seconds=train.checkpoint_seconds,
            resume=True,
            engine="auto" if len(members) == 1 else train.engine,
        )


def scores_of(fold_scores: Sequence[float], refitted: Refitted) -> ModelScores:
    """Return what a recipe reaches, as the comparison shows it."""
    return ModelScores(
        score=statistics.fmean(fold_scores),
        spread=statistics.stdev(fold_scores) if len(fold_scores) > 1 else None,
        fold_scores=tuple(fold_scores),
        epochs=refitted.recipe.train.epochs,
        test=refitted.figures.get("test", {}),
    )


def describe_member(trials: Trials, member: Member) -> ModelDescription:
    """Return what a model of a member must carry besides its tensors."""
    return describe(trials.dataset, member)


def keep_models(
    trials: Trials, runner: TrialRunner, run: RunDirectory, state: SearchState, kept: Sequence[Trial]
) -> list[dict[str, Any]]:
    """Write the models of the best trials; with folds, of each the mean of its fold models.

    Args:
        trials: What settings were tried on.
        runner: Makes their members.
        run: The run directory.
        state: The search.
        kept: The trials to keep, best first.

    Returns:
        An entry for `run.json` for each trial that has a model.
    """
    found = []
    for trial in kept:
        identity = identity_of(trial.number, None)
        folder = run.model_of(identity)
        if not folder.exists():
            parts = _fold_models(trials, runner, state, trial)
            if len(parts) < len(trials.rounds):
                continue  # its weights are gone, such as after somebody tidied up
            if len(parts) == 1:
                write_part(folder, next(iter(parts.values())))
            else:
                write_mean(folder, parts, trials.dataset.task, trials.plugins)
        found.append({"identity": identity, "score": trial.score, "setting": _plain(trial.setting)})
    return found


def _fold_models(trials: Trials, runner: TrialRunner, state: SearchState, trial: Trial) -> dict[str, Part]:
    parts = {}
    for population in state.populations:
        setting = dict(population.trials).get(trial.number)
        if setting is None:
            continue
        path = next(iter(state_files(population, trial.number)), None)
        if path is not None:
            member = runner.member(trial.number, setting, population)
            description = describe_member(trials, member)
            part = trained_part(description, load_file(path), member.preprocessing, trials.plugins)
            parts[f"fold-{population.fold}"] = part
    return parts


def state_files(population: Population, trial: int) -> list[Path]:
    """Return the files with a trial's weights on the fold of a population."""
    return sorted((population.folder / STATES).glob(f"trial-{trial}-*.safetensors"))


def tidy(state: SearchState, keep: int, done: set[int]) -> None:
    """Remove the weights of trials that ended and are not among the best, and checkpoints of finished populations.

    Args:
        state: The search.
        keep: How many of the best stay.
        done: Trials that were tidied up before; added to.
    """
    best = {trial.number for trial in state.ranked()[:keep]}
    gone = [number for number in state.ended if number not in best and number not in done]
    for number in gone:
        done.add(number)
        for population in state.populations:
            if number in dict(population.trials):
                for path in state_files(population, number):
                    path.unlink(missing_ok=True)
    for population in state.populations:
        if population.number in state.results:
            for name in ("stacks", "members"):
                with suppress(FileNotFoundError):  # another worker does the same
                    atomic.remove_folder(population.folder / TRAINING / name)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
