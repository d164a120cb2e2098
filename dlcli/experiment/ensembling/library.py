"""All models that are given to an ensemble: found by what the user wrote, and checked against each other."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from dlcli.contracts.dataset import Dataset
from dlcli.errors import DataError, DlcliError, RecipeError, UsageError
from dlcli.experiment.address import Address, find_address
from dlcli.experiment.ensembling.given import Given, as_member, checkpoints_of
from dlcli.experiment.models.combination import CombinedModel
from dlcli.experiment.models.model_folder import AnyModel, read_model
from dlcli.experiment.prepare import read_data
from dlcli.experiment.row_file import read_rows
from dlcli.plugins import Plugins
from dlcli.recipe.ensemble_section import EnsembleSection
from dlcli.recipe.load import load_recipe
from dlcli.recipe.model import Recipe


@dataclass(frozen=True)
class Library:
    """All models that are given.

    Args:
        members: The models; those of one search best first.
        deciding: Rows on which every one of them may be judged before the end, int64: none was trained on them.
        test: Rows that are test rows to every one of them, int64.
        references: The runs as they were found, absolute; those that were not as they were written.
        notes: What the user should know.
    """

    members: tuple[Given, ...]
    deciding: Tensor
    test: Tensor
    references: tuple[str, ...]
    notes: tuple[str, ...] = ()


def read_library(recipe: Recipe, dataset: Dataset, folder: Path, runs: Path, plugins: Plugins) -> Library:
    """Read the models that `ensemble.runs` names.

    Args:
        recipe: The ensemble's recipe.
        dataset: Its data.
        folder: Folder that the runs are relative to, else they are found as everywhere.
        runs: Folder of all runs.
        plugins: Where components are.

    Returns:
        The models.

    Raises:
        UsageError: There is no such run, one is there twice, or they do not go together.
        DataError: A run has no model, or its files are damaged, or it was trained on other data.
        PluginError: A package that a model needs is not installed.
    """
    section = recipe.ensemble or EnsembleSection.model_validate({}, context={"registry": plugins.registry})
    notes: list[str] = []
    members: list[Given] = []
    deciding, test = torch.arange(dataset.rows), torch.arange(dataset.rows)

    def skip(what: str, error: DlcliError) -> None:
        if not section.skip_missing:
            if isinstance(error, RecipeError):
                error = DataError(f"the recipe of {what} is damaged: {error}")
            raise type(error)(f"{error}; --skip-missing goes on without it") from error
        notes.append(f"{what} is left out: {error}")

    references: list[str] = []
    searches = 0
    for reference in section.runs:
        references.append(reference)
        named: Address | None = None
        try:
            named = _find(reference, folder, runs)
            references[-1] = str(named.run.path.resolve()) + (f"@{named.member}" if named.member else "")
            addresses = _expanded(named, section.top)
            searches += len(addresses) > 1 or addresses[0] != named
        except (UsageError, DataError) as error:
            if named is not None and isinstance(error, UsageError):
                raise  # it is there, and something else is asked of it than it has
            skip(reference, error)
            continue
        for address in addresses:
            try:
                model = read_model(address.trained_model(), plugins)
                _check_fed(address, model, dataset)
                if members:
                    _check_same_question(address, model, members[0])
                own = _own_data(address, recipe, dataset, plugins)
                given = as_member(address, model, own, plugins)
            except (DataError, RecipeError) as error:
                skip(str(address), error)
                continue
            if any(given.identity == other.identity for other in members):
                raise UsageError(f"{address} is there twice: its vote would count double; name each run once")
            notes += _twice(given, members)
            if address.run.read().get("status") != "finished":
                notes.append(f"{address} did not finish: it is taken as it is, at its best epoch so far")
            members.append(given)
            kept = read_rows(address.run)
            if kept is not None:
                own, given = replace(own, splits=kept.splits), replace(given, seen=kept.seen)
            members[-1] = given
            open_rows = torch.cat([rows for name, rows in own.splits.items() if name != "test"])
            deciding = _both(deciding, open_rows[~torch.isin(open_rows, given.seen)])
            if not given.folds:
                deciding = _both(deciding, own.splits.get("val", open_rows[:0]))
            test = _both(test, own.splits.get("test", open_rows[:0]))
    if section.top is not None and not searches and not notes:
        raise UsageError(
            "ensemble.top (--top) takes the best trials of a search, and there is no search among the runs"
        )
    if not members:
        raise DataError(f"no run is left to combine: {'; '.join(notes) or 'none was named'}")
    if section.strategy.expands_checkpoints and len(members) == 1:
        members = list(checkpoints_of(members[0]))
    notes += _about_rows(deciding, test, dataset)
    return Library(tuple(members), deciding, test, tuple(references), tuple(notes))


def _find(reference: str, folder: Path, runs: Path) -> Address:
    try:
        return find_address(folder / reference, runs)
    except UsageError:
        return find_address(reference, runs)


def _expanded(address: Address, top: int | None) -> list[Address]:
    """Return a run, or the best trials of a search."""
    facts = address.run.read()
    if top is None or address.member or facts.get("command") != "tune":
        return [address]
    trials = [str(entry["identity"]) for entry in facts.get("members", ())]
    if not trials:
        raise DataError(f"the search {address} has kept no trial's model: it has not ended; see dlcli runs")
    if top > len(trials):
        raise UsageError(
            f"the search {address} kept the models of its best {len(trials)} trials, and {top} are asked for; take "
            f"--top {len(trials)}, or search again with tune.keep = {top}"
        )
    return [Address(address.run, trial) for trial in trials[:top]]


def _twice(given: Given, members: Sequence[Given]) -> list[str]:
    """Say so where a run stands beside a member of it."""
    found = []
    for other in members:
        whole, part = sorted((given, other), key=lambda each: bool(each.address.member))
        same = whole.address.run.path.resolve() == part.address.run.path.resolve()
        inside = isinstance(whole.model, CombinedModel) and part.address.member in whole.model.identities
        if same and inside and not whole.address.member:
            found.append(f"{part.address} is a part of {whole.address}, so it has a say twice")
    return found


def _own_data(address: Address, recipe: Recipe, dataset: Dataset, plugins: Plugins) -> Dataset:
    """Return the ensemble's data with the splits that a run had."""
    facts = address.run.read()
    fingerprint = facts.get("data", {}).get("fingerprint")
    if fingerprint != dataset.fingerprint:
        raise UsageError(
            f"{address} was trained on other data ({facts.get('data', {}).get('path')}, fingerprint {fingerprint}) "
            f"than the first run ({recipe.data.path}, {dataset.fingerprint}): their rows cannot be compared; combine "
            "runs on one file"
        )
    theirs = load_recipe(address.run.recipe, plugins.registry)
    own = theirs.data.model_copy(update={"path": recipe.data.path})
    if (theirs.seed, own.split, own.fields, own.task) == (
        recipe.seed,
        recipe.data.split,
        recipe.data.fields,
        recipe.data.task,
    ):
        return dataset
    return read_data(theirs.model_copy(update={"data": own}))


