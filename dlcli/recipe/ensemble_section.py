"""The keys of `[ensemble]`."""

from typing import Annotated, ClassVar

from pydantic import Field

from dlcli.contracts.architecture import Architecture
from dlcli.contracts.component import by_name
from dlcli.contracts.ensemble import Ensemble
from dlcli.recipe.section import Section


class EnsembleMemberSection(Section):
    """A network of an ensemble whose members differ in architecture: a `[model]` table, and how many of it."""

    flat: ClassVar[str | None] = "architecture"
    flat_name: ClassVar[str] = "architecture"

    count: int = Field(1, ge=1, description="how many networks of it")
    architecture: Architecture = Field(description="the network's architecture; its parameters stand beside it")


class EnsembleSection(Section):
    """How `dlcli ensemble` makes one model of several networks."""

    strategy: Annotated[Ensemble, Field(description="which members, and how they are combined")] = by_name("voting")
    members: Annotated[int, Field(ge=1)] | Annotated[tuple[EnsembleMemberSection, ...], Field(min_length=1)] | None = (
        Field(
            None,
            description="how many members, or a table for each architecture; by default as many as the strategy says",
        )
    )
    runs: tuple[str, ...] = Field(
        (), description="runs whose models are the members, instead of training any: paths, relative to the recipe"
    )
    top: int | None = Field(
        None,
        ge=1,
        description="best trials that a search among the runs stands for; by default its final model",
    )
    skip_missing: bool = Field(False, description="whether runs that are missing or damaged are left out")
    temperature_scaling: bool = Field(
        False, description="whether the model's outputs are divided by a temperature fitted on validation rows"
    )
