"""What each dataset of a file is for: as attributes and recipe say, else as far as it is plain."""

from collections.abc import Sequence
from dataclasses import replace

from dlcli.contracts.field import Role
from dlcli.data.finding import Finding, error
from dlcli.data.stored import StoredField

_PLAIN: tuple[tuple[Role, str, bool], ...] = (("target", "y", True), ("input", "x", False))
"""Role, the name that tells it, and whether its rows are single values."""
_ONE: tuple[Role, ...] = ("target", "length", "mask", "weight", "group")
_TIED = ("length", "mask", "weight")


def assign_roles(fields: Sequence[StoredField], findings: list[Finding]) -> list[StoredField]:
    """Give roles to fields for which nobody gives one, where there is no doubt.

    `x` is the input and `y` the target; else, the only other dataset with one value a row is the target, and the only
    other one with more is the input.

    Args:
        fields: All datasets of the file.
        findings: Takes what is wrong: no or several targets, no input, a tie to a field that is not there.

    Returns:
        The fields in the same order; those without a role are not used.
    """
    found = list(fields)
    for role, name, flat in _PLAIN:
        if any(field.role == role for field in found):
            continue
        free = [field for field in found if field.role is None]
        named = [field for field in free if field.name.lower() == name]
        shaped = [field for field in free if (field.row_shape == ()) is flat]
        choice = named or shaped
        if len(choice) == 1:
            position = found.index(choice[0])
            found[position] = replace(choice[0], role=role)
        else:
            findings.append(error("", _no_role(role, found, choice)))
    for only in _ONE:
        fitting = [field for field in found if field.role == only]
        if len(fitting) > 1:
            message = f"{len(fitting)} fields have the role {only}: {', '.join(map(str, fitting))}; one is allowed"
            advice = "; several regression targets go in one N×R dataset" if only == "target" else ""
            findings.append(error("", message + advice))
    return [_tie(field, found, findings) for field in found]


def _no_role(role: str, fields: Sequence[StoredField], candidates: Sequence[StoredField]) -> str:
    free = [field for field in fields if field.role is None]
    example = next(iter([*candidates, *free]), None)
    there = ", ".join(map(str, fields)) or "no datasets"
    line = f'{example.name} = {{ role = "{role}" }}' if example else f'NAME = {{ path = "…", role = "{role}" }}'
    return (
        f"it is not plain which dataset is the {role}; there are: {there}. Give one the attribute role={role!r}, "
        f"or say so in the recipe:\n    [data.fields]\n    {line}"
    )


def _tie(field: StoredField, fields: Sequence[StoredField], findings: list[Finding]) -> StoredField:
    """Check or find the field that a length, mask or weight belongs to."""
    if field.role not in _TIED:
        return field
    roles: tuple[Role, ...] = ("input", "condition", "target")
    others = [other for other in fields if other.role in roles]
    if field.of is not None and field.of not in {other.name for other in others}:
        names = ", ".join(other.name for other in others)
        findings.append(error(field.where, f"it belongs to {field.of!r} (of), which is not used; there are: {names}"))
    if field.of is not None or field.role == "weight":
        return field
    inputs = [other for other in others if other.role == "input"]
    if len(inputs) == 1:
        return replace(field, of=inputs[0].name)
    names = ", ".join(other.name for other in inputs)
    findings.append(
        error(
            field.where,
            f"a {field.role} needs the attribute `of`, the field that it belongs to; inputs are: {names}",
        )
    )
    return field
