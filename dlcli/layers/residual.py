"""Residual blocks: what a branch computes is added to what went into it."""

from collections.abc import Sequence

from torch import Tensor, nn

from dlcli.layers.dropout import Dropout


class Residual(nn.Module):
    """y = shortcut(x) + drop(branch(x)), with stochastic depth: in training the branch of some rows is left out.

    Args:
        branch: Called with x and the conditions.
        shortcut: What x passes through; None adds x itself.
        stochastic_depth: Probability in [0, 1) that a row's branch is left out.

    Shape:
        As the branch takes; branch and shortcut give one shape.

    Source: He et al. 2016, "Deep residual learning"; Huang et al. 2016, "Deep networks with stochastic depth".
    """

    def __init__(
        self, branch: nn.Module, shortcut: nn.Module | None = None, stochastic_depth: float | Tensor = 0.0
    ) -> None:
        super().__init__()
        self.branch = branch
        self.shortcut = shortcut or nn.Identity()
        self.drop = Dropout(stochastic_depth, "rows")

    def forward(self, x: Tensor, conditions: Sequence[Tensor] = ()) -> Tensor:
        """Add what the branch makes of the input."""
        made = self.branch(x, conditions)
        if self.drop.active:
            made = self.drop(made)
        sum_: Tensor = (x if type(self.shortcut) is nn.Identity else self.shortcut(x)) + made
        return sum_
