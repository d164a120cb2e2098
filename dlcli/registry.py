"""Which components there are, and how they are named, read and written. Holds names until a class is needed."""

import difflib
import importlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, cast

from dlcli.contracts.kinds import KINDS
from dlcli.errors import PluginError

if TYPE_CHECKING:
    from dlcli.contracts.component import Component

C = TypeVar("C", bound="Component")
NAME = re.compile(r"[a-z][a-z0-9_]*")
ASKED = re.compile(r"([\w.-]{1,80}:)?[\w -]*")
"""What may be asked for: a bare name, also one that is misspelt, or `distribution:name`."""
LONGEST_NAME = 120
TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
PUBLISHED = {
    "dlcli-example": {"snake", "gated_mlp", "relative_weight_noise", "top_two", "median_vote", "weights_json"},
}
"""Names that packages known to us would bring, for the error that misses them."""


def with_article(noun: str) -> str:
    """Return a noun with its indefinite article."""
    return f"{'an' if noun[0] in 'aeio' else 'a'} {noun}"


@dataclass(frozen=True)
class Entry:
    """A registered component.

    Args:
        kind: One of `KINDS`.
        name: Its public name.
        target: Where its class is, `module:Class`.
        distribution: The package that provides it.
    """

    kind: str
    name: str
    target: str
    distribution: str

    @property
    def label(self) -> str:
        """Its unambiguous name, `distribution:name`."""
        return f"{self.distribution}:{self.name}"

    def load(self) -> "type[Component]":
        """Import the class.

        Returns:
            The component class.

        Raises:
            PluginError: The module does not import, or the class is not what it was registered as.
        """
        from dlcli.contracts.component import Component

        module, _, name = self.target.partition(":")
        try:
            found = getattr(importlib.import_module(module), name)
        except Exception as error:
            raise PluginError(
                f"{self.kind} {self.label!r} cannot be loaded from {self.target}: {type(error).__name__}: {error}; "
                f"mend or reinstall {self.distribution}, or see `dlcli plugins doctor`"
            ) from error
        if not (isinstance(found, type) and issubclass(found, Component) and found.kind == self.kind):
            raise PluginError(f"{self.target} of {self.distribution} is registered as {self.kind} but is not one")
        if getattr(found, "name", None) != self.name:
            raise PluginError(
                f"{self.target} of {self.distribution} is registered as {self.name!r}, but its class attribute `name` "
                f"is {getattr(found, 'name', None)!r}: make them equal"
            )
        return found


@dataclass
class Registrar:
    """What a plugin's `register` hook gets: takes the names of its components.

    Args:
        distribution: The package that is registering.
        entries: What it has added so far.
    """

    distribution: str
    entries: list[Entry] = field(default_factory=list)

    def add(self, kind: str, name: str, target: str) -> None:
        """Name a component; its class is imported when it is first needed.

        Args:
            kind: Its kind, such as `activation`.
            name: Its permanent public name, in snake_case; equal to the class attribute `name`.
            target: Where the class is, such as `dlcli_example.snake:Snake`.

        Raises:
            PluginError: Unknown kind, a name or target of another form, or the same name twice.
        """
        if kind not in KINDS:
            raise PluginError(f"{self.distribution} registers {name!r} as {kind!r}; kinds are {', '.join(KINDS)}")
        if not NAME.fullmatch(name):
            raise PluginError(f"{self.distribution} registers the {kind} {name!r}; names are snake_case")
        if not TARGET.fullmatch(target):
            raise PluginError(f"{self.distribution} registers {name!r} at {target!r}; expected module:Class")
        if any((entry.kind, entry.name) == (kind, name) for entry in self.entries):
            raise PluginError(f"{self.distribution} registers the {kind} {name!r} twice")
        self.entries.append(Entry(kind, name, target, self.distribution))


