"""Settings at random, to see what a space means before anything is trained."""

from dlcli.contracts.randomness import derive
from dlcli.contracts.search import Setting, Space, compose


def draw(space: Space, seed: int, count: int = 10) -> list[Setting]:
    """Draw settings from a space, as the search `random` does for its first trials.

    Args:
        space: The space.
        seed: Seed of the search.
        count: How many, ≥ 0.

    Returns:
        The settings.
    """
    return [
        compose(space, lambda key, each, trial=trial: each.at(_quantile(seed, trial, key)))  # type: ignore[misc]
        for trial in range(count)
    ]


def _quantile(seed: int, trial: int, key: str) -> float:
    return (derive(seed, "search", trial, key) >> 10) * 2.0**-53
