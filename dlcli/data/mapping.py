"""What a recipe's `[data.fields]` says about a dataset of other people's layout."""

from dataclasses import dataclass

from dlcli.contracts.field import Kind, Role


@dataclass(frozen=True)
class FieldMapping:
    """One line of `[data.fields]`; what is given wins over the file's attributes.

    Args:
        path: Where the dataset is, from its split group or, without groups, from the root; `{split}` in it stands
            for `train`, `val` and `test` (`{split}_x`, `images/{split}`), from the root. None: the field's name.
        role: What it is for.
        kind: How its rows are laid out.
        classes: Names of the classes or labels.
        names: Names of the columns.
        of: For a length, mask or weight: the field that it belongs to.
    """

    path: str | None = None
    role: Role | None = None
    kind: Kind | None = None
    classes: tuple[str, ...] | None = None
    names: tuple[str, ...] | None = None
    of: str | None = None
