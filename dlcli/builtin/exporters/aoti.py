"""The exporter `aoti`."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

import torch
from torch import Tensor

from dlcli import Artefact, DataError, Exportable, Exporter, UsageError, export_program, without_torch_warnings

METADATA = "dlcli"
"""The entry of the package's own metadata that holds names of inputs and outputs, and the texts."""


class Package(Artefact):
    """A compiled package, ready to run on the CPU; running it runs its machine code.

    Args:
        path: The package.
    """

    def __init__(self, path: Path) -> None:
        from torch._inductor import aoti_load_package

        self._run = aoti_load_package(str(path))
        beside = json.loads(self._run.get_metadata()[METADATA])
        super().__init__(beside["metadata"])
        self._names, self._outputs = tuple(beside["inputs"]), tuple(beside["outputs"])

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Compute outputs."""
        try:
            with torch.no_grad():
                found = self._run(*(inputs[name].contiguous() for name in self._names))
        except RuntimeError as error:
            raise DataError(f"the package cannot run on these rows: {str(error).strip().splitlines()[0]}") from error
        return dict(zip(self._outputs, found, strict=True))


class AOTI(Exporter):
    """Machine code for the CPU of this machine, compiled ahead of time by torch's AOTInductor.

    `torch._inductor.aoti_load_package(path)(*fields)` runs it, or a few lines of C++ with libtorch and no Python.
    Compiling takes a C++ compiler, and half a minute or more.

    Source: PyTorch, "AOTInductor", https://docs.pytorch.org/docs/stable/torch.compiler_aot_inductor.html.
    """

    name: ClassVar[str] = "aoti"
    suffix: ClassVar[str] = ".aoti.pt2"
    foreign_code: ClassVar[bool] = True

    def write(self, model: Exportable, path: Path) -> None:
        """Record the module and compile it."""
        from torch._inductor import aoti_compile_and_package
        from torch._inductor.cpp_builder import get_cpp_compiler
        from torch._inductor.exc import InvalidCxxCompiler

        try:
            get_cpp_compiler()
        except InvalidCxxCompiler as error:
            raise UsageError(
                "the exporter aoti needs a C++ compiler, and none is found: install one (on Debian and Ubuntu: apt "
                "install g++), name it in the variable CXX, or use --format pt2"
            ) from error
        program = export_program(model.module, model.inputs, model.steps)
        beside = {"inputs": list(model.inputs), "outputs": model.outputs, "metadata": dict(model.metadata)}
        with TemporaryDirectory() as folder, without_torch_warnings():
            package = Path(folder, "model.pt2")  # torch wants this suffix
            aoti_compile_and_package(
                program,
                package_path=str(package),
                inductor_configs={"aot_inductor.metadata": {METADATA: json.dumps(beside, ensure_ascii=False)}},
            )
            shutil.copyfile(package, path)

    def open(self, path: Path) -> Artefact:
        """Load a package; whoever made it decides what runs."""
        try:
            with without_torch_warnings():
                return Package(path)
        except (RuntimeError, OSError, KeyError, TypeError, ValueError) as error:
            cause = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise DataError(f"cannot load the package {path}: {cause}; compile it again on this machine") from error
