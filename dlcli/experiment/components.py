"""What is installed: every component in a line, and one component's page."""

import difflib
import inspect
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pydantic import ValidationError

from dlcli.contracts.activation import Activation
from dlcli.contracts.component import PER_MEMBER, Component
from dlcli.contracts.kinds import KINDS
from dlcli.contracts.regularizer import Regularizer
from dlcli.errors import PluginError, UsageError
from dlcli.plugins import Plugins
from dlcli.recipe.keys import component_kind
from dlcli.recipe.resolved import to_toml
from dlcli.recipe.wording import expected
from dlcli.registry import PUBLISHED, Entry, Registry, with_article


@dataclass(frozen=True)
class ComponentRow:
    """One line of `dlcli plugins list`.

    Args:
        kind: Its kind.
        name: Its public name.
        distribution: The package that provides it.
        version: That package's version.
        summary: What it is for, in a line; where it cannot be loaded, why.
    """

    kind: str
    name: str
    distribution: str
    version: str
    summary: str

    def as_json(self) -> dict[str, Any]:
        """Return it as a JSON-ready table."""
        return asdict(self)


@dataclass(frozen=True)
class ParameterRow:
    """One parameter of a component.

    Args:
        name: Its name.
        allowed: Its type and range in words.
        default: Its default as a recipe would have it; None where it is left out by default.
        description: What it is for.
        per_member: Whether it may differ between members that train in one stack.
    """

    name: str
    allowed: str
    default: Any
    description: str
    per_member: bool


@dataclass(frozen=True)
class ComponentPage:
    """All there is to say about a component.

    Args:
        kind: Its kind.
        name: Its public name.
        distribution: The package that provides it.
        version: That package's version.
        documentation: Its docstring.
        parameters: Its parameters, in order.
        snippet: How a recipe names it, as TOML with every default written out; for importers and exporters, which no
            recipe names, the command in a comment.
        facts: What its kind knows of it besides, by name: of an activation its formula, gradient and so on.
    """

    kind: str
    name: str
    distribution: str
    version: str
    documentation: str
    parameters: tuple[ParameterRow, ...]
    snippet: str
    facts: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return it as a JSON-ready table."""
        return asdict(self)


def list_components(plugins: Plugins) -> list[ComponentRow]:
    """List every component, by kind and name; imports them all.

    Args:
        plugins: What is loaded.

    Returns:
        One row a component; one that cannot be imported says why.
    """
    rows = []
    for entry in plugins.registry.entries():
        try:
            summary = _documentation(plugins.registry.load(entry)).partition("\n\n")[0].replace("\n", " ")
        except PluginError as error:
            summary = str(error)
        version = plugins.version(entry.distribution)
        rows.append(ComponentRow(entry.kind, entry.name, entry.distribution, version, summary))
    return rows


def show_component(plugins: Plugins, name: str, kind: str | None = None) -> ComponentPage:
    """Describe one component.

    Args:
        plugins: What is loaded.
        name: Its name, bare or as `distribution:name`.
        kind: Its kind, where several kinds have the name.

    Returns:
        Its page.

    Raises:
        UsageError: There is no such kind, or several kinds have the name.
        PluginError: There is no such component, several packages have it, or it cannot be made.
    """
    registry = plugins.registry
    entry = find_component(registry, name, kind)
    cls = registry.load(entry)
    try:
        component = registry.create(entry.kind, entry.label)
    except ValidationError as error:
        raise PluginError(f"{entry.kind} {entry.label!r} cannot be made from its defaults: {error}") from error
    table = component.table(lambda inner: _shortest(registry, inner))
    if isinstance(component, Regularizer) and not component.selects:
        del table["select"]
    return ComponentPage(
        kind=entry.kind,
        name=entry.name,
        distribution=entry.distribution,
        version=plugins.version(entry.distribution),
        documentation=_documentation(cls),
        parameters=tuple(_parameters(cls, table)),
        snippet=_snippet(entry, table),
        facts=activation_facts(component) if isinstance(component, Activation) else {},
    )


def find_component(registry: Registry, name: str, kind: str | None = None) -> Entry:
    """Return the entry of a name; without a kind, of any kind.

    Args:
        registry: What is registered.
        name: The name, bare or as `distribution:name`.
        kind: The kind, where several kinds have the name.

    Returns:
        The entry.

    Raises:
        UsageError: There is no such kind, or several kinds have the name.
        PluginError: There is no such component, or several packages have it.
    """
    if kind not in (None, *KINDS):
        raise UsageError(f"unknown kind {kind!r}; kinds are {', '.join(KINDS)}")
    return registry.find(kind or _kind_of(registry, name), name)


def activation_facts(activation: Activation) -> dict[str, str]:
    """Return what an activation knows of itself, by name."""
    return {
        "formula": activation.formula,
        "gradient": activation.gradient,
        "range": activation.output_range,
        "zero-centred": "yes" if activation.zero_centred else "no",
        "saturates": activation.saturates,
        "init": f"{activation.initialization}, gain {activation.gain:.4g}, where model.init is auto",
    }


def _documentation(cls: type[Component]) -> str:
    return inspect.cleandoc(cls.__doc__ or "")


def _kind_of(registry: Registry, name: str) -> str:
    """Return the one kind that has a component of a name."""
    kinds = list(dict.fromkeys(entry.kind for entry in registry.entries() if name in (entry.name, entry.label)))
    if len(kinds) == 1:
        return kinds[0]
    if kinds:
        choices = " or ".join(f"--kind {kind}" for kind in kinds)
        raise UsageError(f"{name!r} is the name of {' and '.join(with_article(kind) for kind in kinds)}: add {choices}")
    parts = [f"unknown component {name!r}"]
    close = difflib.get_close_matches(name, [entry.name for entry in registry.entries()], n=1)
    parts.extend(f"did you mean {other!r}?" for other in close)
    parts.extend(
        f"it comes with the package {package}: pip install {package}"
        for package, brought in PUBLISHED.items()
        if name.rpartition(":")[2] in brought
    )
    parts.append("`dlcli plugins list` shows what there is")
    parts.extend(f"a plugin that may have had it is broken: {broken}" for broken in registry.broken)
    raise PluginError("; ".join(parts))


def _shortest(registry: Registry, component: Component) -> str:
    """Return a component's bare name, or with its distribution where several packages have the name."""
    name = component.name
    providers = [entry for entry in registry.entries(component.kind) if entry.name == name]
    return name if len(providers) == 1 else registry.label(component)


