"""What every command prints: one JSON object or a picture of it on stdout, errors and warnings on stderr."""

import json
import math
import os
import sys
import traceback
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dlcli.errors import DlcliError, RecipeError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType


def print_json(value: Mapping[str, Any]) -> None:
    """Print one JSON object on stdout; NaN and infinite figures, which JSON does not know, become null."""
    print(json.dumps(_without_nan(value), indent=2))


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def stdout_console() -> "Console":
    """Return the console of results; off a terminal it is wide enough to cut nothing."""
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = 160
    return console


def stderr_console() -> "Console":
    """Return the console of progress where stdout must stay one JSON object."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def show(renderable: "RenderableType") -> None:
    """Print a picture of a result on stdout; paths and commands that are too long are left to the terminal to fold."""
    stdout_console().print(renderable, crop=False)


def warn(message: str) -> None:
    """Print a warning on stderr."""
    _say("warning", "yellow", message)


def tell_error(error: DlcliError, *, as_json: bool, debug: bool) -> None:
    """Tell an error that the user can mend.

    Args:
        error: The error.
        as_json: Whether stdout, too, gets it, as `{"error": {"type", "message", "problems"}}`.
        debug: Whether to show the traceback.
    """
    if debug:
        traceback.print_exception(error)
    _say("error", "bold red", str(error))
    if as_json:
        problems = error.problems if isinstance(error, RecipeError) else ()
        _print_json_error(type(error).__name__, str(error), [vars(problem) for problem in problems])


def tell_fault(error: Exception, *, as_json: bool, debug: bool) -> None:
    """Tell an error that is no fault of the user's.

    Args:
        error: The error.
        as_json: Whether stdout, too, gets it.
        debug: Whether to show the traceback.
    """
    if debug:
        traceback.print_exception(error)
    what = f"{type(error).__name__}: {error}".rstrip(": ")
    hint = "" if debug else "; the same command with --debug shows where"
    _say("error", "bold red", f"this is a fault of dlcli, not of your recipe or data: {what}{hint}")
    if as_json:
        _print_json_error("Fault", what, [])


def _print_json_error(kind: str, message: str, problems: list[dict[str, Any]]) -> None:
    print_json({"error": {"type": kind, "message": message, "problems": problems}})


def _say(label: str, style: str, message: str) -> None:
    from rich.text import Text

    sys.stdout.flush()
    stderr_console().print(Text.assemble((f"{label}: ", style), message), soft_wrap=True)
