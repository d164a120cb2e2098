"""The exporter `onnx`."""

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor

from dlcli import (
    Artefact,
    DataError,
    Exportable,
    Exporter,
    PluginError,
    UsageError,
    export_program,
    without_torch_warnings,
)

REDUCED_RANGE = True
"""Whether 8-bit weights use 7 bits: processors with AVX2, but without VNNI, add two products in 16 bits, which overflow
with all 8, and the model would answer wrongly there."""
LARGEST_SHAPE = 2**28
"""Numbers in a tensor whose shape a model fixes; larger ones are refused before they are made."""
_ENDLESS, _MOST_DIMENSIONS, _NO_SIZE = {"Loop", "Scan", "SequenceMap"}, 8, 2**62
LARGEST = 2**31 - 2**20
"""Bytes of weights that one file can hold, as protobuf limits it."""


class Session(Artefact):
    """A model in onnxruntime, ready to run on the CPU.

    Args:
        content: The model file's bytes.
    """

    def __init__(self, content: bytes) -> None:
        from onnxruntime import InferenceSession, SessionOptions

        options = SessionOptions()
        options.log_severity_level = 4  # what goes wrong is raised, and told from there
        options.intra_op_num_threads = torch.get_num_threads()
        self._session = InferenceSession(content, options, providers=["CPUExecutionProvider"], enable_fallback=0)
        super().__init__(self._session.get_modelmeta().custom_metadata_map)
        self._inputs = [entry.name for entry in self._session.get_inputs()]
        self._outputs = [entry.name for entry in self._session.get_outputs()]

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Compute outputs."""
        given = {name: inputs[name].numpy() for name in self._inputs}
        try:
            found = self._session.run(None, given)
        except Exception as error:  # onnxruntime's errors have no base of their own
            raise DataError(f"onnxruntime cannot run the model on these rows: {_first_line(error)}") from error
        return {name: torch.from_numpy(np.asarray(values)) for name, values in zip(self._outputs, found, strict=True)}


class ONNX(Exporter):
    """One ONNX file, which onnxruntime and many others run.

    Inputs are called like the dataset's fields and take them raw; outputs are `logits` and `probabilities`, or
    `prediction`, and of ensembles `spread`. The number of rows may vary, and that of steps where the network allows it.
    Weights lie in the file, which may have 2 GB. It needs onnx, onnxscript and onnxruntime:
    pip install "dlcli[onnx]".

    Args:
        quantize: `int8` stores weights in 8 bits and computes with them: a quarter of the size, at some loss of
            accuracy; None keeps float32.
        calibration_rows: With `quantize`: training rows, ≥ 0, whose activations decide the scales of activations once
            and for all; 0 scales every batch by its own values. Convolutions need some.

    Source: ONNX, https://onnx.ai; Jacob et al. 2018, "Quantization and training of neural networks for efficient
    integer-arithmetic-only inference".
    """

    name: ClassVar[str] = "onnx"
    suffix: ClassVar[str] = ".onnx"

    quantize: Literal["int8"] | None = Field(None, description="int8: weights and products of 8 bits")
    calibration_rows: int = Field(0, ge=0, description="training rows that decide scales of activations; 0: each batch")

    @model_validator(mode="after")
    def _calibration_is_for_quantization(self) -> Self:
        if self.calibration_rows and self.quantize is None:
            raise ValueError("calibration_rows is for quantize, which is not set: --quantize int8 sets it")
        return self

    @property
    def exact(self) -> bool:
        """Whether outputs are the model's up to rounding in float32."""
        return self.quantize is None

    def write(self, model: Exportable, path: Path) -> None:
        """Record the module and translate its operations."""
        _require()
        size = sum(t.nbytes for t in (*model.module.parameters(), *model.module.buffers()))
        if size > LARGEST:
            raise UsageError(
                f"the model has {size / 2**30:.1f} GiB of weights, and one onnx file holds 2 GiB; use --format pt2 or "
                "safetensors"
            )
        program = export_program(model.module, model.inputs, model.steps)
        with without_torch_warnings():
            try:
                translated = torch.onnx.export(
                    program,
                    dynamo=True,
                    external_data=False,
                    input_names=list(model.inputs),
                    output_names=list(model.outputs),
                    verbose=False,
                )
            except Exception as error:  # torch's exporter raises errors of many kinds
                raise _untranslated(error, program) from error
        assert translated is not None
        _tidy(translated.model, model)
        if self.quantize is None:
            translated.save(path, external_data=False)
            return
        with TemporaryDirectory() as folder:
            plain = Path(folder, "plain.onnx")
            translated.save(plain, external_data=False)
            self._quantized(plain, path, model)

    def _quantized(self, plain: Path, path: Path, model: Exportable) -> None:
        from onnxruntime.quantization import QuantFormat, QuantType, quantize_dynamic, quantize_static
        from onnxruntime.quantization.shape_inference import quant_pre_process

        prepared = plain.with_name("prepared.onnx")
        quant_pre_process(plain, prepared, skip_symbolic_shape=True)
        if not self.calibration_rows:
            quantize_dynamic(prepared, path, weight_type=QuantType.QInt8, reduce_range=REDUCED_RANGE)
            return
        quantize_static(
            prepared,
            path,
            _CalibrationRows(model.training_rows(self.calibration_rows)),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["MatMul", "Gemm", "Conv"],  # the rest is cheap, and 8 bits would cost accuracy
            weight_type=QuantType.QInt8,
            reduce_range=REDUCED_RANGE,
        )

    def open(self, path: Path) -> Artefact:
        """Read a model whose weights are all in its file."""
        _require()
        import onnx

        try:
            content = path.read_bytes()
            found = onnx.load_from_string(content)
        except Exception as error:  # protobuf's errors have no base of their own
            raise DataError(f"cannot read the model {path}: {_first_line(error)}; export it again") from error
        for graph in _graphs(found):
            _check_bounds(graph, path)
            for tensor in (*graph.initializer, *_constants(graph)):
                if tensor.data_location == onnx.TensorProto.EXTERNAL:
                    raise DataError(f"{path} keeps {tensor.name} in another file; a model must be whole in one")
        try:
            return Session(content)
        except Exception as error:  # onnxruntime's errors have no base of their own
            raise DataError(f"onnxruntime cannot load {path}: {_first_line(error)}; export it again") from error


