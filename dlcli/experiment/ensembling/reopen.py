"""`dlcli ensemble --resume RUN`: goes on with an ensemble, or makes it larger."""

from collections.abc import Callable, Sequence
from pathlib import Path

from dlcli.errors import UsageError
from dlcli.experiment.address import Address
from dlcli.experiment.ensembling.execution import EnsembleExecution
from dlcli.experiment.ensembling.state import Prepared
from dlcli.experiment.going_on import check_same_data, notes_on_going_on, recipe_to_go_on
from dlcli.experiment.run_recipe import write_recipe
from dlcli.plugins import Plugins
from dlcli.recipe.ensemble_section import EnsembleSection
from dlcli.recipe.load import load_recipe
from dlcli.recipe.model import Recipe
from dlcli.recipe.overrides import Override

MAY_CHANGE = (
    "train.device:",
    "data.path:",
    "ensemble.members:",
    "ensemble.runs",
    "ensemble.temperature_scaling:",
    "ensemble.skip_missing:",
)
"""Differences that a run survives: what members there are stays as it is."""

COMMENT = "Resolved recipe of an ensemble: dlcli ensemble takes it as it is."
"""Head of the recipe in an ensemble's run."""

Prepare = Callable[[Recipe, Path, Path, Plugins], Prepared]


def reopen(
    address: Address, overrides: Sequence[str | Override], plugins: Plugins, prepare: Prepare
) -> EnsembleExecution:
    """Prepare an ensemble to go on.

    Args:
        address: The run.
        overrides: What is set; only the number of members, the device, the data's place and temperature scaling may
            change.
        plugins: Where its components are.
        prepare: Makes live objects of a recipe.

    Returns:
        What is to happen.

    Raises:
        UsageError: It is no ensemble, is running, or the change is none that a run survives.
        DataError: Its data was changed.
    """
    run, facts = address.run, address.run.read()
    if address.member:
        raise UsageError(f"a member goes on with its run: dlcli ensemble --resume {run.path}, not {address}")
    if facts.get("command") != "ensemble":
        advice = f"go on with dlcli train --resume {run.path}"
        if facts.get("command") == "tune":
            advice = "the dlcli tune command that began it goes on"
        raise UsageError(f"{run.path} is no ensemble: {advice}")
    recipe = recipe_to_go_on(
        run,
        facts,
        overrides,
        plugins,
        may_change=MAY_CHANGE,
        otherwise="An ensemble goes on only with its own recipe (ensemble.members may grow): change it back, or make a "
        "new one",
    )
    before = load_recipe(run.recipe, plugins.registry).ensemble
    if before is not None and recipe.ensemble is not None:
        _check_members(run.path, before, recipe.ensemble)
    prepared = prepare(recipe, run.path, run.path.resolve().parent.parent, plugins)
    check_same_data(run, facts, recipe, prepared.dataset)
    given = [found.identity for found in prepared.given.values()]
    if set(given) != set(facts.get("given", given)):
        raise UsageError(
            f"{run.path} combines {', '.join(facts['given'])}, but its runs are now {', '.join(given)}: what it has "
            "trained so far was for the former; restore them, or make a new ensemble"
        )
    run.sweep()
    table = write_recipe(run, prepared.recipe, plugins.registry, comment=COMMENT)
    run.update(recipe=table, data={**facts["data"], "path": str(Path(recipe.data.path).resolve())})
    notes = (*notes_on_going_on(run, facts), *(() if prepared.library is None else prepared.library.notes))
    return EnsembleExecution(run, prepared, table, resume=True, notes=notes)


def _check_members(path: Path, before: EnsembleSection, now: EnsembleSection) -> None:
    """Refuse another number of members where the members that there are would not be among them."""
    if before.members == now.members:
        return
    if isinstance(before.members, tuple) or isinstance(now.members, tuple):
        raise UsageError(f"the members of {path} are listed by architecture and cannot change: make a new ensemble")
    if not now.strategy.extends:
        raise UsageError(
            f"{now.strategy.name} cannot take more members: with another number its members would be others; make a "
            f"new ensemble with --members {now.members}"
        )
    if before.members is not None and now.members is not None and now.members < before.members:
        raise UsageError(
            f"ensemble.members of {path} is {before.members} and may only grow, got {now.members}; make a new ensemble"
        )
