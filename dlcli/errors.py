"""Every error that dlcli raises for something a user can mend. Nothing here imports anything heavy.

A message says what is wrong, what was got, what is allowed and what to do next. The command line prints it
without a traceback and leaves with `exit_code`; from Python it is an ordinary exception.
"""

from collections.abc import Sequence
from dataclasses import dataclass


class DlcliError(Exception):
    """Base of all errors that are told to the user as they are, without a traceback."""

    exit_code = 1


class UsageError(DlcliError):
    """A command or function was called in a way that cannot work (exit code 2)."""

    exit_code = 2


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong in a recipe.

    Args:
        where: Place in the file or on the command line, such as `mlp.toml:12` or `--set train.epochs`.
        key: Dotted key path, such as `model.activation.slope`.
        message: What is wrong, what was got, what is allowed, what to do.
    """

    where: str
    key: str
    message: str

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        if self.where == f"--set {self.key}":
            return f"{place}{self.message}"
        return f"{place}{self.key}: {self.message}" if self.key else f"{place}{self.message}"


class RecipeError(UsageError):
    """A recipe is wrong; carries all its problems at once.

    Args:
        problems: Every problem found, in the order of the file.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        head = "1 problem in the recipe" if count == 1 else f"{count} problems in the recipe"
        super().__init__("\n".join([f"{head}:", *(f"  {problem}" for problem in self.problems)]))


class DataError(DlcliError):
    """A dataset is missing, damaged or does not fit the recipe (exit code 3)."""

    exit_code = 3


class PluginError(DlcliError):
    """A component or plugin is unknown, broken, ambiguous or not installed (exit code 4)."""

    exit_code = 4


class TrainingError(DlcliError):
    """Training failed: the loss diverged, or memory ran out (exit code 5)."""

    exit_code = 5


class ExportError(DlcliError):
    """An exported model does not say what its source says, or loses too much accuracy (exit code 5)."""

    exit_code = 5


class StorageError(DlcliError):
    """A file could not be written: full disk, read-only folder (exit code 5)."""

    exit_code = 5


class Interrupted(DlcliError):
    """The user stopped the run; its state was saved (exit code 130)."""

    exit_code = 130
