"""The keys of `[tune]`."""

from typing import Annotated, Any, TypeAlias

from pydantic import Field

from dlcli.contracts.component import by_name
from dlcli.contracts.search import Search
from dlcli.recipe.section import Section, defaults

Whole: TypeAlias = int  # inside `SpaceEntry`, `int` is a key


class SpaceEntry(Section):
    """Where the values of one tuned key come from: exactly one distribution, and when the key is tuned at all."""

    uniform: tuple[float, float] | None = Field(None, description="lowest and highest number")
    log_uniform: tuple[float, float] | None = Field(
        None, description="lowest and highest number > 0; equal factors are equally likely"
    )
    int: tuple[Whole, Whole] | None = Field(None, description="lowest and highest whole number")
    log_int: tuple[Whole, Whole] | None = Field(
        None, description="lowest and highest whole number ≥ 1; equal factors are equally likely"
    )
    normal: tuple[float, float] | None = Field(
        None, description="mean and standard deviation > 0; cut off at the limits of the key"
    )
    choice: tuple[Any, ...] | None = Field(None, min_length=1, description="the values, of any type that the key takes")
    when: dict[str, tuple[Any, ...]] | None = Field(
        None, description="another key of the space, a choice, and those of its values with which this key is tuned"
    )


class TuneSection(Section):
    """How `dlcli tune` searches for better values."""

    method: Annotated[Search, Field(description="how settings are proposed")] = by_name("tpe")
    trials: int = Field(40, ge=1, description="settings to try, whatever the number of workers")
    time_minutes: float | None = Field(None, gt=0, description="wall-clock minutes to stop after; by default no limit")
    stages: int = Field(
        1, ge=1, description="searches from short training to full, each over what was best in the one before"
    )
    halving: bool = Field(True, description="whether the worse half of those trained together stops early, repeatedly")
    racing: bool = Field(
        True, description="whether a trial whose mean is worse than the worst fold of the best one is spared the rest"
    )
    kfold: int | None = Field(
        None, ge=2, description="folds whose mean is a trial's score; by default one validation split"
    )
    keep: int = Field(10, ge=1, description="how many of the best trials' models are kept")
    population: int | None = Field(
        None, ge=1, description="settings asked for and trained together; by default dlcli chooses"
    )
    space: dict[str, SpaceEntry] = defaults("the keys to tune, dotted and in quotes, and where their values come from")
