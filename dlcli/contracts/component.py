"""The base of every component: a frozen pydantic model whose fields are its parameters."""

import json
from abc import ABC
from collections.abc import Callable, Mapping
from functools import cache, cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Protocol, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ModelWrapValidatorHandler, ValidationInfo, model_validator


class PerMemberMark:
    """Marks a field whose value may differ between the members of one stack."""

    def __repr__(self) -> str:
        return "PerMember"


PER_MEMBER = PerMemberMark()

if TYPE_CHECKING:
    from torch import Tensor

    PerMember: TypeAlias = float | Tensor
else:
    PerMember = Annotated[float, PER_MEMBER]


class Resolver(Protocol):
    """What a component needs of the registry to read the components among its own fields."""

    def resolve(self, kind: str, value: object) -> "Component":
        """Turn a name, or a table with a `name`, into a component of `kind`."""
        ...


def by_name(name: str, **parameters: object) -> Any:
    """Make the default of a field that holds a component: a name, and parameters other than its defaults.

    Args:
        name: Registered name, best as `distribution:name`: another package may bring the bare name too. The registry
            in the validation context resolves it.
        **parameters: Parameters other than their defaults.

    Returns:
        A pydantic field whose default is resolved when the owner is made.
    """
    return Field(default={"name": name, **parameters}, validate_default=True)


def tuples(value: object) -> object:
    """Return `value` with lists, at any depth, as tuples: components are frozen, and TOML and JSON know only lists."""
    if isinstance(value, list | tuple):
        return tuple(tuples(item) for item in value)
    if isinstance(value, Mapping):
        return {key: tuples(item) for key, item in value.items()}
    return value


class Component(BaseModel, ABC):
    """A named, frozen set of parameters with behaviour; the unit of every plugin.

    A kind (`Activation`, `Loss`, …) is a direct subclass that sets `kind`; a component is a final subclass of a kind
    that sets `name` and lists its parameters as fields with a description, a range and a default. Methods are pure
    but for `draw` and `fill`. `cached_property` and private attributes are refused, because copies of a component
    with other `PerMember` values would silently keep the old ones.

    Raises:
        TypeError: At class creation, for a private attribute, a `cached_property` or a field called `name`.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        validate_default=True,
        allow_inf_nan=False,
        arbitrary_types_allowed=True,
        protected_namespaces=(),
        defer_build=True,  # most of what a class costs to import, and few of many are ever made
    )

    kind: ClassVar[str]
    name: ClassVar[str]

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Refuse what would not survive a copy with other per-member values."""
        super().__pydantic_init_subclass__(**kwargs)
        cached = [key for key, value in vars(cls).items() if isinstance(value, cached_property)]
        forbidden = [*cached, *cls.__private_attributes__]
        if forbidden:
            raise TypeError(
                f"{cls.__name__} has {', '.join(sorted(forbidden))}: a component may hold neither cached properties "
                "nor private attributes, because copies with other per-member values would keep the old ones; "
                "use a plain property or a field"
            )
        if "name" in cls.model_fields:
            raise TypeError(f"{cls.__name__} has a field called name: set `name: ClassVar[str]` instead")

    @model_validator(mode="wrap")
    @classmethod
    def _from_name(cls, value: Any, handler: ModelWrapValidatorHandler[Self], info: ValidationInfo) -> Any:
        """Resolve a name or a table where a kind is asked for; read a component's own fields otherwise."""
        if isinstance(value, cls):
            return value
        if "kind" not in cls.__dict__:
            return handler(tuples(value))
        if not isinstance(value, str | Mapping):
            raise ValueError(
                f'{cls.kind}: a component is named by a string, such as "name", or a table, such as {{ name = "name" }}'
            )
        registry: Resolver | None = (info.context or {}).get("registry")
        if registry is None:
            raise ValueError(
                f"no registry to look up {value!r}: make the component with registry.create(…), "
                f"or pass the {cls.kind} as an object"
            )
        return registry.resolve(cls.kind, value)

    def table(self, label: Callable[["Component"], str], *, per_member: bool = True) -> dict[str, Any]:
        """Return the component as a JSON-ready table of all its fields, at every depth.

        Args:
            label: Gives the `name` entry of a component.
            per_member: Whether fields that may differ within a stack are included.

        Returns:
            `{"name": …, field: value, …}`; a field that is None is left out.
        """

        def plain(value: object) -> Any:
            if isinstance(value, Component):
                return value.table(label, per_member=per_member)
            if isinstance(value, tuple | list):
                return [plain(item) for item in value]
            if isinstance(value, Mapping):
                return {key: plain(item) for key, item in value.items()}
            return value

        fields = type(self).model_fields
        kept = [key for key, field in fields.items() if per_member or PER_MEMBER not in field.metadata]
        values = {key: plain(getattr(self, key)) for key in kept}
        return {"name": label(self), **{key: value for key, value in values.items() if value is not None}}

    def ignored(self) -> tuple[str, ...]:
        """Return which parameters change nothing beside the others, a clause each, and what would give them effect.

        What is surely meant otherwise is an error of validation instead; this is for settings that a search may pass
        through. `build` and `train` say them as notes.

        Returns:
            Clauses such as `warmup_start_factor is not used without warmup_epochs`; none by default.
        """
        return ()

    def stack_key(self) -> str:
        """Return what two members' components must share to train in one stack: all but the per-member fields."""
        return json.dumps(self.table(lambda c: f"{type(c).__module__}:{type(c).__name__}", per_member=False))

    def per_member(self) -> dict[str, float]:
        """Return the per-member numbers, by dotted path, of this component and those inside it."""
        found: dict[str, float] = {}
        for key, field in type(self).model_fields.items():
            value = getattr(self, key)
            if PER_MEMBER in field.metadata:
                found[key] = value
            elif isinstance(value, Component):
                found.update({f"{key}.{path}": number for path, number in value.per_member().items()})
        return found

    def with_per_member(self, values: "Mapping[str, float | Tensor]") -> Self:
        """Return a copy in which per-member fields, by dotted path, hold other numbers or 0-d tensors."""
        update: dict[str, Any] = {}
        for key, field in type(self).model_fields.items():
            inner = {path[len(key) + 1 :]: value for path, value in values.items() if path.startswith(f"{key}.")}
            if PER_MEMBER in field.metadata and key in values:
                update[key] = values[key]
            elif inner:
                update[key] = getattr(self, key).with_per_member(inner)
        return self.model_copy(update=update)


def implements(component: Component, method: str) -> bool:
    """Return whether the component's class overrides an optional method of its kind."""
    return _overrides(type(component), method)


@cache  # asked at every step
def _overrides(cls: type[Component], method: str) -> bool:
    kind = next(base for base in cls.__mro__ if "kind" in base.__dict__)
    return getattr(cls, method) is not getattr(kind, method)
