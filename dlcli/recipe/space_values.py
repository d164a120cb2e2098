"""Which values of `[tune.space]` the recipe would refuse: each end of a range and each choice is tried."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dlcli.contracts.search import Choice, Distribution, Normal, Space, Uniform, Value
from dlcli.errors import RecipeError
from dlcli.recipe.keys import Spot, alternatives, spot_at
from dlcli.recipe.labels import key_text
from dlcli.recipe.lines import KeyPath
from dlcli.recipe.overrides import key_path
from dlcli.recipe.problems import Finding
from dlcli.recipe.setting import ARCHITECTURE, apply_setting, judge
from dlcli.recipe.space import read_entry, required
from dlcli.recipe.tune_section import SpaceEntry
from dlcli.recipe.wording import expected, shown
from dlcli.registry import Registry

Setting = dict[str, Value]


def refusals(table: Mapping[str, Any], entries: Mapping[str, SpaceEntry], registry: Registry) -> list[Finding]:
    """Find the values that the recipe's own check refuses.

    A key is tried with every value of the choices that decide whether there is such a key: those of what it is a
    parameter of, such as `train.optimizer` for `train.optimizer.momentum`, and that of its condition.

    Args:
        table: The recipe as the user wrote it.
        entries: The entries of its space that are sound in themselves.
        registry: The components that it may name.

    Returns:
        What is refused, at the place of the key in the space.
    """
    space = {key: read_entry(entry) for key, entry in entries.items()}
    trial = _Trial(table, registry)
    findings: list[Finding] = []
    for key, entry in entries.items():
        kind = next(kind for kind in SpaceEntry.model_fields if getattr(entry, kind) is not None)
        companies = list(_companies(space, key))
        met: dict[str, list[Company]] = {}
        for company in companies:
            for message in dict.fromkeys(_of_key(trial, space[key], key, kind, company.setting)):
                met.setdefault(message, []).append(company)
        for message, where in met.items():
            text = message + ("" if len(where) == len(companies) else _where(where, companies))
            findings.append(Finding(("tune", "space", key, kind), text))
    return findings


@dataclass(frozen=True)
class Company:
    """Values of other keys with which a key is tried.

    Args:
        key: The choice that decides whether there is such a key; empty where none does.
        value: Its value.
        setting: It and what it needs itself.
    """

    key: str
    value: Value
    setting: Setting


def _where(bad: Sequence[Company], all_of_them: Sequence[Company]) -> str:
    """Say with which values of a choice something is wrong, and how to tune a key with the others alone."""
    key = bad[0].key
    wrong = [company.value for company in bad if company.key == key]
    good = [company.value for company in all_of_them if company.key == key and company.value not in wrong]
    text = f", with {key} = {' or '.join(map(shown, wrong))}"
    names = [value["name"] if isinstance(value, Mapping) and "name" in value else value for value in good]
    return f'{text}; to tune it with others alone, add when = {{ "{key}" = {shown(names)} }}' if good else text


class _Trial:
    """Tries settings on a recipe; what is wrong with it anyhow is told elsewhere."""

    def __init__(self, table: Mapping[str, Any], registry: Registry) -> None:
        self.table, self.registry = table, registry
        self._known: dict[str, list[Finding]] = {}

    def findings(self, setting: Setting) -> list[Finding]:
        """Return what is wrong with the recipe of a setting."""
        text = repr(setting)
        if text not in self._known:
            changed, _ = apply_setting(self.table, setting, self.registry)
            self._known[text] = judge(changed, self.registry)[1]
        return self._known[text]

    def spot(self, key: str, setting: Setting) -> tuple[Spot | None, KeyPath, dict[str, Any]]:
        """Return what belongs at a key that a setting sets."""
        changed, paths = apply_setting(self.table, setting, self.registry)
        return spot_at(changed, paths[key], self.registry), paths[key], changed


def _companies(space: Space, key: str) -> Iterator[Company]:
    """Yield what a key is to be tried with."""
    base = required(space, key)
    path, condition = key_path(key) or (), space[key].when
    deciding = [
        other
        for other, distribution in space.items()
        if isinstance(distribution, Choice)
        and other != key
        and ((condition and condition.key == other) or _owns(key_path(other) or (), path))
    ]
    if not deciding:
        yield Company("", None, base)
    for other in deciding:
        choice = space[other]
        assert isinstance(choice, Choice)
        for value in choice.values:
            if condition is None or condition.key != other or condition.met_by(value):
                yield Company(other, value, {**required(space, other), **base, other: value})


def _owns(other: Sequence[str], path: Sequence[str]) -> bool:
    """Return whether one key names what another is a parameter of."""
    owner = other[:-1] if tuple(other) == ARCHITECTURE else other
    return len(owner) < len(path) and path[: len(owner)] == owner


def _of_key(trial: _Trial, distribution: Distribution, key: str, kind: str, company: Setting) -> Iterator[str]:
    """Yield what is wrong with a key's values in the company of others."""
    if isinstance(distribution, Choice):
        values: Sequence[Value] = distribution.values
    elif isinstance(distribution, Uniform):
        values = (distribution.low, distribution.high)
    else:
        assert isinstance(distribution, Normal)
        values = (distribution.mean,)
    try:
        before = set(trial.findings(company))
    except RecipeError:
        return  # told where that key is
    for value in values:
        setting = {**company, key: value}
        try:
            spot, path, changed = trial.spot(key, setting)
        except RecipeError as error:
            yield error.problems[0].message
            return
        if spot is not None and not isinstance(distribution, Choice) and (wrong := _unfit(kind, spot)):
            yield wrong
            return
        for finding in trial.findings(setting):
            if finding in before:
                continue
            if spot is None and path[: len(finding.path)] == finding.path:
                yield finding.message
            elif finding.path[: len(path)] == path:
                yield f"{shown(value)} is refused: {finding.message}"
            else:
                yield f"{shown(value)} is refused: {key_text(finding.path, changed)}: {finding.message}"


def _unfit(kind: str, spot: Spot) -> str | None:
    """Say so where a range does not fit the type of a key."""
    types = [choice for choice, _ in alternatives(spot.annotation, spot.metadata)]
    whole = kind in ("int", "log_int")
    if (float in types and not whole) or (int in types and whole):
        return None
    if float in types:
        return f"takes {expected(spot.annotation, spot.metadata)}: use uniform or log_uniform instead of {kind}"
    if int in types:
        return f"takes {expected(spot.annotation, spot.metadata)}: use int or log_int instead of {kind}"
    return f"takes {expected(spot.annotation, spot.metadata) or 'no number'}, no number: use choice instead of {kind}"