def _parameters(cls: type[Component], table: Mapping[str, Any]) -> list[ParameterRow]:
    rows = []
    for key, each in cls.model_fields.items():
        if key == "select" and key not in table:
            continue
        kind = component_kind(each.annotation)
        description = each.description or (f"any {kind} that is installed" if kind else "")
        allowed = expected(each.annotation, tuple(each.metadata))
        rows.append(ParameterRow(key, allowed, table.get(key), description, PER_MEMBER in each.metadata))
    return rows


def _snippet(entry: Entry, table: Mapping[str, Any]) -> str:
    """Return the part of a recipe that names a component."""
    name, parameters = table["name"], {key: value for key, value in table.items() if key != "name"}
    value = table if parameters else name
    recipe: dict[str, Any] = {
        "architecture": {"model": {"architecture": name, **parameters}},
        "activation": {"model": {"architecture": "mlp", "activation": value}},
        "normalization": {"model": {"architecture": "mlp", "norm": value}},
        "initializer": {"model": {"architecture": "mlp", "init": value}},
        "preprocessor": {"data": {"preprocess": [value]}},
        "input_layer": {"model": {"architecture": "mlp", "inputs": [value]}},
        "loss": {"train": {"loss": value}},
        "metric": {"train": {"metrics": [value]}},
        "regularizer": {"regularizers": [table]},
        "optimizer": {"train": {"optimizer": value}},
        "schedule": {"train": {"schedule": value}},
        "averager": {"train": {"averager": value}},
        "search": {"tune": {"method": value}},
        "ensemble": {"ensemble": {"strategy": value}},
    }
    if entry.kind == "importer":
        return "# dlcli predict RUN DATA\n"
    if entry.kind == "exporter":
        return f"# dlcli export RUN --format {name}\n"
    return to_toml(recipe[entry.kind]).lstrip()
