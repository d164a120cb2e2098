"""The members of a population: from a settled recipe, the data and rows to what `fit` trains."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from dlcli.contracts.component import Component, implements
from dlcli.contracts.dataset import Dataset
from dlcli.contracts.folds import Fold, digest
from dlcli.contracts.member import Keep, Member
from dlcli.contracts.preprocessor import Preprocessing, Preprocessor
from dlcli.contracts.randomness import derive
from dlcli.data.kfold import INNER_SHARE, FoldPlan, cross_validation, fold_rows, told, with_inner_parts
from dlcli.data.preprocessing import fit_preprocessing, input_output
from dlcli.data.target_scale import fit_target_scale
from dlcli.errors import DataError
from dlcli.experiment.fold_file import read_saved_folds
from dlcli.experiment.rehearsal import check_member
from dlcli.experiment.settle import direction, settled_loss, settled_metrics
from dlcli.experiment.switches import recipe_switches
from dlcli.layers.input_layers import in_front
from dlcli.recipe.model import Recipe

SHOWN_DIGITS = 12
"""Of a digest, where people compare it."""


@dataclass(frozen=True)
class Plan:
    """Who is to be trained.

    Args:
        members: All of them; their identities differ.
        folds: One round a member, where the plan is a cross-validation; empty otherwise.
        notes: What the user should know.
    """

    members: tuple[Member, ...]
    folds: tuple[Fold, ...] = ()
    notes: tuple[str, ...] = ()


def plan_members(recipe: Recipe, dataset: Dataset) -> Plan:
    """Return the members that `dlcli train` trains: one, one a seed, or one a fold.

    Args:
        recipe: A settled recipe.
        dataset: Its data.

    Returns:
        The plan, a pure function of its arguments.

    Raises:
        DataError: The data cannot be divided into so many folds, or preprocessing cannot be fitted.
        RecipeError: The architecture cannot be built for the data.
    """
    if recipe.train.kfold is not None:
        folds = recipe_folds(recipe, dataset, recipe.train.kfold)
        members = tuple(
            make_member(recipe, dataset, f"fold-{number}", fold.training, fold.validation)
            for number, fold in enumerate(folds)
        )
        made = f"{how_folds_are_made(recipe, dataset)}, sha256 {digest(folds)[:SHOWN_DIGITS]}"
        plan = Plan(members, folds, (made, *_fold_notes(recipe, members[0])))
    else:
        training, validation = training_rows(recipe, dataset)
        seeds = recipe.train.seeds
        identities = [""] if seeds == 1 else [f"seed-{number}" for number in range(seeds)]
        fitted = fit_preprocessing(dataset, recipe_preprocess(recipe), training)
        plan = Plan(
            tuple(
                make_member(recipe, dataset, identity, training, validation, preprocessing=fitted)
                for identity in identities
            )
        )
    check_member(plan.members[0])
    return replace(plan, notes=(*plan.notes, *_ignored(recipe)))


def recipe_preprocess(recipe: Recipe) -> tuple[Preprocessor, ...]:
    """Return what is applied to the inputs, in order: what the recipe says, then what its input layers need."""
    return (*recipe.data.preprocess, *(step for layer in recipe.model.inputs for step in layer.preprocessors()))


def recipe_components(recipe: Recipe) -> list[Component]:
    """Return every component that a settled recipe trains with."""
    model, train = recipe.model, recipe.train
    found: list[Component] = [model.architecture, *model.inputs, train.optimizer, train.schedule, settled_loss(recipe)]
    found += [*settled_metrics(recipe).values(), *(named.component for named in recipe.regularizers)]
    found += [component for component in (model.init, train.averager) if component is not None]
    return [*found, *recipe_preprocess(recipe)]


def training_rows(recipe: Recipe, dataset: Dataset) -> tuple[Tensor, Tensor | None]:
    """Return the rows that a plain run trains on, and those that decide its best epoch, if any.

    Args:
        recipe: A checked recipe; only `train.rows` matters.
        dataset: Its data.

    Returns:
        Training and validation rows, int64.
    """
    if recipe.train.rows == "train+val":
        return fold_rows(dataset), None
    return dataset.splits["train"], dataset.splits.get("val")


def recipe_folds(recipe: Recipe, dataset: Dataset, count: int) -> tuple[Fold, ...]:
    """Return the folds of a recipe: the same for every setting of other keys, and on every machine.

    Each fold has an inner validation part of its own training rows, `data.split.val` of them or a tenth, where
    anything is decided by it: the best epoch, or when to stop.

    Args:
        recipe: A checked recipe; only its seed, `data.split`, `data.folds`, `train.select` and stopping rules matter.
        dataset: Its data.
        count: Number of folds, ≥ 2.

    Returns:
        One round a fold.

    Raises:
        DataError: The data cannot be divided into so many folds, or the file of folds is not for it.
    """
    split = recipe.data.split
    inner = (split.val or INNER_SHARE) if _decides(recipe) else None
    plan = fold_plan(recipe, count)
    if recipe.data.folds is None or recipe.data.folds.file is None:
        return cross_validation(dataset, plan, seed=recipe.seed, inner=inner)
    given = read_saved_folds(Path(recipe.data.folds.file), dataset)
    if len(given) != count:
        raise DataError(f"{recipe.data.folds.file} has {len(given)} folds, got {count}: set --kfold {len(given)}")
    return with_inner_parts(dataset, given, plan, seed=recipe.seed, inner=inner)


def fold_plan(recipe: Recipe, count: int) -> FoldPlan:
    """Return how so many folds of a recipe are made."""
    section = recipe.data.folds
    if section is None:
        return FoldPlan(count, stratify=recipe.data.split.stratify)
    return FoldPlan(count, section.kind, recipe.data.split.stratify, section.repeats, section.gap)


def how_folds_are_made(recipe: Recipe, dataset: Dataset) -> str:
    """Say how the folds of a recipe that asks for some are made."""
    count = recipe.train.kfold or 0
    if recipe.data.folds is not None and recipe.data.folds.file is not None:
        return f"{count} folds of {recipe.data.folds.file}"
    return told(dataset, fold_plan(recipe, count), recipe.seed)


def told_folds(recipe: Recipe, dataset: Dataset, folds: Sequence[Fold]) -> dict[str, Any]:
    """Return what `run.json` says of a run's folds."""
    return {"made": how_folds_are_made(recipe, dataset), "count": len(folds), "sha256": digest(folds)}


