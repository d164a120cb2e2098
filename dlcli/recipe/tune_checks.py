"""What is wrong with `[tune.space]`: its distributions, its conditions, and values that the recipe would refuse."""

from collections.abc import Iterator, Mapping
from typing import Any, TypeGuard

from dlcli.contracts.search import Condition, Value
from dlcli.recipe.keys import value_at
from dlcli.recipe.overrides import key_path
from dlcli.recipe.problems import Finding, did_you_mean
from dlcli.recipe.space_values import refusals
from dlcli.recipe.tune_section import SpaceEntry
from dlcli.recipe.wording import shown
from dlcli.registry import Registry

KINDS = tuple(key for key in SpaceEntry.model_fields if key != "when")
RANGES = ("uniform", "log_uniform", "int", "log_int")
FIXED = {
    ("name",): "it names the run",
    ("seed",): "the best seed is luck, not a setting: train.seeds trains several",
    ("data", "path"): "scores on other data cannot be compared",
    ("data", "fields"): "scores on other data cannot be compared",
    ("data", "split"): "scores on other rows cannot be compared",
    ("data", "task"): "scores of another task cannot be compared",
    ("data", "fingerprint"): "it is a digest of the data",
    ("train", "device"): "it changes no result",
    ("train", "engine"): "it changes no result",
    ("train", "compile"): "it changes no result",
    ("train", "activation_checkpointing"): "it changes no result",
    ("train", "deterministic"): "it changes no result",
    ("train", "seeds"): "a trial trains one network a fold",
    ("train", "kfold"): "all trials need the same folds: set tune.kfold",
    ("train", "metrics"): "they change no training",
    ("train", "monitor"): "it is what trials are compared by",
    ("train", "start_from"): "all trials start alike",
    ("train", "checkpoint_seconds"): "it changes no result",
    ("train", "keep_checkpoints"): "it changes no result",
    ("tune",): "it says how to search",
    ("ensemble",): "a trial is one network",
    ("log",): "it changes no result",
}
"""Keys that may not be tuned, with all below them, and why."""
PLACE = ("tune", "space")


def check_space(table: Mapping[str, Any], registry: Registry) -> list[Finding]:
    """Find what is wrong with the space of a recipe; entries of a wrong type are passed by, they are told elsewhere.

    Args:
        table: The recipe as the user wrote it.
        registry: The components that it may name.

    Returns:
        What is wrong, and where.
    """
    tune = table.get("tune")
    space = tune.get("space") if isinstance(tune, Mapping) else None
    if not isinstance(space, Mapping):
        return []
    entries = {key: entry for key, entry in space.items() if isinstance(entry, Mapping)}
    findings: list[Finding] = []
    sound: dict[str, Mapping[str, Any]] = {}
    paths: dict[tuple[str, ...] | None, str] = {}
    for key, entry in entries.items():
        found = [
            *_twice(key, paths),
            *_key(key, table, registry),
            *_distribution(key, entry),
            *_condition(key, entries),
        ]
        findings.extend(found)
        if not found:
            sound[key] = entry
    return [*findings, *refusals(table, _usable(sound), registry)]


def _twice(key: str, paths: dict[tuple[str, ...] | None, str]) -> Iterator[Finding]:
    """Say so where a key is there already, spelt otherwise."""
    earlier = paths.setdefault(key_path(key), key)
    if earlier != key:
        yield Finding((*PLACE, key), f"the same key as {shown(earlier)}: remove one of them")


def _key(key: str, table: Mapping[str, Any], registry: Registry) -> Iterator[Finding]:
    """Say so where a key is none, or may not be tuned."""
    path = key_path(key)
    if path is None:
        yield Finding((*PLACE, key), f'{shown(key)} is no dotted key, such as "train.optimizer.lr"')
        return
    reason = next((FIXED[path[:length]] for length in range(1, len(path) + 1) if path[:length] in FIXED), None)
    if reason is not None:
        yield Finding((*PLACE, key), f"{key} cannot be tuned: {reason}")
    monitor = value_at(table, ("train", "monitor"), registry)
    if path[:2] == ("train", "loss") and monitor in ("val_loss", "train_loss"):
        yield Finding(
            (*PLACE, key),
            f"{key} cannot be tuned while trials are compared by {monitor}, which it measures otherwise: "
            "set train.monitor to a metric, such as val_accuracy",
        )


