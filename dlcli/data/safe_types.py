"""Changing the type of values without changing the values, or not at all."""

from collections.abc import Iterable, Mapping
from typing import Any

import h5py
import numpy as np

from dlcli.errors import DataError, UsageError

Array = np.ndarray[Any, Any]
CLASSES = "classes"
"""Stands for whole numbers in the place of texts."""
NUMBERS = (
    "bool",
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
    "float16",
    "float32",
    "float64",
)
MOST_CLASSES = 10_000
"""More different texts than this are no classes."""


def wanted_types(asked: Iterable[str]) -> dict[str, str]:
    """Read what was asked for on the command line.

    Args:
        asked: Words such as `x=uint8`.

    Returns:
        The type of each name.

    Raises:
        UsageError: A word is no such thing.
    """
    found = {}
    for word in asked:
        name, mark, dtype = word.rpartition("=")
        if not mark or not name or dtype not in (*NUMBERS, CLASSES):
            raise UsageError(
                f"--dtype {word}: expected NAME=TYPE; types are {', '.join(NUMBERS)}, or {CLASSES} for texts"
            )
        found[name.strip("/")] = dtype
    return found


def converted(values: Array, dtype: "np.dtype[Any]", where: str, start: int) -> Array:
    """Return values in another type: equal, or, between floats, rounded but finite where they were.

    Args:
        values: Some rows (R, …).
        dtype: The other type.
        where: Their dataset.
        start: The first row.

    Returns:
        The same rows.

    Raises:
        DataError: A value does not fit.
    """
    if values.dtype.kind not in "buif":
        raise DataError(f"{where} holds {values.dtype}, which cannot become {dtype}; only numbers can")
    with np.errstate(all="ignore"):
        new = values.astype(dtype)
        if values.dtype.kind == "f" and dtype.kind == "f":
            fits = (np.isfinite(new) == np.isfinite(values)) & (np.isnan(new) == np.isnan(values))
        else:
            # Both ways, since -1 becomes 255 and comes back as -1.
            fits = (new.astype(values.dtype) == values) & ((new < 0) == (values < 0))
    if not fits.all():
        place = np.argwhere(~fits)[0]
        value = values[tuple(place)]
        more = f" and {(~fits).sum() - 1} more" if (~fits).sum() > 1 else ""
        raise DataError(
            f"{where}: {value} in row {start + int(place[0])}{more} cannot become {dtype} without changing; choose a "
            "type that holds all values"
        )
    return new


def class_names(texts: Iterable[Array], where: str) -> list[str]:
    """Return the different texts, in the order of the alphabet.

    Args:
        texts: Blocks of texts, as h5py reads them.
        where: Their dataset.

    Returns:
        Names of the classes.

    Raises:
        DataError: These are no texts, or too many different ones.
    """
    found: set[str] = set()
    for block in texts:
        found.update(_texts(block, where))
        if len(found) > MOST_CLASSES:
            raise DataError(f"{where} holds more than {MOST_CLASSES:,} different texts, which are no classes")
    return sorted(found)


def class_numbers(texts: Array, numbers: Mapping[str, int], dtype: "np.dtype[Any]", where: str) -> Array:
    """Return the number of each text's class.

    Args:
        texts: A block of texts, as h5py reads them.
        numbers: The number of each class by its name.
        dtype: Type of the numbers.
        where: Their dataset.

    Returns:
        As many numbers.
    """
    return np.array([numbers[text] for text in _texts(texts, where)], dtype).reshape(texts.shape)


def smallest_type(classes: int) -> "np.dtype[Any]":
    """Return the smallest type that holds the numbers of so many classes and that torch computes with."""
    return np.dtype("uint8" if classes <= 2**8 else "int16")


def _texts(values: Array, where: str) -> list[str]:
    if h5py.check_string_dtype(values.dtype) is None:
        raise DataError(f"{where} holds {values.dtype}; only texts become {CLASSES}")
    try:
        return [text.decode() if isinstance(text, bytes) else str(text) for text in values.reshape(-1).tolist()]
    except UnicodeDecodeError as cause:
        raise DataError(f"{where} holds texts that are not UTF-8: {cause}") from None
