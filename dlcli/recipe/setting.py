"""The recipe of a trial: some keys of a recipe set otherwise, and all of it checked as the file itself is."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from dlcli.contracts.search import Setting
from dlcli.errors import Problem, RecipeError
from dlcli.recipe.checks import check
from dlcli.recipe.labels import bare_name, key_text
from dlcli.recipe.lines import KeyPath
from dlcli.recipe.model import ModelSection, Recipe
from dlcli.recipe.overrides import Override, apply_overrides, key_path
from dlcli.recipe.problems import Finding, explain
from dlcli.registry import Registry

ARCHITECTURE = ("model", ModelSection.flat_name)


def apply_setting(
    table: Mapping[str, Any], setting: Setting, registry: Registry
) -> tuple[dict[str, Any], dict[str, KeyPath]]:
    """Set keys of a recipe as `--set` does, and leave out `[tune]`, which a trial has no use for.

    Another architecture than the recipe's comes with its own parameters: those beside it in `[model]` belong to the
    recipe's own. So a recipe and its resolved form, which has them all written out, give the same trials.

    Args:
        table: The recipe, as the user wrote it or resolved; left as it is.
        setting: The values, by dotted key.
        registry: Knows which keys hold components, and their defaults.

    Returns:
        The changed recipe, and the path at which each key was set, list positions included.

    Raises:
        RecipeError: A key has no place in the recipe.
    """
    model = table.get("model")
    own = bare_name(model.get(ModelSection.flat_name)) if isinstance(model, Mapping) else None
    overrides = []
    for key, value in setting.items():
        path = key_path(key) or (key,)
        if path == ARCHITECTURE and isinstance(value, str) and bare_name(value) != own:
            value = {"name": value}
        overrides.append(Override(key, path, _lists(value)))
    rest = {name: section for name, section in table.items() if name != "tune"}
    changed, origins, problems = apply_overrides(rest, overrides, registry)
    if problems:
        raise RecipeError([Problem(f'tune.space "{each.key}"', "", each.message) for each in problems])
    return changed, {key: path for path, key in origins.items()}


def _lists(value: Any) -> Any:
    """Return a value with its tuples as lists, as a recipe's file has them."""
    if isinstance(value, list | tuple):
        return [_lists(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _lists(item) for key, item in value.items()}
    return value


def judge(table: Mapping[str, Any], registry: Registry) -> tuple[Recipe | None, list[Finding]]:
    """Check a recipe without its `[tune]`.

    Args:
        table: The recipe.
        registry: The components that it may name.

    Returns:
        The recipe, None where it cannot be read; and everything that is wrong with it.
    """
    findings = check(table, registry)
    try:
        return Recipe.model_validate(table, context={"registry": registry}), findings
    except ValidationError as error:
        return None, [*explain(error, table, registry), *findings]


def trial_recipe(base: Mapping[str, Any], registry: Registry, setting: Setting) -> Recipe:
    """Return the recipe of a trial.

    Args:
        base: What `resolve` returned for the recipe, `data.path` absolute as there; made once for all trials.
        registry: The components.
        setting: The trial's setting.

    Returns:
        The checked recipe, without `[tune]`.

    Raises:
        RecipeError: The values do not go together; those of each key alone were checked with the recipe.
    """
    table, paths = apply_setting(base, setting, registry)
    recipe, findings = judge(table, registry)
    if recipe is None or findings:
        raise RecipeError(
            [Problem(_place(each.path, paths), key_text(each.path, table), each.message) for each in findings]
        )
    return recipe


def _place(path: KeyPath, paths: Mapping[str, KeyPath]) -> str:
    """Return which key of the space set what is at a path, nothing where none did."""
    set_by = [key for key, place in paths.items() if path[: len(place)] == place]
    return f'tune.space "{max(set_by, key=lambda key: len(paths[key]))}"' if set_by else ""
