"""What a search tries settings on: its recipe, its data, and the rows of each round."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dlcli.contracts.dataset import Dataset
from dlcli.contracts.folds import Fold
from dlcli.contracts.search import Setting
from dlcli.experiment.settle import settle
from dlcli.plugins import Plugins
from dlcli.recipe.model import Recipe
from dlcli.recipe.setting import trial_recipe


@dataclass(frozen=True)
class Rows:
    """The rows of one round of a search.

    Args:
        training: Rows that are trained on, int64.
        validation: Rows that decide the best epoch; None where nothing is decided.
        held_out: Rows that the trial is scored on; None where the validation rows score it.
    """

    training: Tensor
    validation: Tensor | None
    held_out: Tensor | None = None


@dataclass(frozen=True)
class Trials:
    """What a search tries settings on.

    Args:
        base: The resolved recipe as a table, `data.path` absolute.
        recipe: The same, settled.
        dataset: Its data.
        rounds: One for each fold; one where there is a single validation split.
        device: Where to train.
        plugins: The components.
        monitor: Name of the score.
    """

    base: Mapping[str, Any]
    recipe: Recipe
    dataset: Dataset
    rounds: tuple[Rows, ...]
    device: torch.device
    plugins: Plugins
    monitor: str

    def settled(self, setting: Setting) -> Recipe:
        """Return the recipe of a setting.

        Args:
            setting: A value for each tuned key.

        Returns:
            The recipe, settled.

        Raises:
            RecipeError: The values do not go together, or not with the data.
        """
        return settle(trial_recipe(self.base, self.plugins.registry, setting), self.dataset, self.plugins.registry)


def rounds_of(dataset: Dataset, folds: Sequence[Fold]) -> tuple[Rows, ...]:
    """Return the rounds of a search: one a fold, or the dataset's own split."""
    if folds:
        return tuple(Rows(fold.training, fold.validation, fold.held_out) for fold in folds)
    return (Rows(dataset.splits["train"], dataset.splits["val"]),)


def identity_of(trial: int, fold: int | None) -> str:
    """Return the permanent identity of a trial's network, from which its randomness is derived."""
    return f"trial-{trial}" if fold is None else f"trial-{trial}-fold-{fold}"
