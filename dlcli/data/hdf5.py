"""Opening HDF5 files and following links inside them, never out of them."""

import difflib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from dlcli.errors import DataError
from dlcli.untrusted import reason

SHOWN_NAMES = 12
"""Of a file's datasets, in an error."""


@contextmanager
def open_hdf5(path: Path) -> Iterator[h5py.File]:
    """Open a file read-only, for as long as a `with` block lasts.

    Args:
        path: The file.

    Yields:
        h5py.File: The open file.

    Raises:
        DataError: It is missing, no file, not HDF5, truncated, damaged or not readable.
    """
    try:
        there = path.exists()
    except OSError as cause:  # a name that is too long, a circle of links
        raise DataError(f"{reason(str(path))} cannot be looked for: {cause.strerror}; check data.path") from None
    if not there:
        beside = [other.name for other in path.parent.glob("*.h5")] if path.parent.is_dir() else []
        close = difflib.get_close_matches(path.name, beside, n=1)
        hint = f"did you mean {close[0]}?" if close else "check data.path"
        raise DataError(f"there is no file {path}; {hint}")
    if path.is_dir():
        raise DataError(f"{path} is a folder; expected one HDF5 file")
    if not path.is_file():
        raise DataError(f"{path} is no regular file; expected one HDF5 file")
    try:
        file = h5py.File(path, "r", locking="best-effort")
    except PermissionError as cause:
        raise DataError(f"{path} may not be read: {cause.strerror}; change its permissions") from cause
    except OSError as cause:
        if "truncated file" in str(cause):
            raise DataError(
                f"{path} is truncated: its end is missing ({path.stat().st_size} bytes are there); "
                "copy or download it again"
            ) from cause
        if not h5py.is_hdf5(path):
            raise DataError(
                f"{path} is not an HDF5 file ({path.stat().st_size} bytes, no HDF5 signature); "
                "convert it first with dlcli data import"
            ) from cause
        raise DataError(f"{path} cannot be opened: {cause}; copy or download it again") from cause
    with file:
        try:
            yield file
        except (OSError, RuntimeError) as cause:  # h5py tells damage as either
            raise DataError(
                f"{path} cannot be read: {cause}; the file is damaged, or was compressed with a filter that is not "
                "installed: copy it again, or rewrite it with gzip"
            ) from cause


def find(file: h5py.File, path: str, seen: tuple[str, ...] = ()) -> h5py.Group | h5py.Dataset | None:
    """Return what lies at a path, following links only inside the file.

    Args:
        file: The open file.
        path: Path from the root.
        seen: Soft links that were followed to get here.

    Returns:
        The group or dataset; None where there is nothing, also at the end of a dangling soft link.

    Raises:
        DataError: The path leads out of the file, or in a circle.
    """
    names = [name for name in path.split("/") if name not in ("", ".")]
    here: h5py.Group | h5py.Dataset = file["/"]
    for position, name in enumerate(names):
        if not isinstance(here, h5py.Group) or not here.id.links.exists(name.encode()):
            return None
        kind = here.id.links.get_info(name.encode()).type
        place = "/".join(names[: position + 1])
        if kind == h5py.h5l.TYPE_EXTERNAL:
            target, inside = here.id.links.get_val(name.encode())
            raise DataError(
                f"{place} is an external link to {target.decode()}:{inside.decode()}; a dataset must be whole in one "
                "file: copy that data into it"
            )
        if kind == h5py.h5l.TYPE_SOFT:
            if place in seen:
                raise DataError(f"the soft links {' → '.join([*seen, place])} go in a circle; remove them")
            target = here.id.links.get_val(name.encode()).decode()
            base = "" if target.startswith("/") else "/".join(names[:position])
            rest = "/".join(names[position + 1 :])
            return find(file, f"{base}/{target}/{rest}", (*seen, place))
        here = here[name]
    return here


def way_out(file: h5py.File, dataset: h5py.Dataset, seen: tuple[str, ...] = ()) -> str | None:
    """Return where a dataset's values are read from outside its file; None where all are inside.

    Args:
        file: The open file.
        dataset: A dataset in it.
        seen: Virtual datasets that were followed to get here.

    Returns:
        What leads out, in words.

    Raises:
        DataError: A virtual dataset's source leads out of the file by a link.
    """
    if dataset.external:
        return f"its values are stored in another file, {dataset.external[0][0]}"
    if not dataset.is_virtual:
        return None
    if dataset.name in seen:
        return f"it is a virtual dataset made of itself ({' → '.join([*seen, dataset.name])})"
    for source in dataset.virtual_sources():
        if source.file_name != ".":
            return f"it is a virtual dataset made of another file, {source.file_name}:{source.dset_name}"
        inside = find(file, source.dset_name)
        if not isinstance(inside, h5py.Dataset):
            return f"it is a virtual dataset, and its source {source.dset_name} is not in the file"
        if found := way_out(file, inside, (*seen, dataset.name)):
            return found
    return None


def licence_of(file: h5py.File) -> str:
    """Return the licence that a file states in its attribute `licence` or `license`; empty where it does not."""
    said = next((file.attrs[key] for key in ("licence", "license") if key in file.attrs), "")
    return said.decode() if isinstance(said, bytes) else str(said)


def dataset_names(group: h5py.Group) -> list[str]:
    """Return the paths of all datasets below a group, links left out."""
    found: list[str] = []

    def visit(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset):
            found.append(name)

    group.visititems(visit)
    return found


def hdf5_dataset(file: h5py.File, path: str) -> h5py.Dataset:
    """Return a dataset of somebody else's file, of numbers or texts that are in the file.

    Args:
        file: The open file, as `open_hdf5` gives it.
        path: The dataset's path.

    Returns:
        The dataset.

    Raises:
        DataError: There is none, it leads out of the file or in a circle, or it holds what no array of numbers or texts
            can.
    """
    found = find(file, path)
    if not isinstance(found, h5py.Dataset):
        names = dataset_names(file)
        listed = ", ".join(names[:SHOWN_NAMES]) + (", …" if len(names) > SHOWN_NAMES else "")
        raise DataError(f"{file.filename} has no dataset {path}; there are {listed or 'none'}")
    if out := way_out(file, found):
        raise DataError(f"{file.filename}: {path}: {out}; a dataset must be whole in one file: copy that data into it")
    if h5py.check_string_dtype(found.dtype) is None and found.dtype.kind not in "biuf":
        raise DataError(
            f"{file.filename}: {path} holds {found.dtype}, expected numbers or texts; write it anew as these"
        )
    return found
