"""The regularizer `orthogonal`."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from dlcli import PerMember, Regularizer


class Orthogonal(Regularizer):
    """Keeps the weights of different units apart: adds strength · Σ ‖W Wᵀ − I‖² to the loss, once a step.

    W has a row for each output, of a convolution for each output channel; where it is taller than wide, ‖Wᵀ W − I‖²
    stands instead, since so many rows cannot be orthogonal. ‖·‖ is the Frobenius norm. Signals and gradients keep their
    length through such layers, which helps deep networks. It also pulls lengths to 1: do not combine it with `l2`.

    Args:
        select: Which parameters: `weights` (no biases, no norms), `all`, or glob patterns joined by commas; those of
            one dimension have no part in it.
        strength: Factor, ≥ 0; 0 for none.

    Source: Brock et al. 2017, "Neural photo editing with introspective adversarial networks"; Bansal et al. 2018, "Can
    we gain more from orthogonality regularizations in training deep CNNs?".
    """

    name: ClassVar[str] = "orthogonal"

    strength: PerMember = Field(1e-4, ge=0, description="factor on the squared distance from orthogonal weights")

    def penalty(self, parameters: Mapping[str, Tensor], activations: Mapping[str, Tensor]) -> Tensor:
        """Return strength · Σ ‖W Wᵀ − I‖²; 0 where nothing is selected."""
        distances = [_distance(weight.flatten(1)) for weight in parameters.values() if weight.ndim > 1]
        return self.strength * torch.stack(distances).sum() if distances else torch.zeros(())


def _distance(matrix: Tensor) -> Tensor:
    rows = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    return (rows @ rows.T - torch.eye(len(rows), dtype=rows.dtype, device=rows.device)).square().sum()
