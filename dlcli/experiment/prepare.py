"""From a checked recipe to live objects: the dataset, and the members to be trained on it."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from dlcli.contracts.dataset import Dataset
from dlcli.contracts.history import Direction
from dlcli.contracts.member import Member
from dlcli.data.fingerprint import fingerprint
from dlcli.data.mapping import FieldMapping
from dlcli.data.origin import read_origin
from dlcli.data.read import read_dataset
from dlcli.errors import DataError, Problem, RecipeError
from dlcli.experiment.members import Plan, plan_members
from dlcli.experiment.models.model import ModelDescription, describe
from dlcli.experiment.settle import direction, settle
from dlcli.recipe.model import Recipe, bytes_of
from dlcli.recipe.read import read_toml
from dlcli.registry import Registry


@dataclass(frozen=True)
class Prepared:
    """A recipe as live objects.

    Args:
        recipe: With what it left open filled in: task, loss, metrics, splits.
        dataset: All rows.
        description: The model that training any member will give, without its tensors.
        plan: Who is to be trained.
    """

    recipe: Recipe
    dataset: Dataset
    description: ModelDescription
    plan: Plan

    @property
    def member(self) -> Member:
        """The member of a plain run; of a population the first."""
        return self.plan.members[0]

    @property
    def monitor(self) -> str:
        """Name of the value that a run is judged by; the rows that a fold holds out are validation rows to it."""
        monitor = self.recipe.train.monitor
        return "val_loss" if self.plan.folds and monitor == "train_loss" else monitor

    @property
    def direction(self) -> Direction:
        """Whether a smaller or a larger value of `monitor` is better."""
        return direction(self.monitor, self.member.metrics)

    @property
    def trained_on(self) -> list[str]:
        """The splits whose rows the model has seen."""
        return ["train", "val"] if self.plan.folds else self.recipe.train.rows.split("+")

    @property
    def scored_rows(self) -> dict[str, Tensor]:
        """Rows that figures of a network are computed over, by split; no validation rows where some were trained on."""
        splits = self.dataset.splits
        if self.recipe.train.rows == "train":
            return dict(splits)
        return {"train": self.member.training_rows, **{name: rows for name, rows in splits.items() if name == "test"}}

    def with_members(self, **changes: Any) -> "Prepared":
        """Return a copy in which every member has other values of some fields."""
        members = tuple(replace(member, **changes) for member in self.plan.members)
        return replace(self, plan=replace(self.plan, members=members))


@contextmanager
def placed(source: str | Path | Mapping[str, Any]) -> Iterator[None]:
    """Give problems that only the data could show the line of the recipe that they are about.

    Args:
        source: The recipe as it was given.

    Yields:
        None: The block runs.

    Raises:
        RecipeError: The block's, with places.
    """
    try:
        yield
    except RecipeError as error:
        if isinstance(source, Mapping):
            raise
        _, lines = read_toml(Path(source))

        def where(problem: Problem) -> str:
            path = tuple(problem.key.split("."))
            found = next((lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in lines), None)
            return f"{source}:{found}" if found else str(source)

        raise RecipeError([replace(p, where=p.where or where(p)) for p in error.problems]) from error


def read_data(recipe: Recipe, *, complete: bool = True) -> Dataset:
    """Read the dataset that a recipe names.

    Args:
        recipe: A checked recipe.
        complete: Whether splits that the file lacks are made; without, a file without splits is all `test`.

    Returns:
        The dataset.

    Raises:
        DataError: It cannot be used, or is not the one that the recipe was resolved with.
    """
    data = recipe.data
    path = Path(data.path)
    if data.fingerprint is not None and os.path.isfile(path) and (found := fingerprint(path)) != data.fingerprint:
        raise DataError(
            f"{path} is not the file that this recipe was resolved with: its fingerprint is {found}, expected "
            f"{data.fingerprint}; give the right file with --set data.path=…, or remove data.fingerprint"
        )
    return read_dataset(
        path,
        fields=field_mappings(recipe),
        task=data.task,
        val=data.split.val,
        test=data.split.test,
        stratify=data.split.stratify,
        seed=recipe.seed,
        complete=complete,
        preprocess=data.preprocess,
        memory=None if data.memory is None else bytes_of(data.memory),
    )


def told_data(recipe: Recipe, dataset: Dataset) -> dict[str, Any]:
    """Return what `run.json` says of a run's data: its place and fingerprint, how it was imported, what is streamed."""
    path = Path(recipe.data.path)
    origin = read_origin(path)
    return {
        "path": str(path.resolve()),
        "fingerprint": dataset.fingerprint,
        **({"imported": dict(origin)} if origin else {}),
        **({"streamed": list(dataset.stored)} if dataset.stored else {}),
    }


def field_mappings(recipe: Recipe) -> dict[str, FieldMapping]:
    """Return a recipe's `[data.fields]`, by the field's name."""
    return {
        name: FieldMapping(path=mapping) if isinstance(mapping, str) else FieldMapping(**dict(mapping))
        for name, mapping in recipe.data.fields.items()
    }


def prepare(recipe: Recipe, registry: Registry) -> Prepared:
    """Read the data, settle what the recipe leaves open, and make the members.

    Args:
        recipe: A checked recipe.
        registry: Where defaults are found.

    Returns:
        Everything that training needs.

    Raises:
        RecipeError: The recipe does not fit the data.
        DataError: The data cannot be used.
    """
    dataset = read_data(recipe)
    settled = settle(recipe, dataset, registry)
    plan = plan_members(settled, dataset)
    member = plan.members[0]
    return Prepared(settled, dataset, describe(dataset, member), plan)
