"""Run directories: made under a fresh number, described by `run.json`, found by path or name."""

import contextlib
import difflib
import os
import shutil
import socket
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from dlcli import atomic
from dlcli.errors import DataError, UsageError
from dlcli.untrusted import is_folder_name, read_json, reason

FORMAT = 1
RUNS = Path("runs")
LISTED = 8
"""How many names an error message lists at most."""
_TYPES: dict[str, type] = {
    "status command name task monitor direction strategy host error device": str,
    "data recipe population ensemble train val test versions packages": dict,
    "members trained_on notes given": list,
    "pid seed": int,
}
"""Types of entries of `run.json`, where they are there."""
T = TypeVar("T")


@dataclass(frozen=True)
class RunDirectory:
    """The directory of one run.

    Args:
        path: Where it is.
    """

    path: Path

    @property
    def recipe(self) -> Path:
        """The resolved recipe."""
        return self.path / "recipe.toml"

    @property
    def model(self) -> Path:
        """The model that the run amounts to."""
        return self.path / "model"

    @property
    def start(self) -> Path:
        """The weights that a run with `--from` started from."""
        return self.path / "start.safetensors"

    @property
    def folds(self) -> Path:
        """The rows of each fold, where there are folds."""
        return self.path / "folds.json"

    def model_of(self, member: str) -> Path:
        """Return where the model of a member is, or the run's own where the identity is empty."""
        return self.path / "members" / member / "model" if member else self.model

    def members(self) -> tuple[str, ...]:
        """Return the identities of its members, as `run.json` has them; none for a plain run.

        Members of an ensemble that other runs left are addressed there.
        """
        entries = self.read().get("members", ())
        return tuple(str(entry["identity"]) for entry in entries if entry.get("source") is None)

    def read(self) -> dict[str, Any]:
        """Return `run.json`.

        Returns:
            Its entries.

        Raises:
            DataError: It is missing or damaged, or of another format, or an entry is not what dlcli writes.
        """
        file = self.path / "run.json"
        try:
            found = read_json(file)
        except (OSError, ValueError) as error:
            raise DataError(f"{self.path} is no readable run: {file.name}: {reason(error)}") from None
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            raise DataError(f"{file} is of another format; this dlcli reads format {FORMAT}")
        _check_entries(found, file)
        return found

    def update(self, **entries: Any) -> None:
        """Change entries of `run.json`; it appears whole."""
        file = self.path / "run.json"
        found = self.read() if file.exists() else {"format": FORMAT}
        atomic.write_json(file, {**found, **entries})

    def remove(self) -> None:
        """Remove it, and the folder of its name where no other run is in it."""
        atomic.remove_folder(self.path)
        _remove_empty(self.path.parent)

    def sweep(self) -> None:
        """Remove what a process that was killed left half-written, for a run that nobody is at work on.

        Exports and evaluations, which others may be writing, are not looked at.
        """
        with atomic.storage_errors(self.path):
            for folder in [path for path in self.path.iterdir() if path.name not in ("exports", "evaluations")]:
                found = folder.rglob(f"{atomic.PARTIAL}*") if folder.is_dir() else ()
                for path in sorted([folder, *found], key=lambda path: len(path.parts)):
                    if path.name.startswith(atomic.PARTIAL) and path.exists():
                        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _check_entries(found: dict[str, Any], file: Path) -> None:
    """See that entries that others rely on are of the right type, and that no name of a member leads out of the run."""
    for names, kind in _TYPES.items():
        for name in names.split():
            if found.get(name) is not None and not isinstance(found[name], kind):
                raise DataError(f"{file} is damaged: {name} is {reason(repr(found[name]))}, expected a {kind.__name__}")
    if found.get("data") is not None and not isinstance(found["data"].get("fingerprint"), str):
        raise DataError(f"{file} is damaged: it does not say the fingerprint of the run's data")
    for entry in found.get("members") or ():
        identity = entry.get("identity") if isinstance(entry, dict) else entry
        if not is_folder_name(identity) or not isinstance(entry, dict):
            raise DataError(f"{file} is damaged: a member is called {reason(repr(identity))}, which names no folder")
        if not isinstance(entry.get("source"), str | None):
            raise DataError(f"{file} is damaged: {identity} is from {reason(repr(entry['source']))}, expected a run")


