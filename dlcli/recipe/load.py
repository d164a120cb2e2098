"""From a file or a mapping, and `--set`, to a checked recipe or to all of its problems."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dlcli.errors import Problem, RecipeError
from dlcli.recipe.checks import check
from dlcli.recipe.labels import key_text
from dlcli.recipe.lines import KeyPath
from dlcli.recipe.model import Recipe
from dlcli.recipe.overrides import Override, apply_overrides, parse_override
from dlcli.recipe.problems import Finding, explain
from dlcli.recipe.read import DEFAULT, plain, read_toml
from dlcli.recipe.tune_checks import check_space
from dlcli.registry import Registry

UNNAMED = "recipe"


def load_recipe(
    source: Path | Mapping[str, Any],
    registry: Registry,
    overrides: Sequence[str | Override] = (),
    base: Path | None = None,
) -> Recipe:
    """Read a recipe and check all of it that can be checked without its data.

    Args:
        source: A TOML file, or the same as a mapping, in which components may be objects.
        registry: The components that it may name.
        overrides: `key=value` each, as given with `--set`, or taken apart; a `data.path` among them is relative to the
            current folder.
        base: Folder that `data.path` is relative to; by default the recipe file's, for a mapping the current one.

    Returns:
        The recipe, with the defaults in place and `data.path` absolute.

    Raises:
        RecipeError: Anything is wrong; carries all problems, each with its place.
    """
    parsed: list[Override] = []
    problems: list[Problem] = []
    for override in overrides:
        try:
            parsed.append(parse_override(override) if isinstance(override, str) else override)
        except RecipeError as error:
            problems.extend(error.problems)
    if isinstance(source, Path):
        table, lines = read_toml(source)
        places = _Places(str(source), lines)
        base, name = base or source.parent, _default_name(source)
    else:
        table, places = plain(source, registry), _Places()
        base, name = base or Path.cwd(), UNNAMED
    table, places.overrides, misplaced = apply_overrides(table, parsed, registry)
    problems.extend(misplaced)
    table = {"name": name, **table}
    for key in (("data", "path"), ("data", "folds", "file")):
        _make_absolute(table, key, Path.cwd() if key in places.overrides else base)
    recipe, findings = _validate(table, registry)
    findings.extend([*check(table, registry), *check_space(table, registry)])
    findings.sort(key=lambda finding: places.order(finding.path))
    problems.extend(
        Problem(places.where(finding.path), key_text(finding.path, table), finding.message) for finding in findings
    )
    if recipe is None or problems:
        raise RecipeError(problems)
    return recipe


def _validate(table: Mapping[str, Any], registry: Registry) -> tuple[Recipe | None, list[Finding]]:
    try:
        return Recipe.model_validate(table, context={"registry": registry}), []
    except ValidationError as error:
        return None, explain(error, table, registry)


def _default_name(path: Path) -> str:
    """Name a run after its recipe, or after the folder of a `recipe.toml`."""
    stem = path.absolute().parent.name if path.name == DEFAULT.name else path.stem
    return re.sub(r"[^\w.-]+", "-", stem).strip(".-")[:100] or UNNAMED


def _make_absolute(table: Mapping[str, Any], key: KeyPath, base: Path) -> None:
    """Make a path in a table absolute, where it is there."""
    *owners, last = map(str, key)
    owner: Any = table
    for name in owners:
        owner = owner.get(name) if isinstance(owner, dict) else None
    if isinstance(owner, dict) and isinstance(owner.get(last), str) and owner[last]:
        path = base.absolute() / os.path.expanduser(owner[last])
        # The folder's links are followed, since `..` may stand behind one; the file keeps the name it was given.
        owner[last] = str(path.parent.resolve() / path.name)


@dataclass
class _Places:
    """Where what is at a path was written.

    Args:
        file: The recipe's file, empty where there is none.
        lines: Line of each path in it.
        overrides: The key of each path that `--set` set.
    """

    file: str = ""
    lines: Mapping[KeyPath, int] = field(default_factory=dict)
    overrides: Mapping[KeyPath, str] = field(default_factory=dict)

    def where(self, path: KeyPath) -> str:
        """Return `file:line` or `--set key`; a path that is nowhere is sought where its table is."""
        prefixes = [path[:length] for length in range(len(path), 0, -1)]
        for prefix in prefixes:
            if prefix in self.overrides:
                return f"--set {self.overrides[prefix]}"
        for prefix in prefixes:
            if prefix in self.lines:
                return f"{self.file}:{self.lines[prefix]}"
            # A mapping has no lines, so that nothing in it would be told from what is set.
            beneath = [key for place, key in self.overrides.items() if self.file and place[: len(prefix)] == prefix]
            if beneath:
                return f"--set {beneath[0]}"
        return self.file

    def order(self, path: KeyPath) -> tuple[bool, int]:
        """Return a key that sorts by place in the file, what is only on the command line last."""
        number = self.where(path).rpartition(":")[2]
        return not number.isdigit(), int(number) if number.isdigit() else 0
