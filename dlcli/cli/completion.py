"""What the shell offers when Tab is pressed. Must be quick: no torch, no h5py, no reading of datasets."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

DEPTH = 3
"""How many folders deep recipes are looked for."""
NOT_RECIPES = {"pyproject.toml"}
SKIPPED = {"runs", "node_modules", "__pycache__", "venv"}


def recipes(incomplete: str) -> list[str]:
    """Return the TOML files whose path begins with what is typed, nearest folders first."""
    start = incomplete[: incomplete.rfind("/") + 1]
    found = [f"{start}{path}" for path in _toml_files(Path(start or "."), DEPTH)]
    return _beginning(found, incomplete)


def _toml_files(folder: Path, depth: int) -> Iterator[str]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        # A folder that cannot be read has nothing to offer, and a message would garble the prompt.
        return
    yield from (e.name for e in entries if e.name.endswith(".toml") and e.name not in NOT_RECIPES and e.is_file())
    for entry in entries:
        if depth > 1 and entry.is_dir() and entry.name not in SKIPPED and not entry.name.startswith("."):
            yield from (f"{entry.name}/{path}" for path in _toml_files(Path(entry.path), depth - 1))


def run_names(incomplete: str) -> list[str]:
    """Return names, which stand for their latest run, and then run directories under `runs`."""
    directories = sorted(Path("runs").glob("*/[0-9]*"))
    names = sorted({directory.parent.name for directory in directories})
    return _beginning([*names, *map(str, directories)], incomplete)


def recipes_and_runs(incomplete: str) -> list[str]:
    """Return recipes and runs."""
    return [*recipes(incomplete), *run_names(incomplete)]


def strategies(incomplete: str) -> list[str]:
    """Return the names of ensembling strategies."""
    from dlcli.plugins import load_plugins

    return _beginning(sorted({entry.name for entry in load_plugins().registry.entries("ensemble")}), incomplete)


def exporters(incomplete: str) -> list[str]:
    """Return the names of exporters."""
    from dlcli.plugins import load_plugins

    return _beginning(sorted({entry.name for entry in load_plugins().registry.entries("exporter")}), incomplete)


def component_names(incomplete: str) -> list[tuple[str, str]]:
    """Return the names of all components, each with its kind."""
    from dlcli.plugins import load_plugins

    kinds: dict[str, list[str]] = {}
    for entry in load_plugins().registry.entries():
        kinds.setdefault(entry.name, []).append(entry.kind)
    return [(name, ", ".join(kinds[name])) for name in sorted(kinds) if name.startswith(incomplete)]


def component_kinds(incomplete: str) -> list[str]:
    """Return the kinds of components."""
    from dlcli.contracts.kinds import KINDS

    return _beginning(KINDS, incomplete)


def devices(incomplete: str) -> list[str]:
    """Return the devices that can be asked for."""
    return _beginning(("auto", "cpu", "cuda", "mps"), incomplete)


def engines(incomplete: str) -> list[str]:
    """Return the engines that can be asked for."""
    return _beginning(("auto", "loop", "vectorized"), incomplete)


def splits(incomplete: str) -> list[str]:
    """Return the splits that a dataset may have."""
    return _beginning(("train", "val", "test", "all", "fold"), incomplete)


def splits_of_files(incomplete: str) -> list[str]:
    """Return the splits that any file may have."""
    return _beginning(("train", "val", "test", "all"), incomplete)


def sort_keys(incomplete: str) -> list[str]:
    """Return what runs may be sorted by."""
    from dlcli.experiment.runs import SORTS

    return _beginning(SORTS, incomplete)


def statuses(incomplete: str) -> list[str]:
    """Return what may have become of a run."""
    from dlcli.experiment.runs import STATUSES

    return _beginning(STATUSES, incomplete)


def _beginning(words: Iterable[str], incomplete: str) -> list[str]:
    return [word for word in words if word.startswith(incomplete)]
