"""Arguments and options that several commands share, so that they are spelt and explained alike."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from dlcli.cli import completion
from dlcli.errors import UsageError

Recipe = Annotated[
    Path, typer.Argument(metavar="RECIPE", help="Recipe, a TOML file.", autocompletion=completion.recipes)
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Set a key of the recipe, such as train.epochs=30; may be repeated."
    ),
]
Device = Annotated[
    str | None,
    typer.Option(
        metavar="auto|cpu|cuda|mps",
        help="Where to compute; without it, the recipe says.",
        autocompletion=completion.devices,
    ),
]
Engine = Annotated[
    str | None,
    typer.Option(
        metavar="auto|loop|vectorized",
        help="How several networks train: one by one, or as one stack.",
        autocompletion=completion.engines,
    ),
]
Folds = Annotated[
    str | None,
    typer.Option(
        "--kfold", metavar="K", help="Cross-validate on K folds; without a number, tune.kfold of the recipe or 5."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a dataset that is there already.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]
Runs = Annotated[Path, typer.Option("--runs", metavar="FOLDER", help="Folder of run directories.")]
DataFile = Annotated[Path, typer.Argument(metavar="FILE", help="HDF5 file.")]

KFOLD, UNNUMBERED = "--kfold", "unnumbered"
"""The option whose value may be left out, and what then stands for it."""


def with_values(arguments: Sequence[str]) -> list[str]:
    """Give every `--kfold` without a number a value of its own, since a parser of options knows none without.

    Args:
        arguments: The words of a command line; after `--` nothing is an option.

    Returns:
        The words, in which a `--kfold` that no whole number follows is `--kfold=unnumbered`.
    """
    found: list[str] = []
    for word, following in zip(arguments, [*arguments[1:], ""], strict=False):
        if word == "--":
            return [*found, *arguments[len(found) :]]
        found.append(f"{KFOLD}={UNNUMBERED}" if word == KFOLD and not _is_number(following) else word)
    return found


def _is_number(word: str) -> bool:
    return word.removeprefix("-").isdecimal()


def fold_number(text: str | None) -> int | bool | None:
    """Return what was typed after `--kfold`.

    Args:
        text: As the command got it.

    Returns:
        The number; True where there was none; None where the option was not given.

    Raises:
        UsageError: It is no whole number.
    """
    if text is None or text == UNNUMBERED:
        return text is not None or None
    if not text.isdecimal():
        raise UsageError(f"--kfold takes a whole number of folds, 2 or more, or none at all; got {text!r}")
    return int(text)
