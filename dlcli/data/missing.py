"""Where values may be missing: NaN in fields whose preprocessing begins by filling them in."""

from collections.abc import Sequence

from dlcli.contracts.field import Field
from dlcli.contracts.preprocessor import Preprocessor


def may_be_missing(field: Field, preprocessors: Sequence[Preprocessor]) -> bool:
    """Return whether NaN in a field means a missing value that its preprocessing fills in.

    Args:
        field: The raw field.
        preprocessors: In the order in which they are applied; those that do not accept the field are passed over.

    Returns:
        True for inputs and conditions of floats whose first preprocessor takes missing values.
    """
    first = next((component for component in preprocessors if component.accepts(field)), None)
    return _can_lack(field) and first is not None and first.takes_missing


def advice_on_missing(field: Field, preprocessors: Sequence[Preprocessor]) -> str:
    """Return what to do about NaN in a field where it is not allowed.

    Args:
        field: The raw field.
        preprocessors: As for `may_be_missing`.

    Returns:
        The end of an error.
    """
    if not _can_lack(field) or field.kind not in ("features", "sequence"):
        return "training would turn NaN: remove these rows, or fill in the values"
    chain = [component for component in preprocessors if component.accepts(field)]
    late = next((component.name for component in chain if component.takes_missing), None)
    if late is not None:
        return f"{chain[0].name} cannot take them: put {late} before it in data.preprocess"
    return f"training would turn NaN: let impute fill them in, {recipe_line(preprocessors)}, or remove these rows"


def recipe_line(preprocessors: Sequence[Preprocessor]) -> str:
    """Return the line of a recipe that has missing values filled in, before everything else."""
    names = ", ".join(f'"{name}"' for name in ("impute", *(component.name for component in preprocessors)))
    return f"preprocess = [{names}] under [data]"


def _can_lack(field: Field) -> bool:
    return field.role in ("input", "condition") and field.dtype.startswith("float")
