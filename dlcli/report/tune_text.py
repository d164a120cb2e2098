"""How the keys, values and scores of a search are written for people."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from dlcli.report.figures import number

VAGUE = frozenset({"name", "value"})
"""Last parts of keys that say nothing without the part before."""


def short_names(keys: Iterable[str]) -> dict[str, str]:
    """Return for each dotted key the shortest end of it that is no end of another key.

    A bare place in a list, `name` and `value` say nothing alone and take the part before with them.
    """
    parts = {key: key.split(".") for key in keys}
    names = {}
    for key, own in parts.items():
        length = 2 if own[-1].isdigit() or own[-1] in VAGUE else 1
        others = [other for name, other in parts.items() if name != key]
        while length < len(own) and any(other[-length:] == own[-length:] for other in others):
            length += 1
        names[key] = ".".join(own[-length:])
    return names


def value_text(value: Any) -> str:
    """Return a value of a setting in a few characters: three digits, lists and tables as in a recipe."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "none"
    if isinstance(value, float):
        return _float_text(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(value_text, value))}]"
    if isinstance(value, Mapping):
        inner = ", ".join(f"{key}={value_text(item)}" for key, item in value.items() if key != "name")
        name = value.get("name", "")
        return f"{name}({inner})" if inner else str(name)
    return " ".join(str(value).split())


def _float_text(value: float) -> str:
    size, exact = abs(value), f"{value:g}"
    # What someone chose, such as 0.9999, is written as it is; what was drawn has too many digits for that.
    if float(exact) == value and len(exact) <= 7:
        return exact
    if not math.isfinite(value):
        return exact
    if size < 1e-3 or size >= 1e6:
        return f"{value:.1e}"
    return f"{value:.0f}" if size >= 1000 else f"{value:.3g}"


def setting_text(setting: Mapping[str, Any], names: Mapping[str, str], most: int = 32) -> str:
    """Return a setting in one line, such as `lr 0.003  dropout 0.2`, each value cut to `most` characters.

    Args:
        setting: The setting.
        names: Short name of each key, from `short_names`; a key that is not in it is written in full.
        most: Most characters of one value.

    Returns:
        The line.
    """
    return "  ".join(f"{names.get(key, key)} {shortened(value_text(value), most)}" for key, value in setting.items())


def score_text(score: float | None, spread: float | None = None) -> str:
    """Return a score with its spread, such as `0.0812 ± 0.0040`; a dash where there is none."""
    return number(score) if score is None or spread is None else f"{number(score)} ± {number(spread)}"


def epochs_text(epochs: float | None) -> str:
    """Return a number of epochs, with one decimal only where it is no whole number; a dash for None."""
    if epochs is None:
        return "–"
    return f"{epochs:.0f}" if float(epochs).is_integer() else f"{epochs:.1f}"


def shortened(text: str, most: int) -> str:
    """Return a text of at most `most` characters, its end replaced by `…` where it was longer."""
    return text if len(text) <= most else text[: max(most - 1, 0)] + "…"