def _numbers(value: Any) -> TypeGuard[list[float]]:
    """Return whether this is a pair of numbers; what is not is told where types are."""
    return (
        isinstance(value, list | tuple)
        and len(value) == 2
        and all(isinstance(item, int | float) and not isinstance(item, bool) for item in value)
    )


def _distribution(key: str, entry: Mapping[str, Any]) -> Iterator[Finding]:
    """Say so where an entry is not exactly one distribution, or its numbers make no sense."""
    kinds = [kind for kind in KINDS if kind in entry]
    nested = [name for name, item in entry.items() if isinstance(item, Mapping) and name not in ("when", *KINDS)]
    if nested:
        yield Finding((*PLACE, key), f'put the whole dotted key in quotes: "{key}.{nested[0]}…" = {{ … }}')
    elif not kinds and not set(entry) - {"when"}:
        yield Finding((*PLACE, key), f"where do its values come from? expected one of {', '.join(KINDS)}")
    elif len(kinds) > 1:
        yield Finding((*PLACE, key), f"expected one distribution, got {' and '.join(kinds)}: leave one")
    for kind in kinds:
        yield from _range((*PLACE, key, kind), kind, entry[kind])


def _range(path: tuple[str, ...], kind: str, pair: Any) -> Iterator[Finding]:
    if not _numbers(pair):
        return
    first, second = pair
    if kind == "normal" and second <= 0:
        yield Finding(path, f"the standard deviation must be > 0, got {shown(second)}: write [mean, deviation]")
    if kind in RANGES and first >= second:
        yield Finding(path, f"the lowest value must be below the highest, got {shown(pair)}")
    if kind in ("log_uniform", "log_int") and first <= 0:
        least = "1" if kind == "log_int" else "a small number, such as 1e-6"
        yield Finding(path, f"a logarithmic range must be > 0 throughout, got {shown(pair)}: start at {least}")


def _condition(key: str, entries: Mapping[str, Mapping[str, Any]]) -> Iterator[Finding]:
    """Say so where a condition can never hold, or leads back to its own key."""
    when = entries[key].get("when")
    if not isinstance(when, Mapping):
        return
    path = (*PLACE, key, "when")
    if len(when) != 1:
        yield Finding(
            path, f'expected one other key, such as {{ "train.optimizer" = ["sgd"] }}, got {shown(dict(when))}'
        )
        return
    ((other, wanted),) = when.items()
    if other not in entries:
        near = did_you_mean(other, entries)
        yield Finding(path, f"{other} is not in the space; {near}a condition names another key of it, a choice")
        return
    choice = entries[other].get("choice")
    if not isinstance(choice, list | tuple):
        yield Finding(path, f"{other} is not a choice: a condition needs one with a few values")
        return
    values = wanted if isinstance(wanted, list | tuple) else ()
    for value in values:
        if not any(Condition(other, (value,)).met_by(one) for one in choice):
            there = ", ".join(shown(_named(one)) for one in choice)
            yield Finding((*path, other), f"{other} is never {shown(value)}; its values are {there}")
    if isinstance(wanted, list | tuple) and not wanted:
        yield Finding((*path, other), "expected at least one value")
    circle = _circle(key, entries)
    if circle:
        yield Finding(path, f"conditions go round in a circle: {' → '.join(circle)}")


def _named(value: Value) -> Value:
    return value["name"] if isinstance(value, Mapping) and "name" in value else value


def _circle(key: str, entries: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the way from a key back to itself by conditions, empty where there is none."""
    way = [key]
    while True:
        when = entries.get(way[-1], {}).get("when")
        if not isinstance(when, Mapping) or len(when) != 1:
            return []
        (following,) = when
        if following in way:
            return [*way, following] if following == key else []
        way.append(following)


def _usable(entries: dict[str, Mapping[str, Any]]) -> dict[str, SpaceEntry]:
    """Return the entries that are read without a fault, and whose conditions are on such."""
    usable: dict[str, SpaceEntry] = {}
    for key, entry in entries.items():
        try:
            usable[key] = SpaceEntry.model_validate(entry)
        except ValueError:
            continue  # told where types are
    while True:
        lost = [key for key, entry in usable.items() if entry.when and not set(entry.when) <= usable.keys()]
        if not lost:
            return usable
        for key in lost:
            del usable[key]
