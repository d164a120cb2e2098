"""The base of every table of a recipe."""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from dlcli.contracts.component import tuples


def defaults(description: str) -> Any:
    """Make a section optional: an empty table, so that the components inside it are resolved by the registry."""
    return Field(default={}, description=description)


class Section(BaseModel):
    """A table of a recipe; lists become tuples.

    Class attributes: `flat`, the field whose component's parameters are written among the section's own keys;
    `flat_name`, the key that names that component; `short`, the key that a bare string instead of a table stands for.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, validate_default=True, allow_inf_nan=False, protected_namespaces=()
    )

    flat: ClassVar[str | None] = None
    flat_name: ClassVar[str] = "name"
    short: ClassVar[str | None] = None

    @model_validator(mode="before")
    @classmethod
    def _unflatten(cls, value: Any) -> Any:
        """Read a bare string, and gather the parameters of the flat component into a table of their own."""
        value = tuples(value)
        if cls.short is not None and isinstance(value, str):
            value = {cls.short: value}
        if cls.flat is None or not isinstance(value, Mapping):
            return value
        # A key `name` beside another naming key would pass for the component's name: leave it to be refused.
        own_keys = {*cls.model_fields, "name"} - {cls.flat, cls.flat_name}
        own = {key: item for key, item in value.items() if key in own_keys}
        if cls.flat_name not in value:
            return own
        parameters = {key: item for key, item in value.items() if key not in own_keys and key != cls.flat_name}
        return {**own, cls.flat: {"name": value[cls.flat_name], **parameters}}