class Registry:
    """All components of built-ins and plugins, by kind and name."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._labels: dict[type[Component], str] = {}
        self.broken: list[str] = []

    def extend(self, entries: list[Entry]) -> None:
        """Take over what a plugin registered."""
        self._entries.extend(entries)

    def entries(self, kind: str | None = None) -> list[Entry]:
        """Return all entries, or those of one kind, sorted by kind, name and provider."""
        found = [entry for entry in self._entries if kind in (None, entry.kind)]
        return sorted(found, key=lambda entry: (KINDS.index(entry.kind), entry.name, entry.distribution))

    def find(self, kind: str, name: str) -> Entry:
        """Return the entry of a bare name or of `distribution:name`.

        Args:
            kind: The kind that is asked for.
            name: The name.

        Returns:
            The one entry of that name.

        Raises:
            PluginError: There is none, or there are several; says what to do.
        """
        if len(name) > LONGEST_NAME or not ASKED.fullmatch(name):
            shown = ascii(name[:LONGEST_NAME])
            raise PluginError(
                f"{shown} cannot be the name of {with_article(kind)}: components are named as they are registered, "
                "such as mlp or dlcli:mlp, and nothing is imported by the path of a module or file"
            )
        found = [entry for entry in self._entries if entry.kind == kind and name in (entry.name, entry.label)]
        if len(found) == 1:
            return found[0]
        if found:
            found.sort(key=lambda entry: entry.distribution)
            labels = " or ".join(repr(entry.label) for entry in found)
            raise PluginError(f"{len(found)} packages provide {with_article(kind)} {name!r}: write {labels}")
        raise PluginError(self._unknown(kind, name))

    def _unknown(self, kind: str, name: str) -> str:
        distribution, _, bare = name.rpartition(":")
        names = [entry.name for entry in self.entries(kind)]
        parts = [f"unknown {kind} {name!r}"]
        close = difflib.get_close_matches(bare, names, n=1)
        if close and bare not in names:
            parts.append(f"did you mean {close[0]!r}?")
        packages = [package for package, brought in PUBLISHED.items() if bare in brought and bare not in names]
        installed = {entry.distribution for entry in self._entries}
        package = distribution or (packages[0] if packages else "")
        providers = [entry.distribution for entry in self.entries(kind) if entry.name == bare]
        if distribution and (similar := difflib.get_close_matches(distribution, providers, n=1)):
            parts.append(f"{similar[0]} is installed: did you mean {similar[0]}:{bare}?")
        # Only names of our own form: an invented name must not send anybody to install what a stranger registered.
        elif package.startswith("dlcli-") and package not in installed:
            parts.append(f"it comes with the package {package}: pip install {package}")
        elif distribution and distribution not in installed:
            parts.append(f"the package {distribution} is not installed")
        elif other := sorted({entry.kind for entry in self._entries if entry.name == bare} - {kind}):
            kinds = " and ".join(map(with_article, other))
            parts.append(f"{bare!r} is the name of {kinds}, but here {with_article(kind)} is wanted")
        parts.append(f"there {'is' if len(names) == 1 else 'are'} {', '.join(names) or 'none'}")
        parts.extend(f"a plugin that may have had it is broken: {broken}" for broken in self.broken)
        return "; ".join(parts)

    def load(self, entry: Entry) -> "type[Component]":
        """Import an entry's class, make it ready to be given values, and remember its label for writing.

        Args:
            entry: Which.

        Returns:
            The component class.

        Raises:
            PluginError: It does not import, or its fields are of no type that can be read.
        """
        found = entry.load()
        try:
            if not found.__pydantic_complete__:
                found.model_rebuild()
        except Exception as error:
            cause = f"{type(error).__name__}: {error}".partition("\n")[0]
            raise PluginError(
                f"{entry.kind} {entry.label!r} has a field that cannot be read: {cause}; "
                f"mend or reinstall {entry.distribution}, or see `dlcli plugins doctor`"
            ) from error
        self._labels[found] = entry.label
        return found

    def resolve(self, kind: str, value: object) -> "Component":
        """Turn a name, or a table with a `name`, into a component, defaults included.

        Args:
            kind: The kind that is asked for.
            value: `"name"`, or `{"name": "name", parameter: value, …}`.

        Returns:
            The component.

        Raises:
            ValueError: There is no such component (also pydantic's ValidationError, for its parameters).
            PluginError: Its class cannot be imported.
        """
        table = {"name": value} if isinstance(value, str) else dict(value) if isinstance(value, Mapping) else {}
        name = table.pop("name", None)
        if not isinstance(name, str):
            raise ValueError(f'a table for {with_article(kind)} needs its name, such as {{ name = "…" }}')
        try:
            entry = self.find(kind, name)
        except PluginError as error:
            raise ValueError(str(error)) from error
        return self.load(entry).model_validate(table, context={"registry": self})

    def component(self, kind: "type[C]", value: object) -> "C":
        """Resolve as `resolve` does, typed: `registry.component(Loss, "mse")`.

        Args:
            kind: Class of the kind that is asked for.
            value: A name, or a table with a `name`.

        Returns:
            The component.
        """
        return cast("C", self.resolve(kind.kind, value))

    def create(self, kind: str, name: str, **parameters: Any) -> "Component":
        """Make a component in Python: `registry.create("architecture", "mlp", hidden=[64])`.

        Args:
            kind: The kind.
            name: The name.
            **parameters: Its parameters; components among them may be given by name.

        Returns:
            The component.
        """
        return self.load(self.find(kind, name)).model_validate(parameters, context={"registry": self})

    def dump(self, component: "Component") -> dict[str, Any]:
        """Write a component as a JSON-ready table: `{"name": "distribution:name", …}`, all fields at every depth."""
        return component.table(self.label)

    def label(self, component: "Component") -> str:
        """Return `distribution:name` of a component.

        Args:
            component: Any component.

        Returns:
            The name to write.

        Raises:
            PluginError: Its class is not registered.
        """
        cls = type(component)
        if cls not in self._labels:
            target = f"{cls.__module__}:{cls.__name__}"
            entry = next((e for e in self._entries if e.kind == cls.kind and e.target == target), None)
            if entry is None:
                raise PluginError(f"{target} is not registered: add it in the `register` hook of its package")
            self._labels[cls] = entry.label
        return self._labels[cls]
