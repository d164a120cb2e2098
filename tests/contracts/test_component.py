from abc import abstractmethod
from functools import cached_property
from typing import ClassVar

import pytest
import torch
from pydantic import Field, PrivateAttr, ValidationError

from dlcli import Component, PerMember, by_name
from dlcli.contracts.component import implements


class Spice(Component):
    """A kind."""

    kind: ClassVar[str] = "spice"

    @abstractmethod
    def heat(self) -> float:
        """Required."""

    def aroma(self) -> str:
        """Optional."""
        return "none"


class Pepper(Spice):
    """A component with a per-member number and one that is not."""

    name: ClassVar[str] = "pepper"
    amount: PerMember = Field(1.0, ge=0, description="grams")
    grind: int = Field(3, ge=1, description="coarseness")

    def heat(self):
        return self.amount * self.grind

    def aroma(self):
        return "sharp"


class Salt(Spice):
    """A component without parameters."""

    name: ClassVar[str] = "salt"

    def heat(self):
        return 0.0


class Dish(Component):
    """Another kind."""

    kind: ClassVar[str] = "dish"


class Soup(Dish):
    """A component with components inside."""

    name: ClassVar[str] = "soup"
    spice: Spice = by_name("pepper", grind=2)
    more: tuple[Spice, ...] = ()
    litres: PerMember = Field(0.5, gt=0, description="litres")
    steps: tuple[tuple[int, ...], ...] = ()
    garnish: str | None = None


class Shelf:
    """The least that a registry is to a component."""

    components: ClassVar = {"pepper": Pepper, "salt": Salt, "soup": Soup}

    def resolve(self, kind, value):
        table = {"name": value} if isinstance(value, str) else dict(value)
        found = self.components[table.pop("name")]
        assert found.kind == kind
        return found.model_validate(table, context={"registry": self})


def make(component, **parameters):
    return component.model_validate(parameters, context={"registry": Shelf()})


def label(component):
    return f"kitchen:{component.name}"


def test_is_frozen():
    with pytest.raises(ValidationError, match="Instance is frozen"):
        Pepper().amount = 2.0


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"amuont": 1.0}, "Extra inputs are not permitted"),
        ({"amount": "1"}, "valid number"),
        ({"grind": 2.0}, "valid integer"),
        ({"grind": True}, "valid integer"),
        ({"amount": float("inf")}, "finite number"),
        ({"amount": -1.0}, "greater than or equal to 0"),
    ],
)
def test_is_strict(parameters, message):
    with pytest.raises(ValidationError, match=message):
        Pepper(**parameters)
    with pytest.raises(ValidationError, match=message):
        make(Pepper, **parameters)


def test_a_whole_number_is_a_float():
    assert isinstance(Pepper(amount=2).amount, float)


def test_cached_property_is_refused():
    with pytest.raises(TypeError, match="Stale has heat: a component may hold neither cached properties nor private"):

        class Stale(Spice):
            name: ClassVar[str] = "stale"

            @cached_property
            def heat(self):
                return 1.0


def test_private_attribute_is_refused():
    with pytest.raises(TypeError, match="Secret has _memory: a component may hold neither"):

        class Secret(Spice):
            name: ClassVar[str] = "secret"
            _memory: int = PrivateAttr(0)


def test_field_called_name_is_refused():
    with pytest.raises(TypeError, match=r"Named has a field called name: set `name: ClassVar\[str\]` instead"):

        class Named(Spice):
            name: str = "named"


def test_an_unfinished_component_cannot_be_made():
    class Unfinished(Spice):
        """Lacks heat."""

        name: ClassVar[str] = "unfinished"

    with pytest.raises(TypeError, match="abstract"):
        Unfinished()


def test_components_by_name_by_table_and_by_object():
    assert make(Soup).spice == Pepper(grind=2)
    assert make(Soup, spice="salt").spice == Salt()
    assert make(Soup, spice={"name": "pepper", "amount": 3.0}).spice == Pepper(amount=3.0)
    assert make(Soup, spice=Pepper(amount=4.0)).spice == Pepper(amount=4.0)
    assert make(Soup, more=["salt", {"name": "pepper"}]).more == (Salt(), Pepper())
    assert Soup(spice=Salt()).spice == Salt()


def test_errors_in_an_inner_component_carry_their_path():
    with pytest.raises(ValidationError) as caught:
        make(Soup, spice={"name": "pepper", "grind": 0}, litres=0.0)
    assert {error["loc"] for error in caught.value.errors()} == {("spice", "grind"), ("litres",)}


def test_a_name_needs_a_registry():
    with pytest.raises(
        ValidationError, match=r"no registry to look up .*pepper.*: make the component with registry.create"
    ):
        Soup()


@pytest.mark.parametrize("value", [3, None, ["pepper"]])
def test_what_does_not_name_a_component(value):
    with pytest.raises(ValidationError, match='spice: a component is named by a string, such as "name", or a table'):
        make(Soup, spice=value)


def test_lists_become_tuples_at_any_depth():
    soup = make(Soup, steps=[[1, 2], [], [3]])
    assert soup.steps == ((1, 2), (), (3,))
    assert hash(soup.steps) is not None


def test_table_holds_all_fields_at_every_depth():
    soup = make(Soup, more=["salt"], steps=[[1]])
    assert soup.table(label) == {
        "name": "kitchen:soup",
        "spice": {"name": "kitchen:pepper", "amount": 1.0, "grind": 2},
        "more": [{"name": "kitchen:salt"}],
        "litres": 0.5,
        "steps": [[1]],
    }
    assert soup.table(label, per_member=False) == {
        "name": "kitchen:soup",
        "spice": {"name": "kitchen:pepper", "grind": 2},
        "more": [{"name": "kitchen:salt"}],
        "steps": [[1]],
    }


def test_per_member_numbers_by_path():
    soup = make(Soup, litres=2.0)
    assert soup.per_member() == {"spice.amount": 1.0, "litres": 2.0}
    changed = soup.with_per_member({"spice.amount": 5.0, "litres": 3.0})
    assert changed.per_member() == {"spice.amount": 5.0, "litres": 3.0}
    assert changed.spice.grind == 2
    assert soup.per_member() == {"spice.amount": 1.0, "litres": 2.0}


def test_per_member_numbers_may_be_tensors_under_vmap():
    soup = make(Soup)

    def heat(amount):
        return soup.with_per_member({"spice.amount": amount}).spice.heat()

    assert torch.vmap(heat)(torch.tensor([0.0, 1.0, 2.0])).tolist() == [0.0, 2.0, 4.0]


def test_stack_key_is_all_but_the_per_member_numbers():
    soup = make(Soup)
    assert soup.stack_key() == soup.with_per_member({"spice.amount": 9.0, "litres": 9.0}).stack_key()
    others = [make(Soup, spice={"name": "pepper", "grind": 5}), make(Soup, spice="salt"), make(Soup, garnish="parsley")]
    assert len({component.stack_key() for component in [soup, *others]}) == 4


def test_implements_tells_what_was_overridden():
    assert implements(Pepper(), "aroma")
    assert not implements(Salt(), "aroma")


def test_every_field_has_a_schema():
    schema = Pepper.model_json_schema()
    assert schema["additionalProperties"] is False
    assert schema["properties"]["amount"] == {
        "default": 1.0,
        "description": "grams",
        "minimum": 0,
        "title": "Amount",
        "type": "number",
    }
