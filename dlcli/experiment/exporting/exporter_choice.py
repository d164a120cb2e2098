"""The exporter that a user asks for, by name and parameters."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from dlcli.contracts.exporter import Exporter
from dlcli.errors import UsageError
from dlcli.experiment.format_parameters import parameter_problems, settings_of
from dlcli.plugins import Plugins


def parameters_of(quantize: str | None, calibrate: int | None, settings: Sequence[str]) -> dict[str, Any]:
    """Return an exporter's parameters from what the command line says.

    Args:
        quantize: What weights become, such as `int8`; None where not asked.
        calibrate: Training rows to calibrate on; None where not asked.
        settings: `KEY=VALUE`, any parameter of the exporter.

    Returns:
        The parameters by name.

    Raises:
        UsageError: A setting is no `KEY=VALUE`.
    """
    found: dict[str, Any] = {}
    if quantize is not None:
        found["quantize"] = quantize
    if calibrate is not None:
        found["calibration_rows"] = calibrate
    return found | settings_of(settings)


def choose_exporter(name: str, parameters: Mapping[str, Any], plugins: Plugins) -> Exporter:
    """Find an exporter and give it parameters.

    Args:
        name: Its name, or `distribution:name`.
        parameters: Those that are not to have their default.
        plugins: Where exporters are.

    Returns:
        The exporter.

    Raises:
        UsageError: There is none of this name, or it does not take such parameters; says which does.
    """
    try:
        return plugins.registry.component(Exporter, {"name": name, **parameters})
    except ValidationError as error:
        raise UsageError(parameter_problems("exporter", name, parameters, error, plugins.registry)) from None
    except ValueError as error:
        raise UsageError(f"--format: {error}") from None


def label_of(exporter: Exporter) -> str:
    """Return what tells an exporter's artefacts apart, such as `onnx` or `onnx-int8`."""
    chosen = exporter.model_dump(exclude_defaults=True).values()
    return "-".join([exporter.name, *(value for value in chosen if isinstance(value, str))])
