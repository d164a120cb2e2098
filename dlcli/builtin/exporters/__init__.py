"""Foreign formats for a run's model."""

from typing import TYPE_CHECKING

from dlcli import hookimpl

if TYPE_CHECKING:
    from dlcli import Registrar


@hookimpl
def register(registry: "Registrar") -> None:
    """Name the exporters."""
    registry.add("exporter", "pt2", "dlcli.builtin.exporters.pt2:PT2")
    registry.add("exporter", "onnx", "dlcli.builtin.exporters.onnx:ONNX")
    registry.add("exporter", "aoti", "dlcli.builtin.exporters.aoti:AOTI")
    registry.add("exporter", "safetensors", "dlcli.builtin.exporters.safetensors:SafetensorsFolder")
