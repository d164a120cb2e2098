"""What is wrong with a recipe as a whole: checks across keys that need no data."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, TypeGuard

from dlcli.recipe.keys import value_at
from dlcli.recipe.labels import labels
from dlcli.recipe.problems import Finding, did_you_mean
from dlcli.recipe.switch_checks import check_switches
from dlcli.registry import Registry


def check(table: Mapping[str, Any], registry: Registry) -> list[Finding]:
    """Find contradictions between keys; values of a wrong type are passed by, they are told elsewhere.

    Args:
        table: The recipe as the user wrote it.
        registry: Knows the defaults of components' parameters.

    Returns:
        What is wrong, and where.
    """
    return [
        *_split(table),
        *_metrics(table),
        *_monitor(table, registry),
        *_warmup(table, registry),
        *_seeds_and_folds(table),
        *check_switches(table, registry),
        *_regularizers(table),
    ]


def _section(table: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = table.get(name)
    return section if isinstance(section, Mapping) else {}


def _number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _split(table: Mapping[str, Any]) -> Iterator[Finding]:
    split = _section(_section(table, "data"), "split")
    val, test = split.get("val"), split.get("test")
    if _number(val) and _number(test) and val < 1 and test < 1 and val + test >= 1:
        yield Finding(("data", "split"), f"val = {val} and test = {test} leave no rows to train on: lower one of them")


def _metric_names(table: Mapping[str, Any]) -> list[str | None]:
    metrics = _section(table, "train").get("metrics")
    return labels(metrics) if isinstance(metrics, list) else []


def _metrics(table: Mapping[str, Any]) -> Iterator[Finding]:
    seen: set[str] = set()
    for position, name in enumerate(_metric_names(table)):
        if name == "loss":
            yield Finding(("train", "metrics", position), "'loss' is what the loss is called: give it another id")
        if name in seen:
            yield Finding(
                ("train", "metrics", position),
                f'the metric {name!r} is there twice: give one of them an id of its own, such as id = "{name}_2"',
            )
        if name is not None:
            seen.add(name)


def _monitor(table: Mapping[str, Any], registry: Registry) -> Iterator[Finding]:
    monitor = value_at(table, ("train", "monitor"), registry)
    if not isinstance(monitor, str):
        return
    names = dict.fromkeys(name for name in _metric_names(table) if name is not None)
    allowed = ["train_loss", "val_loss", *(f"val_{name}" for name in names)]
    chosen_by_task = _section(table, "train").get("metrics") is None
    if monitor in allowed or (chosen_by_task and monitor.startswith("val_")):
        return
    unlisted = "" if names else ", or val_ and the name of a metric"
    message = f"nothing is called {monitor!r}; {did_you_mean(monitor, allowed)}expected {', '.join(allowed)}{unlisted}"
    yield Finding(("train", "monitor"), message)


def _warmup(table: Mapping[str, Any], registry: Registry) -> Iterator[Finding]:
    horizon = value_at(table, ("train", "horizon"), registry)
    key = "train.epochs" if horizon is None else "train.horizon"
    epochs = value_at(table, ("train", "epochs"), registry) if horizon is None else horizon
    warmup = value_at(table, ("train", "schedule", "warmup_epochs"), registry)
    if _number(epochs) and _number(warmup) and 0 < epochs <= warmup:
        yield Finding(
            ("train", "schedule", "warmup_epochs"),
            f"a warm-up of {warmup} epochs leaves nothing of {key} = {epochs}: shorten it or train longer",
        )


def _seeds_and_folds(table: Mapping[str, Any]) -> Iterator[Finding]:
    train = _section(table, "train")
    seeds, folds = train.get("seeds"), train.get("kfold")
    if _number(seeds) and _number(folds) and seeds > 1 and folds > 1:
        yield Finding(
            ("train", "kfold"),
            f"{folds} folds and {seeds} seeds do not go together: a fold has one seed, and seeds share one split; "
            "leave out train.seeds (--seeds 1) or train.kfold",
        )


def _regularizers(table: Mapping[str, Any]) -> Iterator[Finding]:
    regularizers = table.get("regularizers")
    if not isinstance(regularizers, list):
        return
    counts: Counter[str] = Counter()
    for position, label in enumerate(labels(regularizers)):
        if label is None:
            continue
        counts[label] += 1
        if counts[label] == 2:
            yield Finding(
                ("regularizers", position),
                f'{label!r} is there twice: give one of them an id of its own, such as id = "{label}_2"',
            )