def make_member(
    recipe: Recipe,
    dataset: Dataset,
    identity: str,
    training_rows: Tensor,
    validation_rows: Tensor | None,
    *,
    preprocessing: Preprocessing | None = None,
    initial_state: Mapping[str, Tensor] | None = None,
    frozen: frozenset[str] = frozenset(),
) -> Member:
    """Make one member of a population.

    Args:
        recipe: A settled recipe.
        dataset: Its data.
        identity: Permanent name within its run, such as `fold-3`; the member's seed is derived from it.
        training_rows: Rows to train on, int64.
        validation_rows: Rows that decide its best epoch; None where there are none: `train_loss` then decides.
        preprocessing: Fitted on the training rows; fitted here where None.
        initial_state: Weights to start from.
        frozen: Names of parameters that are not trained.

    Returns:
        The member.

    Raises:
        DataError: Preprocessing cannot be fitted on the training rows.
    """
    train = recipe.train
    metrics = settled_metrics(recipe)
    monitor = train.monitor if validation_rows is not None else "train_loss"
    if preprocessing is None:
        preprocessing = fit_preprocessing(dataset, recipe_preprocess(recipe), training_rows)
    architecture = in_front(recipe.model.inputs, recipe.model.architecture)
    own = architecture.own_regularizers(len(training_rows))
    io, loss = input_output(dataset, recipe_preprocess(recipe)), settled_loss(recipe)
    return Member(
        identity=identity,
        seed=derive(recipe.seed, "member", identity),
        architecture=architecture,
        io=replace(io, outputs=io.outputs * loss.outputs_per_target),
        loss=loss,
        optimizer=train.optimizer,
        schedule=train.schedule,
        training_rows=training_rows,
        epochs=train.epochs,
        horizon_epochs=train.horizon,
        batch_size=train.batch_size,
        validation_rows=validation_rows,
        regularizers=(*(named.component for named in recipe.regularizers), *own),
        metrics=metrics,
        averager=train.averager,
        initializer=recipe.model.init,
        initial_state=initial_state,
        frozen=frozen,
        preprocessing=preprocessing,
        target_scale=fit_target_scale(dataset, training_rows) if recipe.data.scale_target else None,
        drop_last=train.drop_last,
        monitor=monitor,
        direction=direction(monitor, metrics),
        select=train.select,
        keep=Keep(**dict(train.keep_checkpoints)),
        switches=recipe_switches(recipe),
    )


def _ignored(recipe: Recipe) -> list[str]:
    """Return what components say of parameters that change nothing."""
    return [f"{component.name}: {clause}" for component in recipe_components(recipe) for clause in component.ignored()]


def _decides(recipe: Recipe) -> bool:
    """Return whether anything is decided by validation rows while training."""
    return recipe.train.select == "best" or any(implements(named.component, "stop") for named in recipe.regularizers)


def _fold_notes(recipe: Recipe, member: Member) -> tuple[str, ...]:
    if member.monitor == recipe.train.monitor:
        return ()
    return (
        'folds train on all their rows, since train.select = "last" and nothing stops early: there is no inner '
        f"validation part, and {member.monitor} stands for {recipe.train.monitor} while training",
    )