def _check_fed(address: Address, model: AnyModel, dataset: Dataset) -> None:
    """Refuse a member of another ensemble that is fed what others there say."""
    fed = [field.name for field in model.inputs if field.name not in dataset.fields]
    if address.member and fed:
        raise UsageError(
            f"{address} is fed {', '.join(fed)} by other members of its run and does not answer alone; give the whole "
            f"run, {address.run.path}"
        )


def _check_same_question(address: Address, other: AnyModel, against: Given) -> None:
    """Refuse a model that answers another question than the first, or is asked with other inputs."""
    first = against.model
    pairs: dict[str, tuple[object, object]] = {
        "task": (str(first.task), str(other.task)),
        "target": (first.description.target.name, other.description.target.name),
        "classes": (", ".join(first.classes), ", ".join(other.classes)),
        "targets": (first.description.target.shape, other.description.target.shape),
        "inputs": (_fields(first), _fields(other)),
    }
    losses = [model.description.loss for model in (first, other)]
    if any(loss.outputs_per_target > 1 for loss in losses):  # then outputs mean something to that loss alone
        pairs["loss"] = (losses[0].name, losses[1].name)
    for what, (one, two) in pairs.items():
        if one != two:
            raise UsageError(
                f"{address} has the {what} {two}, but {against.address} has {one}: models can be combined that answer "
                "the same question about the same fields"
            )


def _fields(model: AnyModel) -> str:
    fields = (*model.inputs, *model.description.conditions)
    return ", ".join(f"{field.name} {field.kind} {field.shape}" for field in fields)


def _both(first: Tensor, second: Tensor) -> Tensor:
    """Return rows that are in both, sorted."""
    return first[torch.isin(first, second)]


def _about_rows(deciding: Tensor, test: Tensor, dataset: Dataset) -> list[str]:
    notes = []
    val, own_test = dataset.splits.get("val"), dataset.splits.get("test")
    if val is not None and len(deciding) < len(val):
        notes.append(
            f"the runs share {len(deciding)} rows that none was trained on; the first has {len(val)} validation rows"
        )
    if own_test is not None and len(test) < len(own_test):
        notes.append(f"the runs share {len(test)} of the first one's {len(own_test)} test rows")
    return notes
