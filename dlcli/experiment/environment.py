"""Where a run happened: versions, git, time."""

import importlib.metadata
import platform
import subprocess
from datetime import UTC, datetime

PACKAGES = ("dlcli", "torch", "numpy", "h5py")


def now() -> str:
    """Return the time as ISO 8601, UTC, in whole seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def versions() -> dict[str, str]:
    """Return the versions of Python and of what numbers depend on."""
    return {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in PACKAGES}}


def git_state() -> dict[str, str | bool] | None:
    """Return commit and whether there are changes, of the current folder; None outside a checkout or without git."""
    try:
        commit = _git("rev-parse", "HEAD")
        changed = bool(_git("status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit, "changed": changed}


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=5, check=True)
    return done.stdout.strip()