def make_run(name: str, fill: Callable[[RunDirectory], T], root: Path = RUNS) -> tuple[RunDirectory, T]:
    """Make a fresh run directory `<root>/<name>/<number>`; it appears whole, and no existing run is touched.

    Args:
        name: The recipe's name.
        fill: Writes what a run begins with, `run.json` and `recipe.toml`, into the directory that it is given.
        root: Where runs are.

    Returns:
        The new directory, and what `fill` returned.

    Raises:
        StorageError: It cannot be made.
    """
    folder = root / name
    with atomic.storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        # As deep as the run will be, so that paths in it, which are relative, stay right.
        draft = Path(tempfile.mkdtemp(prefix=atomic.PARTIAL, dir=folder))
        try:
            draft.chmod(folder.stat().st_mode & 0o777)
            filled = fill(RunDirectory(draft))
            while True:
                numbers = [int(path.name) for path in folder.iterdir() if path.name.isdecimal()]
                path = folder / f"{max(numbers, default=0) + 1:04d}"
                try:
                    os.rename(draft, path)
                except OSError:
                    if not path.exists():
                        raise
                    continue  # another process was quicker: the next number is free
                atomic.sync(folder)
                return RunDirectory(path), filled
        finally:
            shutil.rmtree(draft, ignore_errors=True)
            _remove_empty(folder)


def _remove_empty(folder: Path) -> None:
    """Remove a folder unless something is in it, which only removing it finds out for certain."""
    with contextlib.suppress(OSError):
        folder.rmdir()


def find_run(reference: str | Path, root: Path = RUNS) -> RunDirectory:
    """Find a run by its path, as `NAME/0001`, or by its name, which means its latest run.

    Args:
        reference: What the user typed.
        root: Where runs are.

    Returns:
        The run's directory.

    Raises:
        UsageError: There is no such run; names some that there are, similar names first.
    """
    for path in (Path(reference), root / reference):
        if (path / "run.json").exists():
            return RunDirectory(path)
    for path in (root / reference, Path(reference)):
        numbered = sorted(file.parent for file in path.glob("*/run.json") if file.parent.name.isdecimal())
        if numbered:
            return RunDirectory(max(numbered, key=lambda found: int(found.name)))
    names = sorted({str(file.parent.parent.relative_to(root)) for file in root.glob("*/*/run.json")})
    wanted = Path(reference).parent if Path(reference).name.isdecimal() else reference
    close = difflib.get_close_matches(str(wanted), names, n=LISTED)
    listed = list(dict.fromkeys([*close, *names]))[:LISTED]
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    there = f"; there are {', '.join(listed)}{more}" if names else f"; there are none under {root}/"
    raise UsageError(f"there is no run {str(reference)!r}{there}; give a path, NAME/0001 or NAME; see `dlcli runs`")


def owner() -> dict[str, Any]:
    """Return who is at work, for `run.json`."""
    return {"pid": os.getpid(), "host": socket.gethostname()}


def is_running(run: dict[str, Any]) -> bool:
    """Return whether another process is at work on a run, as far as this machine can tell."""
    if run.get("status") != "running" or run.get("host") != socket.gethostname():
        return False
    if run.get("pid") == os.getpid():
        return False  # a run of this very process ended without saying so
    if os.name == "nt":
        return False  # there, signal 0 would interrupt the process instead of asking for it
    try:
        os.kill(int(run["pid"]), 0)
    except (ProcessLookupError, KeyError, ValueError):
        return False
    except PermissionError:
        return True
    return True
