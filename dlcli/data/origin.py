"""Where a dataset came from: which importer made it, with which parameters."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py


def read_origin(path: Path) -> Mapping[str, Any]:
    """Return what `dlcli data import` wrote down about a dataset's source.

    Args:
        path: The HDF5 file.

    Returns:
        `importer`, its name, and `parameters`, a table; empty where another program made the file.
    """
    with h5py.File(path, "r", locking="best-effort") as file:
        importer, parameters = file.attrs.get("importer"), file.attrs.get("parameters")
    if not isinstance(importer, str) or not isinstance(parameters, str):
        return {}
    try:
        table = json.loads(parameters)
    except (ValueError, RecursionError):
        return {}  # an attribute of that name, but not ours
    return {"importer": importer, "parameters": table} if isinstance(table, dict) else {}


def is_origin(found: Any) -> bool:
    """Return whether something, which anybody may have written, is laid out as what `read_origin` returns."""
    if found == {}:
        return True
    if not isinstance(found, dict) or not isinstance(found.get("importer"), str):
        return False
    # `name` would choose another importer than the one that is named.
    return isinstance(found.get("parameters"), dict) and "name" not in found["parameters"]


def origin_of_run(facts: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what `run.json` says of how a run's data was imported; empty where that is not what dlcli writes."""
    found = facts.get("data", {}).get("imported", {})
    return found if is_origin(found) else {}
