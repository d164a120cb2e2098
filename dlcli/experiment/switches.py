"""The switches of a recipe, and the device that is to follow them."""

import torch

from dlcli.contracts.switches import Switches
from dlcli.recipe.model import Recipe
from dlcli.training.device import choose_device
from dlcli.training.switches import check_switches


def recipe_switches(recipe: Recipe) -> Switches:
    """Return the switches of every network of a recipe."""
    train = recipe.train
    return Switches(
        accumulate=train.accumulate,
        precision=train.precision,
        compile=train.compile,
        activation_checkpointing=train.activation_checkpointing,
        sampling=train.sampling,
        deterministic=train.deterministic,
    )


def training_device(recipe: Recipe) -> torch.device:
    """Return where a recipe is to be trained.

    Args:
        recipe: A checked recipe.

    Returns:
        The device.

    Raises:
        UsageError: It is not there, or cannot follow the recipe's switches.
    """
    device = choose_device(recipe.train.device)
    check_switches(recipe_switches(recipe), device)
    return device
