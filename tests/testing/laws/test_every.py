from typing import ClassVar

import pytest
from pydantic import ConfigDict, Field, field_validator
from torch import nn

from dlcli import Activation, Metric, by_name
from dlcli.testing.law import Law
from dlcli.testing.laws import every


class Fine(Activation):
    """Does nothing to its input."""

    name: ClassVar[str] = "fine"
    formula: ClassVar[str] = "x"
    gradient: ClassVar[str] = "1"
    output_range: ClassVar[str] = "(-inf, inf)"
    zero_centred: ClassVar[bool] = True
    saturates: ClassVar[str] = "nowhere"

    def build(self, width, feature_dim=1):
        return nn.Identity()


class NeedsParameter(Fine):
    """Cannot be made without a number."""

    slope: float = Field(description="slope")


class Undocumented(Fine):
    pass


class NoSentence(Fine):
    """does nothing"""  # noqa: D400


class Undescribed(Fine):
    """Has a parameter that nobody described."""

    slope: float = 1.0


class Shouting(Fine):
    """Has a name that is not snake_case."""

    name: ClassVar[str] = "Shouting"


class NoFormula(Activation):
    """Forgets its formula."""

    name: ClassVar[str] = "no_formula"

    def build(self, width, feature_dim=1):
        return nn.Identity()


class WrongDirection(Metric):
    """Has a direction that is none."""

    name: ClassVar[str] = "wrong_direction"
    tasks: ClassVar[frozenset] = frozenset()
    direction: ClassVar[str] = "down"

    def update(self, output, target, weight):
        return {}

    def compute(self, statistics):
        return None


class Greedy(Fine):
    """Swallows parameters that it does not have."""

    model_config = ConfigDict(extra="ignore")


class Wasteful(Fine):
    """Has a parameter that does nothing from the start."""

    def ignored(self):
        return ("slope is not used",)


class Creeping(Fine):
    """Grows whenever it is read."""

    slope: float = Field(1.0, description="slope")

    @field_validator("slope")
    @classmethod
    def _grow(cls, slope):
        return slope + 1


class HoldsAnother(Fine):
    """Holds a component without describing it, which is right."""

    inner: Activation = by_name("relu")


BROKEN = [
    (every.builds_from_defaults, NeedsParameter, "slope\n  Field required"),
    (every.is_documented, Undocumented, "Undocumented: the docstring must begin with a sentence, got ''"),
    (every.is_documented, NoSentence, "NoSentence: the docstring must begin with a sentence, got 'does nothing'"),
    (every.is_documented, Undescribed, r"Undescribed: slope need Field\(…, description=…\)"),
    (every.is_named_in_snake_case, Shouting, "the class attribute `name` is 'Shouting'"),
    (every.uses_its_defaults, Wasteful, "with all defaults it says"),
    (every.states_what_its_kind_asks, NoFormula, "NoFormula: the class attribute `formula` is missing"),
    (every.states_what_its_kind_asks, WrongDirection, "WrongDirection: the class attribute"),
    (every.refuses_unknown_parameters, Greedy, "DID NOT RAISE"),
    (every.round_trips_through_toml_and_json, Creeping, "read back from"),
]


@pytest.mark.parametrize(("check", "cls", "match"), BROKEN)
def test_a_broken_component_fails(case_of, check, cls, match):
    with pytest.raises((AssertionError, ValueError, pytest.fail.Exception), match=match):
        Law(check)(case_of(cls))


@pytest.mark.parametrize("law", every.LAWS, ids=lambda law: law.name)
@pytest.mark.parametrize("cls", [Fine, HoldsAnother])
def test_a_sound_component_passes(case_of, law, cls):
    law(case_of(cls))


def test_every_law_can_fail():
    assert {check for check, _, _ in BROKEN} == {law.check for law in every.LAWS}
