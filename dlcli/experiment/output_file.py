"""Where a command leaves its file: what is refused before anything is read or computed."""

import os
from pathlib import Path

from dlcli.errors import UsageError

HDF5 = (".h5", ".hdf5")


def check_output(target: Path, *read: Path, option: str = "-o") -> None:
    """Refuse a path at which no file can be left, or where one would destroy what is read.

    Args:
        target: Where the file is to be.
        *read: What is read.
        option: What named it.

    Raises:
        UsageError: It is a folder, in none, or what is read.
    """
    folder = target.parent
    if target.is_dir():
        raise UsageError(f"{option} {target} is a folder; name a file in it")
    if not folder.is_dir():
        problem = f"{folder} is a file" if folder.exists() else f"there is no folder {folder}"
        raise UsageError(f"{option} {target}: {problem}; make the folder first, or name another")
    for other in read:
        if target.exists() and other.exists() and os.path.samefile(target, other):
            raise UsageError(f"{option} {target} is what is read, so it is not written over; name another file")


def check_picture_output(target: Path, option: str) -> None:
    """Refuse a path at which no SVG picture can be left; one that is there is replaced.

    Args:
        target: Where it is to be.
        option: What named it.

    Raises:
        UsageError: It does not end with `.svg`, is a folder or in none.
    """
    if target.suffix.lower() != ".svg":
        raise UsageError(f"pictures are drawn as SVG, so their names end with .svg; got {option} {target}")
    check_output(target, option=option)


def check_dataset_output(target: Path, *read: Path, overwrite: bool = False) -> None:
    """Refuse what `check_output` refuses, a file that does not end as a dataset does, and one that is there already.

    Args:
        target: Where the dataset is to be.
        *read: What is read.
        overwrite: Whether a file that is there may be replaced.

    Raises:
        UsageError: One of these.
    """
    if target.suffix.lower() not in HDF5:
        raise UsageError(f"a dataset ends with {' or '.join(HDF5)}; got -o {target}")
    check_output(target, *read)
    refuse_existing(target, overwrite=overwrite)


def refuse_existing(target: Path, *, overwrite: bool) -> None:
    """Refuse a file that is there already, by a `UsageError`, unless it may be replaced."""
    if target.exists() and not overwrite:
        raise UsageError(f"{target} is there already: give another file with -o, or --overwrite to replace it")
