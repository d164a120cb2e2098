"""What is wrong with the switches of a recipe: those that do not go together."""

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from dlcli.contracts.switches import Switches
from dlcli.recipe.keys import value_at
from dlcli.recipe.problems import Finding
from dlcli.registry import Registry


def check_switches(table: Mapping[str, Any], registry: Registry) -> Iterator[Finding]:
    """Find switches of training that exclude each other, or the engine.

    Args:
        table: The recipe as the user wrote it; values of a wrong type are passed by.
        registry: Knows the defaults.

    Yields:
        Finding: What is wrong, and where.
    """
    found = {field.name: value_at(table, ("train", field.name), registry) for field in fields(Switches)}
    plain = Switches()
    if any(type(value) is not type(getattr(plain, name)) for name, value in found.items()):
        return
    switches = Switches(**found)
    if switches.compile and switches.activation_checkpointing:
        yield Finding(
            ("train", "compile"),
            "a compiled network decides for itself what it keeps for the backward pass: set it to false, or "
            "train.activation_checkpointing",
        )
    if value_at(table, ("train", "engine"), registry) == "vectorized" and switches.loop_only is not None:
        yield Finding(("train", "engine"), f"vectorized, but {switches.loop_only}: take auto or loop")
