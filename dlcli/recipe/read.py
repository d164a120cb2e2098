"""Reads a recipe's file, or a mapping from Python, into a plain table of what TOML can hold."""

import re
import tomllib
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from dlcli.contracts.component import Component
from dlcli.errors import Problem, RecipeError
from dlcli.recipe.lines import KeyPath, line_numbers
from dlcli.recipe.problems import did_you_mean
from dlcli.registry import Registry
from dlcli.untrusted import reason

DEFAULT = Path("recipe.toml")
HDF5_START = b"\x89HDF"


def read_toml(path: Path) -> tuple[dict[str, Any], dict[KeyPath, int]]:
    """Read a TOML file.

    Args:
        path: The file.

    Returns:
        Its contents, and the line on which each of its keys starts.

    Raises:
        RecipeError: There is no such file, or it is no TOML.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise _unreadable(path, _missing(path)) from None
    except IsADirectoryError:
        inside = f"; did you mean {path / DEFAULT}?" if (path / DEFAULT).is_file() else ""
        raise _unreadable(path, f"this is a folder; a recipe is a TOML file{inside}") from None
    except OSError as error:
        raise _unreadable(path, f"the recipe cannot be read: {error.strerror}") from error
    if content.startswith(HDF5_START):
        raise _unreadable(path, f"this is an HDF5 file, so data; `dlcli init {path}` writes a recipe for it")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise _unreadable(
            f"{path}:{line}", f"the recipe is not UTF-8 text: byte 0x{content[error.start]:02x}; save it as UTF-8"
        ) from None
    try:
        return tomllib.loads(text), line_numbers(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"at line (\d+)", str(error))
        place = f"{path}:{found[1] if found else text.count(chr(10)) + 1}"
        raise _unreadable(place, f"the recipe is not valid TOML: {_syntax(str(error), text)}") from None
    except RecursionError:
        raise _unreadable(path, "the recipe is nested too deeply to be one") from None
    except ValueError as error:  # a number of thousands of digits
        raise _unreadable(path, f"the recipe is not valid TOML: {reason(error)}") from None


def _unreadable(where: Path | str, message: str) -> RecipeError:
    return RecipeError([Problem(str(where), "", message)])


def _missing(path: Path) -> str:
    if path == DEFAULT:
        return f"there is no {DEFAULT} in {Path.cwd()}; `dlcli init DATA.h5` writes one for a dataset, or name another"
    siblings = [sibling.name for sibling in path.parent.glob("*.toml")]
    return f"there is no such recipe; {did_you_mean(path.name, siblings)}`dlcli init DATA.h5` writes one for a dataset"


def _syntax(message: str, text: str) -> str:
    """Add the line that the parser stumbled over."""
    place = message.partition("(at line ")[2]
    if not place:
        return message
    line = text.splitlines()[int(place.partition(",")[0]) - 1].strip()
    return f"{message}: {line}" if line else message


def plain(value: Any, registry: Registry) -> Any:
    """Return a value from Python as TOML would give it: components as tables, paths and enums as text.

    Args:
        value: A table, list, component or plain value.
        registry: Knows the components' names.

    Returns:
        The same of dicts, lists and plain values; a copy.
    """
    if isinstance(value, Component):
        return registry.dump(value)
    if isinstance(value, Mapping):
        table = {key: plain(item, registry) for key, item in value.items()}
        if isinstance(value.get("architecture"), Component):
            # An architecture's parameters stand beside it.
            parameters = table.pop("architecture")
            return {"architecture": parameters.pop("name"), **parameters, **table}
        return table
    if isinstance(value, list | tuple):
        return [plain(item, registry) for item in value]
    if isinstance(value, Path):
        return str(value)
    return value.value if isinstance(value, Enum) else value
