"""The exporter `weights_json`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from dlcli import Artefact, DataError, Exportable, Exporter, Task, UsageError, probabilities


class Layer(Artefact):
    """One affine layer as JSON, ready to run.

    Args:
        table: What the file holds.
    """

    def __init__(self, table: Mapping[str, Any]) -> None:
        super().__init__(table["metadata"])
        self._weight, self._bias = torch.tensor(table["weight"]), torch.tensor(table["bias"])
        self._field, self._outputs, self._task = table["input"], table["outputs"], Task(table["task"])

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Compute outputs."""
        output = inputs[self._field].float() @ self._weight.T + self._bias
        found = (output, probabilities(output, self._task))
        return dict(zip(self._outputs, found, strict=False))


class WeightsJson(Exporter):
    """The weights of a linear model as JSON, to be computed with anywhere: output = x · Wᵀ + b.

    It takes networks that are one affine layer, without preprocessing.
    """

    name: ClassVar[str] = "weights_json"
    suffix: ClassVar[str] = ".json"

    def write(self, model: Exportable, path: Path) -> None:
        """Write the layer.

        Args:
            model: What to write.
            path: The file to make.

        Raises:
            UsageError: It is more than one layer, or has preprocessing.
        """
        layers = [module for module in model.module.modules() if isinstance(module, nn.Linear)]
        more = [*list(model.module.parameters())[2:], *model.module.buffers()]
        if len(layers) != 1 or layers[0].bias is None or more or len(model.inputs) != 1:
            raise UsageError(
                "weights_json holds one affine layer of one input without preprocessing, and this model is more; "
                "use --format pt2"
            )
        table = {
            "input": next(iter(model.inputs)),
            "outputs": model.outputs,
            "task": model.metadata["task"],
            "weight": layers[0].weight.tolist(),
            "bias": layers[0].bias.tolist(),
            "metadata": dict(model.metadata),
        }
        path.write_text(json.dumps(table) + "\n", encoding="utf-8")

    def open(self, path: Path) -> Artefact:
        """Read the layer.

        Args:
            path: The file.

        Returns:
            What `write` left.

        Raises:
            DataError: It is missing or damaged.
        """
        try:
            return Layer(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise DataError(f"cannot read the layer {path}: {error}; export it again") from error
