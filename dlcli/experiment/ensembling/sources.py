"""What `dlcli ensemble` was given: a recipe, or runs, from which a recipe is made."""

from collections.abc import Sequence
from pathlib import Path

from dlcli.errors import UsageError
from dlcli.experiment.address import Address, find_address
from dlcli.plugins import Plugins
from dlcli.recipe.load import load_recipe
from dlcli.recipe.model import Recipe
from dlcli.recipe.overrides import Override
from dlcli.recipe.read import read_toml

OF_OTHER_COMMANDS = ("seeds", "kfold", "start_from", "freeze")
"""Keys of `[train]` in a run's recipe that say what else that run was."""


def is_recipe(sources: Sequence[str | Path], runs: Path) -> bool:
    """Return whether sources are one recipe instead of runs."""
    if len(sources) != 1:
        return False
    path = Path(sources[0])
    return path.suffix == ".toml" or (path.is_file() and not (runs / path).exists())


def recipe_of_runs(
    sources: Sequence[str | Path], overrides: Sequence[str | Override], runs: Path, plugins: Plugins, *, top: int | None
) -> Recipe:
    """Make the recipe of an ensemble of runs: that of the first run, with `ensemble.runs`.

    Args:
        sources: The runs, as the user wrote them.
        overrides: What is set besides.
        runs: Folder of all runs.
        plugins: Where components are.
        top: How many trials a search stands for; the strategy is then `top_k` by default.

    Returns:
        The recipe, its paths absolute.

    Raises:
        UsageError: No run can be found.
        RecipeError: What is set does not fit.
    """
    found: list[Address] = []
    lost: list[str] = []
    for source in sources:
        try:
            found.append(find_address(source, runs))
        except UsageError:
            lost.append(str(source))  # told, or skipped, where the runs are read
    if not found:
        find_address(sources[0], runs)
    # Sorted, so that nothing depends on the order in which they were typed.
    found.sort(key=lambda address: (address.run.path.resolve(), address.member))
    first = found[0].run
    references = [f"{address.run.path.resolve()}" + (f"@{address.member}" * bool(address.member)) for address in found]
    base, _ = read_toml(first.recipe)
    for key in OF_OTHER_COMMANDS:
        base.get("train", {}).pop(key, None)
    base.pop("tune", None)
    base.pop("ensemble", None)
    strategy = "top_k" if top is not None else "voting"
    named = [o for o in overrides if isinstance(o, Override) and o.key == "ensemble.strategy"]
    if named:
        strategy = str(named[-1].value)
    base["name"] = f"{first.path.resolve().parent.name}-{strategy.rpartition(':')[2]}"
    base["ensemble"] = {"strategy": strategy, "runs": [*references, *lost]}
    return load_recipe(base, plugins.registry, overrides, base=first.path.resolve())
