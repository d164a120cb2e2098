"""The exporter `pt2`."""

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from dlcli import Artefact, DataError, Exportable, Exporter, export_program, without_torch_warnings
from dlcli.builtin.exporters.pt2_archive import harmless_archive

METADATA = "dlcli.json"
"""The file in the archive that holds names of inputs and outputs, and the metadata."""
_NOT_NEEDED = ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn", "from_node", "custom")


class Program(Artefact):
    """A program of torch, ready to run.

    Args:
        program: The program.
        metadata: Texts that were kept beside it.
        names: Names of the fields, in order.
        outputs: Names of the outputs, in order.
    """

    def __init__(
        self,
        program: torch.export.ExportedProgram,
        metadata: Mapping[str, str],
        names: Sequence[str],
        outputs: Sequence[str],
    ) -> None:
        super().__init__(metadata)
        self._module = program.module()
        self._names, self._outputs = tuple(names), tuple(outputs)

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Compute outputs."""
        try:
            with torch.no_grad():
                # Recorded of contiguous rows, some operations would refuse others.
                found = self._module(*(inputs[name].contiguous() for name in self._names))
        except (RuntimeError, AssertionError, ValueError, TypeError) as error:
            raise DataError(f"the program cannot run on these rows: {str(error).strip().splitlines()[0]}") from error
        return dict(zip(self._outputs, found, strict=True))


class PT2(Exporter):
    """A program of torch: `torch.export.load(path).module()(*fields)` runs it without dlcli.

    It needs nothing but torch, takes any number of rows, and sequences of any length where the network does. Fields are
    given in the order of its arguments, which are called like them; outputs come as a tuple. `extra/dlcli.json` in the
    archive, a zip file, names both and holds the metadata.

    Source: PyTorch, "torch.export", https://docs.pytorch.org/docs/stable/export.html.
    """

    name: ClassVar[str] = "pt2"
    suffix: ClassVar[str] = ".pt2"

    def write(self, model: Exportable, path: Path) -> None:
        """Record the module and write the program."""
        program = export_program(model.module, model.inputs, model.steps)
        for node in program.graph.nodes:
            for key in _NOT_NEEDED:  # where it was recorded: of no use elsewhere, and larger than a small network
                node.meta.pop(key, None)
        for symbol in set(program.range_constraints) - _symbols_of(program):
            del program.range_constraints[symbol]  # it stands for nothing any more, and torch would warn of it
        beside = {"inputs": list(model.inputs), "outputs": model.outputs, "metadata": dict(model.metadata)}
        archive = io.BytesIO()  # torch ends the process where a file on a full disk fails it
        with without_torch_warnings():
            torch.export.save(program, archive, extra_files={METADATA: json.dumps(beside, ensure_ascii=False)})
        path.write_bytes(archive.getbuffer())

    def open(self, path: Path) -> Artefact:
        """Read a program, after seeing that it holds nothing but tensors and operations of torch."""
        archive = harmless_archive(path)
        extra: dict[str, Any] = {METADATA: ""}
        try:
            with without_torch_warnings():
                program = torch.export.load(archive, extra_files=extra)
                beside = json.loads(extra[METADATA] or "{}")
                metadata = {str(key): str(value) for key, value in beside["metadata"].items()}
                return Program(program, metadata, beside["inputs"], beside["outputs"])
        except Exception as error:  # torch raises all sorts of errors for what does not fit together
            cause = str(error).strip().splitlines()[:1]
            raise DataError(f"cannot read the program {path}: {type(error).__name__}: {' '.join(cause)}") from error


def _symbols_of(program: torch.export.ExportedProgram) -> set[Any]:
    values = [node.meta.get("val") for node in program.graph.nodes]
    sizes: list[Any] = [size for value in values if isinstance(value, Tensor) for size in value.shape]
    return {s for size in sizes if isinstance(size, torch.SymInt) for s in size.node.expr.free_symbols}
