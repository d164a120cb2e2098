"""Whether a dataset fits in memory, told before it is read."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from dlcli.data.finding import Finding, error
from dlcli.data.stored import StoredField

SHARE = 0.5
"""Of the memory that is available, what a dataset may take: preprocessed copies and training take more."""
_MACHINE = Path("/proc/meminfo")
_GROUP = Path("/sys/fs/cgroup")


def available_memory() -> int | None:
    """Return how many bytes may still be used, on Linux within the limit of the process's control group.

    Returns:
        Bytes; all of the machine's memory where no more is known; None where not even that is.
    """
    if sys.platform.startswith("linux"):
        lines = dict(line.split(":", 1) for line in _MACHINE.read_text().splitlines())
        free = int(lines["MemAvailable"].split()[0]) * 1024
        limit, used = _GROUP / "memory.max", _GROUP / "memory.current"
        if limit.exists() and used.exists() and (most := limit.read_text().strip()) != "max":
            # The page cache counts as used but is given back when it is needed.
            figures = dict(line.split() for line in (_GROUP / "memory.stat").read_text().splitlines())
            free = min(free, int(most) - int(used.read_text()) + int(figures.get("inactive_file", 0)))
        return max(0, free)
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None


def needed_memory(fields: Sequence[StoredField]) -> int:
    """Return how many bytes fields take once they are read."""
    total = 0
    for field in fields:
        count = field.rows
        for size in field.row_shape:
            count *= size
        total += count * field.dtype.itemsize
    return total


def stored_fields(fields: Sequence[StoredField], budget: int | None) -> list[StoredField]:
    """Return the inputs and conditions that stay on disk so that the rest fits into a budget: the largest first.

    Args:
        fields: All fields.
        budget: Bytes; None for a share of what is available now, and no limit where that is not known.

    Returns:
        The fields; none where all fit.
    """
    if budget is None:
        available = available_memory()
        budget = None if available is None else int(SHARE * available)
    left = needed_memory(fields)
    found: list[StoredField] = []
    large = sorted((f for f in fields if f.role in ("input", "condition")), key=lambda f: -needed_memory([f]))
    for field in large:
        if budget is None or left <= budget:
            break
        found.append(field)
        left -= needed_memory([field])
    return found


def too_large(fields: Sequence[StoredField]) -> list[Finding]:
    """Return an error where the fields do not fit in memory."""
    needed, available = needed_memory(fields), available_memory()
    if available is None or needed <= available:
        return []
    return [
        error(
            "",
            f"it needs {needed} bytes ({needed / 2**30:.1f} GiB) of memory, but {available} bytes "
            f"({available / 2**30:.1f} GiB) are available; close other programs, use fewer rows, or store smaller "
            "types such as uint8 for images",
        )
    ]
