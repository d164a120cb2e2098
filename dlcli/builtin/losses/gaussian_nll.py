"""The loss `gaussian_nll`."""

import math
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from dlcli import REGRESSION, Loss, Task


class GaussianNLL(Loss):
    """Gaussian likelihood: ℓ = ½ (log σ² + (y − μ)² / σ²); regression that also answers how sure it is of each target.

    The network answers mean μ and s = log σ² of each target, so it has twice as many outputs as there are targets: all
    means, then all s. σ² = max(eˢ, ε); below ε the gradient goes through as if s were log ε, so that a variance that
    got too small can grow again. The logarithm was chosen over softplus because it stays finite for any output and is
    only shifted, by 2 log scale, where `data.scale_target` is on. Metrics and predictions are of μ; `dlcli predict`
    and exports give σ as `spread`.

    ℓ is the mean over targets, without the constant ½ log 2π. It can be negative, and its value depends on the target's
    unit. Take it with `data.scale_target`: variances begin at about 1, far off for targets in other units. With many
    epochs the network becomes too sure of its training rows, which validation rows show: early stopping, dropout and
    weight decay help. Where rows that it takes for noise keep it from learning the means, train with `mse` first and go
    on from that run (`--from`).

    Runs of it combine by averaging μ and s: soft voting, bagging, snapshots, averages of weights. Strategies that
    compare outputs with targets themselves (boosting, stacking, weighted voting, distill) refuse it.

    Args:
        epsilon: ε > 0, the smallest variance, in the target's squared unit; 1e-6 as in torch. Make it smaller for
            targets whose noise is below a thousandth.

    Shape:
        output (B, 2 R) and target (B, R) give (B,); (B, T, 2 R) and (B, T, R) give (B, T).

    Raises:
        ValueError: The output is not twice as wide as the target.

    Source: Nix and Weigend 1994, "Estimating the mean and variance of the target probability distribution";
        torch.nn.GaussianNLLLoss.
    """

    name: ClassVar[str] = "gaussian_nll"
    tasks: ClassVar[frozenset[Task]] = REGRESSION
    outputs_per_target: ClassVar[int] = 2

    epsilon: float = Field(1e-6, gt=0, description="smallest variance, in the target's squared unit")

    def values(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the mean over targets for every sample."""
        if output.shape != (*target.shape[:-1], 2 * target.shape[-1]):
            raise ValueError(
                f"gaussian_nll needs two outputs a target, {(*target.shape[:-1], 2 * target.shape[-1])} for a target "
                f"of shape {tuple(target.shape)}, got {tuple(output.shape)}"
            )
        mean, logarithm = output.chunk(2, dim=-1)
        # The floor's value, the output's gradient.
        logarithm = self._floored(logarithm).detach() + (logarithm - logarithm.detach())
        return 0.5 * (logarithm + (target - mean).square() * torch.exp(-logarithm)).mean(-1)

    def prediction(self, output: Tensor) -> Tensor:
        """Return the means (…, R)."""
        return output.chunk(2, dim=-1)[0]

    def spread(self, output: Tensor) -> Tensor:
        """Return the standard deviations σ (…, R)."""
        return torch.exp(0.5 * self._floored(output.chunk(2, dim=-1)[1]))

    def own_units(self, offset: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        """Scale means as targets; add 2 log scale to logarithms of variances."""
        return torch.cat([offset, 2 * scale.log()]), torch.cat([scale, torch.ones_like(scale)])

    def _floored(self, logarithm: Tensor) -> Tensor:
        return logarithm.clamp_min(math.log(self.epsilon))
