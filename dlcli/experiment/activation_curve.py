"""The curve of an activation and of its derivative, computed from the module that networks get."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from dlcli.contracts.activation import Activation
from dlcli.errors import UsageError
from dlcli.experiment.components import activation_facts, find_component
from dlcli.experiment.format_parameters import settings_of
from dlcli.layers.dropout import Randomized
from dlcli.plugins import Plugins
from dlcli.recipe.problems import did_you_mean
from dlcli.recipe.wording import expected, shown
from dlcli.registry import with_article

LIMIT, POINTS = 5.0, 801


@dataclass(frozen=True)
class ActivationCurve:
    """An activation from −5 to 5.

    Args:
        name: Its name, and parameters other than their defaults.
        facts: What it knows of itself, by name.
        x: Inputs, rising.
        function: Its output for each.
        derivative: The output's derivative by that input.
        notes: What is held fixed, or was chosen.
    """

    name: str
    facts: dict[str, str]
    x: tuple[float, ...]
    function: tuple[float, ...]
    derivative: tuple[float, ...]
    notes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return it as a JSON-ready table."""
        return asdict(self)


def activation_curve(
    plugins: Plugins, name: str, kind: str | None = None, settings: Sequence[str] = ()
) -> ActivationCurve:
    """Compute the curve of an activation.

    Args:
        plugins: What is loaded.
        name: Its name, bare or as `distribution:name`.
        kind: Its kind, where several kinds have the name.
        settings: `key=value` texts for its parameters, as after `--set`.

    Returns:
        The curve.

    Raises:
        UsageError: It is no activation, or a parameter is wrong.
        PluginError: There is no such component, or several packages have it.
    """
    entry = find_component(plugins.registry, name, kind)
    if entry.kind != "activation":
        raise UsageError(
            f"{name!r} is {with_article(entry.kind)}, and only activations can be plotted, such as "
            "dlcli plugins show relu --plot; dlcli plugins list --kind activation shows all"
        )
    given = _parameters(settings)
    cls = plugins.registry.load(entry)
    try:
        activation = plugins.registry.create("activation", entry.label, **given)
    except ValidationError as error:
        raise UsageError("\n".join(_told(details, cls, given) for details in error.errors())) from error
    assert isinstance(activation, Activation)
    called = ", ".join([entry.name, *(f"{key} = {shown(value)}" for key, value in given.items())])
    return _curve(activation, called)


def _parameters(settings: Sequence[str]) -> dict[str, Any]:
    """Return the parameters that are set, by name; the last of equal ones wins."""
    found = settings_of(settings)
    for key in found:
        if "." in key:
            raise UsageError(f"--set {key}: expected a parameter of the component itself, such as slope=0.2")
    return found


def _told(details: Any, cls: type[Any], given: dict[str, Any]) -> str:
    """Say what is wrong with a parameter."""
    key = str(details["loc"][0]) if details["loc"] else ""
    known = cls.model_fields
    if not key or details["type"] == "value_error":
        return str(details["ctx"]["error"]) if "error" in details.get("ctx", {}) else str(details["msg"])
    if key not in known:
        there = f"it has {', '.join(known)}" if known else "it has none"
        return f"--set {key}: {cls.name} has no such parameter; {did_you_mean(key, known)}{there}"
    wanted = expected(known[key].annotation, tuple(known[key].metadata))
    return f"--set {key}: expected {wanted}, got {shown(given.get(key))}"


def _curve(activation: Activation, called: str) -> ActivationCurve:
    """Move the first input of the first of two features, and hold the others at 0."""
    with torch.random.fork_rng(devices=[]):
        module = activation.build(2).double().eval()
    x = torch.linspace(-LIMIT, LIMIT, POINTS, dtype=torch.float64)
    rows = torch.zeros(POINTS, 2 * activation.input_multiple, dtype=torch.float64)
    rows[:, 0] = x
    y, slopes = _first_output(module, rows)
    return ActivationCurve(
        name=called,
        facts=activation_facts(activation),
        x=tuple(x.tolist()),
        function=tuple(y.tolist()),
        derivative=tuple(slopes[:, 0].tolist()),
        notes=tuple(_notes(module, rows.shape[1])),
    )


def _first_output(module: nn.Module, rows: Tensor) -> tuple[Tensor, Tensor]:
    rows = rows.clone().requires_grad_()
    y = module(rows)[:, 0]
    return y.detach(), torch.autograd.grad(y.sum(), rows)[0]


def _notes(module: nn.Module, width: int) -> list[str]:
    rows = torch.randn(64, width, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    # An output that other inputs change has a derivative by them somewhere.
    others = int((_first_output(module, rows)[1][:, 1:] != 0).any(0).sum())
    notes = []
    if others:
        held = "the other is" if others == 1 else "the others are"
        notes.append(f"an output has {others + 1} inputs: x is the first, {held} held at 0")
    if any(isinstance(each, Randomized) and each.active for each in module.modules()):
        notes.append("random in training; this is evaluation")
    if any(True for _ in module.parameters()):
        notes.append("it learns parameters; this is with their initial values")
    return notes