class _CalibrationRows:
    """Training rows as onnxruntime's calibration asks for them, a batch at a time."""

    BATCH = 64

    def __init__(self, rows: Mapping[str, Tensor]) -> None:
        parts = {name: torch.split(values, self.BATCH) for name, values in rows.items()}
        count = len(next(iter(parts.values())))
        self._batches = iter([{name: own[i].numpy() for name, own in parts.items()} for i in range(count)])

    def get_next(self) -> dict[str, Any] | None:
        return next(self._batches, None)


def _require() -> None:
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ModuleNotFoundError as error:
        raise PluginError(
            f'the exporter onnx needs the package {error.name}, which is not installed: pip install "dlcli[onnx]"'
        ) from error


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _untranslated(error: Exception, program: torch.export.ExportedProgram) -> Exception:
    """Return an error of torch's translation with the layer whose operation ONNX lacks; others as they are."""
    found = re.search(r"No ONNX function found for <OpOverload\(op='([\w.]+)'", str(error))
    cause: BaseException | None = error
    while found is None and cause is not None:
        cause = cause.__cause__ or cause.__context__
        found = re.search(r"No ONNX function found for <OpOverload\(op='([\w.]+)'", str(cause))
    if found is None:
        return error
    name = found.group(1)
    # It may be a part of the operation that the layer asked for.
    bare = name.rpartition(".")[2]
    layer = next((_layer(node) for node in program.graph.nodes if bare in str(node.target)), "")
    of_layer = f", which the layer {layer} needs" if layer else ""
    return UsageError(f"ONNX has no operation for {name}{of_layer}; use --format pt2 or --format safetensors")


def _layer(node: torch.fx.Node) -> str:
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    if not stack:
        return ""
    path, kind = stack[-1]
    return f"{path.split('module.', 1)[-1]} ({kind})"


def _tidy(translated: Any, model: Exportable) -> None:
    """Leave out where operations were recorded, call dynamic dimensions by what they are, and add the metadata."""
    for value in translated.graph.inputs:
        sizes = list(value.shape)
        sizes[0] = "rows"
        if value.name in model.steps and not isinstance(sizes[model.steps[value.name]], int):
            sizes[model.steps[value.name]] = "steps"
        value.shape = type(value.shape)(sizes)
    for value in translated.graph.outputs:
        value.shape = type(value.shape)(["rows", *list(value.shape)[1:]])
    outputs = set(translated.graph.outputs)
    for node in translated.graph.all_nodes():
        node.metadata_props.clear()
        for value in node.outputs:
            value.metadata_props.clear()
            if value not in outputs:
                value.shape = None
    translated.metadata_props.clear()
    translated.metadata_props.update(model.metadata)
    translated.producer_name = "dlcli"


def _graphs(model: Any) -> Iterator[Any]:
    """Yield every graph of a model, those of branches, loops and functions included."""
    waiting = [model.graph, *model.functions]
    while waiting:
        graph = waiting.pop()
        if hasattr(graph, "initializer"):
            yield graph
        for node in graph.node:
            for attribute in node.attribute:
                waiting.extend([attribute.g] if attribute.HasField("g") else [])
                waiting.extend(attribute.graphs)


def _check_bounds(graph: Any, path: Path) -> None:
    """Refuse what an export never holds, and what could take memory or time without end."""
    import onnx

    for node in graph.node:
        if node.op_type in _ENDLESS:
            raise DataError(f"{path} is refused: it holds the operation {node.op_type}, which may never end")
    for tensor in (*graph.initializer, *_constants(graph)):
        if tensor.data_type != onnx.TensorProto.INT64 or len(tensor.dims) > 1 or sum(tensor.dims) > _MOST_DIMENSIONS:
            continue
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            continue
        sizes = [abs(int(size)) or 1 for size in onnx.numpy_helper.to_array(tensor).reshape(-1)]
        # Slices end at the largest number, which is no size.
        if math.prod(size for size in sizes if size < _NO_SIZE) > LARGEST_SHAPE:
            raise DataError(f"{path} is refused: it asks for a tensor of the shape {sizes}, far larger than any answer")


def _constants(graph: Any) -> Iterator[Any]:
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
