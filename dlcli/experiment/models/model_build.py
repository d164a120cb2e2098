"""From a description and tensors of a model folder to a model, held to each other before anything large is made."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dlcli.contracts.field import Field
from dlcli.contracts.preprocessor import FittedPreprocessor
from dlcli.data.preprocessing import columns_dimension, network_dtype
from dlcli.errors import DataError
from dlcli.experiment.models.bounded import Bounded, OutOfBounds, bytes_of
from dlcli.experiment.models.model import Model, ModelDescription
from dlcli.experiment.models.model_file import DESCRIPTION, WEIGHTS, below
from dlcli.layers.dropout import replace_dropout
from dlcli.layers.scaled_target import ScaledTarget
from dlcli.untrusted import reason

SPARE_BYTES, SPARE_OPERATIONS = 256 * 2**20, 20_000
"""What building may take beside four times the weights, and a first answer in all: masks, tables of positions."""
OPERATIONS_A_TENSOR = 200
LARGEST_WEIGHT = 1e30
"""No training leaves a larger one: its square is infinite in float32."""
VALUE = 0.5
"""What numbers are tried with: most functions have a finite value there."""


class ModelBuilder:
    """Builds the models of one description; what is the same for all of them is found out with the first.

    Args:
        description: What they are.
        folder: The model folder, for errors.
    """

    def __init__(self, description: ModelDescription, folder: Path) -> None:
        self.description = description
        self._where = f"{folder / WEIGHTS} does not fit {DESCRIPTION}"
        self._damaged = f"the model {folder} is damaged"
        self._expected: dict[str, tuple[torch.Size, torch.dtype]] | None = None
        self._trial: _Trial | None = None
        self._too_large = False

    def build(self, tensors: Mapping[str, Tensor]) -> Model:
        """Put a model together; draws initial values from torch's CPU stream, which the caller restores.

        Args:
            tensors: Its tensors, named as `model_tensors` does.

        Returns:
            The model, in eval mode on the CPU.

        Raises:
            DataError: The tensors do not fit the description, or hold numbers that no training leaves.
        """
        preprocessing = {
            name: tuple(
                FittedPreprocessor(component, below(f"preprocess.{name}.{index}.", tensors))
                for index, component in enumerate(chain)
            )
            for name, chain in self.description.preprocess.items()
        }
        state = below("network.", tensors)
        if not state:
            raise DataError(f"{self._where}: it holds no weights of the network")
        if self._expected is not None:
            self._compare(state)
        try:
            network = self._network(state)
            if self._expected is None:
                self._expected = {name: (tensor.shape, tensor.dtype) for name, tensor in network.state_dict().items()}
                self._compare(state)
            check_numbers(tensors, network, self._damaged)
            network.load_state_dict(state)
            return Model(self.description, network, preprocessing)
        except DataError:
            raise
        except OutOfBounds as error:
            raise DataError(f"{self._where}: {error}, far more than its weights") from None
        # Components of others raise what they like when they are built by a description that no recipe made.
        except Exception as error:
            cause = f"{self.description.architecture.name} cannot be built by it"
            raise DataError(f"{self._where}: {cause} ({type(error).__name__}: {reason(error)})") from None

    def _network(self, state: Mapping[str, Tensor]) -> nn.Module:
        if self._expected is not None:
            return self._built()
        size = 4 * bytes_of(list(state.values())) + SPARE_BYTES
        operations = OPERATIONS_A_TENSOR * len(state) + SPARE_OPERATIONS
        with Bounded(size, operations, f"building the {self.description.architecture.name}"):
            return self._built()

    def _built(self) -> nn.Module:
        io = self.description.io
        network = replace_dropout(self.description.architecture.build(io))
        return ScaledTarget(network, io.outputs) if self.description.target_scaled else network

    def _compare(self, state: Mapping[str, Tensor]) -> None:
        expected = self._expected or {}
        found = {name: (tensor.shape, tensor.dtype) for name, tensor in state.items()}
        if found == expected:
            return
        if missing := sorted(set(expected) - set(found)):
            raise DataError(f"{self._where}: it lacks {reason(missing[0])}")
        if unknown := sorted(set(found) - set(expected)):
            raise DataError(f"{self._where}: nothing takes its {reason(unknown[0])}")
        name = next(name for name in expected if found[name] != expected[name])
        raise DataError(f"{self._where}: {name} is {_form(*found[name])}, expected {_form(*expected[name])}")

    def try_out(self, model: Model) -> Tensor | None:
        """Compute one answer, to see that everything fits.

        Preprocessing gets a raw row, and the network one of its own, since raw values may be far from those of data.

        Args:
            model: What `build` returned.

        Returns:
            Outputs (1, …, O); None where rows are so large, or a network takes so many steps, that it would be long.

        Raises:
            DataError: The model cannot answer, or not with finite numbers of the right shape.
        """
        if self._too_large:
            return None
        try:
            with torch.no_grad():
                if self._trial is not None:
                    return self._checked(self._trial.answer(model))
                with Bounded(SPARE_BYTES, SPARE_OPERATIONS, "one answer"):
                    trial = _Trial(self.description)
                    outputs = trial.answer(model)
            self._trial = trial
            return self._checked(outputs)
        except OutOfBounds:
            self._too_large = True
            return None
        except DataError:
            raise
        except Exception as error:
            raise DataError(f"{self._damaged}: it cannot answer ({type(error).__name__}: {reason(error)})") from None

    def _checked(self, outputs: Tensor) -> Tensor:
        io = self.description.io
        shape = tuple(outputs.shape)
        if shape[:1] != (1,) or shape[-1:] != (io.outputs,) or len(shape) != 2 + io.per_position:
            raise DataError(f"{self._damaged}: it answers a row with {shape}, expected {io.outputs} numbers")
        if not _within(outputs, math.inf):
            raise DataError(f"{self._damaged}: its answers are not finite")
        return outputs


def check_numbers(tensors: Mapping[str, Tensor], network: nn.Module, damaged: str) -> None:
    """Refuse tensors with numbers that no training leaves.

    Args:
        tensors: Tensors by name, as `model_tensors` gives them.
        network: The network as it was built: where its own numbers are beyond the limit, as in a mask, anything may be.
        damaged: Beginning of the error.

    Raises:
        DataError: A number is NaN or infinite, or a weight beyond the limit.
    """
    for name, tensor in tensors.items():
        if not tensor.is_floating_point() or tensor.element_size() == 1 or not tensor.numel():
            continue
        within, _, own = name.partition(".")
        limit = LARGEST_WEIGHT if within == "network" else math.inf
        if _within(tensor, limit):
            continue
        bad = ~(tensor.abs() < limit)
        if within == "network":
            bad &= network.state_dict()[own].abs() < limit
        if bool(bad.any()):
            raise DataError(
                f"{damaged}: {reason(name)} holds numbers that are not finite, or far beyond those that training "
                "leaves; restore it from a copy, or train again"
            )


def _within(values: Tensor, limit: float) -> bool:
    """Return whether all numbers are smaller than a limit, whatever their sign; NaN is not."""
    least, most = torch.aminmax(values)
    return -limit < least.item() and most.item() < limit


def _form(shape: torch.Size, dtype: torch.dtype) -> str:
    return f"{tuple(shape)} of {str(dtype).removeprefix('torch.')}"


class _Trial:
    """One row of every field, raw and as the network gets it, with what its `forward` takes besides.

    Args:
        description: Whose fields they are.
    """

    def __init__(self, description: ModelDescription) -> None:
        io = description.io
        self._fields = (*description.inputs, *description.conditions)
        self._raw = [_row(field, getattr(torch, field.dtype)) for field in self._fields]
        self._columns = {name: torch.tensor(columns) for name, columns in description.columns.items()}
        # A network that is fed by others alone has no use for conditions, and says nothing of them.
        self._seen = (*io.inputs, *(io.conditions or description.conditions))
        ready = [_row(field, network_dtype(field.kind)) for field in self._seen]
        count = len(description.inputs)
        self._inputs = ready[:count]
        self._extra: dict[str, Any] = {"conditions": tuple(ready[count:])} if ready[count:] else {}
        if description.length is not None:
            of = next((field for field in self._seen if field.name == description.length.of), self._seen[0])
            self._extra["lengths"] = torch.tensor([of.shape[0] if of.shape else 1])
        if description.mask is not None:
            self._extra["mask"] = torch.ones(1, *description.mask.shape, dtype=torch.bool)

    def answer(self, model: Model) -> Tensor:
        """Return a model's outputs (1, …, O)."""
        for field, seen, raw, chain in zip(self._fields, self._seen, self._raw, model.preprocess, strict=True):
            values = chain(raw).to(network_dtype(seen.kind))
            if field.name in self._columns:
                values = values.index_select(columns_dimension(seen.kind, values), self._columns[field.name])
            if values.shape[1:] != seen.shape:
                raise ValueError(f"{field.name} is {tuple(values.shape[1:])} after preprocessing, not {seen.shape}")
            if not _within(values, LARGEST_WEIGHT):
                raise ValueError(f"{field.name} is not finite after preprocessing")
        outputs: Tensor = model.network(*self._inputs, **self._extra)
        return outputs


def _row(field: Field, dtype: torch.dtype) -> Tensor:
    """Return a row of a field: whole numbers may be indices, of which 0 is always one."""
    return torch.full((1, *field.shape), VALUE if dtype.is_floating_point else 0, dtype=dtype)
