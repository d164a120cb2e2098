"""What is in a file, told from shapes, types and attributes alone: no values are read."""

from collections.abc import Mapping
from dataclasses import dataclass

import h5py

from dlcli.data.finding import Finding, error
from dlcli.data.hdf5 import dataset_names
from dlcli.data.layout import Layout, find_layout
from dlcli.data.mapping import FieldMapping
from dlcli.data.roles import assign_roles
from dlcli.data.shapes import readable, settle_kind
from dlcli.data.stored import StoredField, declared


@dataclass(frozen=True)
class Inspection:
    """The fields of a file.

    Args:
        layout: Where the splits are.
        fields: Fields with a role that can be read, in the order of the file; the target's kind may be open still.
        unused: Datasets without a role.
        findings: Everything that was wrong; fields with an error of their own are not among `fields`.
    """

    layout: Layout
    fields: tuple[StoredField, ...]
    unused: tuple[StoredField, ...]
    findings: list[Finding]

    def by_role(self, *roles: str) -> list[StoredField]:
        """Return the fields of some roles."""
        return [field for field in self.fields if field.role in roles]

    @property
    def target(self) -> StoredField | None:
        """The field that is to be predicted."""
        return next(iter(self.by_role("target")), None)

    @property
    def sizes(self) -> dict[str, int]:
        """Number of rows of every part."""
        target = self.target
        return {part: int(dataset.shape[0]) for part, dataset in target.datasets.items()} if target else {}


def inspect(file: h5py.File, mappings: Mapping[str, FieldMapping]) -> Inspection:
    """Find the fields of an open file and check all that can be checked without reading values.

    Args:
        file: The open file.
        mappings: The recipe's `[data.fields]`.

    Returns:
        The fields and everything that was wrong.
    """
    layout = find_layout(file, mappings)
    findings = list(layout.findings)
    names = list(dict.fromkeys(name for part in layout.parts.values() for name in part))
    if not names:
        if not findings:
            there = ", ".join(dataset_names(file)) or "none"
            findings.append(
                error(
                    "",
                    f"no datasets in groups train, val, test, nor at the root; there are: {there}. Say where "
                    'they are in the recipe:\n    [data.fields]\n    x = { path = "…", role = "input" }',
                )
            )
        return Inspection(layout, (), (), findings)
    said = [
        declared(
            name,
            {part: datasets[name] for part, datasets in layout.parts.items() if name in datasets},
            mappings.get(name, FieldMapping()),
            findings,
        )
        for name in names
    ]
    assigned = assign_roles(said, findings)
    used = [field for field in assigned if field.role is not None]
    unused = tuple(field for field in assigned if field.role is None)
    _missing(used, layout, findings)
    sound = [field for field in used if readable(field, findings)]
    _same_lengths(sound, layout, findings)
    fields = []
    for field in sound:
        settled = field if field.role == "target" else settle_kind(field, sound, findings)
        if settled is not None:
            fields.append(settled)
    _tied_steps(fields, findings)
    return Inspection(layout, tuple(fields), unused, findings)


def _missing(fields: list[StoredField], layout: Layout, findings: list[Finding]) -> None:
    for field in fields:
        for part, datasets in layout.parts.items():
            if part not in field.datasets and not any(part in finding.where.split("/") for finding in layout.findings):
                there = ", ".join(datasets) or "none"
                findings.append(
                    error(
                        f"{part}/{field.name}",
                        f"missing; {field.where} is the {field.role}, and every split needs it; {part} has: {there}",
                    )
                )


def _same_lengths(fields: list[StoredField], layout: Layout, findings: list[Finding]) -> None:
    for part in layout.parts:
        present = [field.datasets[part] for field in fields if part in field.datasets]
        for dataset in present[1:]:
            if dataset.shape[0] != present[0].shape[0]:
                first, other = (str(item.name).strip("/") for item in (present[0], dataset))
                findings.append(
                    error(
                        part,
                        f"{first} has {present[0].shape[0]} rows, but {other} has {dataset.shape[0]}; all "
                        "datasets of a split have the same first length",
                    )
                )


def _tied_steps(fields: list[StoredField], findings: list[Finding]) -> None:
    """Check that lengths and masks belong to fields with steps, and as many."""
    by_name = {field.name: field for field in fields}
    for field in fields:
        owner = by_name.get(field.of or "")
        if owner is None or field.role not in ("length", "mask"):
            continue
        if not owner.row_shape:
            findings.append(error(field.where, f"it belongs to {owner.name}, which has no steps T"))
        elif field.role == "mask" and field.row_shape[0] != owner.row_shape[0]:
            findings.append(
                error(field.where, f"it has {field.row_shape[0]} steps, but {owner.where} has {owner.row_shape[0]}")
            )
