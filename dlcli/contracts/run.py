"""What observers are told about a run."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class RunInfo:
    """A run that has started.

    Args:
        path: Its directory.
        command: The verb, such as `train`.
        recipe: The resolved recipe as a JSON-ready table.
    """

    path: Path
    command: str
    recipe: Mapping[str, Any]
