"""Outputs of an ensemble's members on rows, each computed once; and of combinations of them."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from dlcli.contracts.ensemble import Ensemble
from dlcli.contracts.ensemble_members import Combination
from dlcli.contracts.task import Task
from dlcli.errors import PluginError
from dlcli.experiment.models.combination import Wiring, answers

Compute = Callable[[Tensor, Mapping[str, Tensor]], Tensor]
"""From rows (R,), and further inputs over all rows of the dataset, to a member's outputs (R, …, O) on the CPU."""


class MemberOutputs:
    """Outputs of members by identity.

    Args:
        rows: How many rows the dataset has.
    """

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._compute: dict[str, Compute] = {}
        self._known: dict[str, tuple[Tensor, Tensor]] = {}

    def add(self, identity: str, compute: Compute) -> None:
        """Take a member in."""
        self._compute[identity] = compute

    def learn(self, identity: str, rows: Tensor, found: Tensor) -> None:
        """Take a member's outputs on rows in, where somebody has computed them already."""
        outputs, known = self._known.get(identity, (None, torch.zeros(self._rows, dtype=torch.bool)))
        if outputs is None:
            outputs = found.new_zeros((self._rows, *found.shape[1:]))
        outputs[rows] = found
        known[rows] = True
        self._known[identity] = outputs, known

    def __contains__(self, identity: str) -> bool:
        return identity in self._compute

    def __call__(self, identity: str, rows: Tensor) -> Tensor:
        """Return a member's outputs (R, …, O) on rows of the dataset, int64 (R,), in their order; R may be 0."""
        known = self._known[identity][1] if identity in self._known else torch.zeros(self._rows, dtype=torch.bool)
        missing = torch.unique(rows[~known[rows]])
        if identity not in self._known or len(missing):
            asked = missing if len(missing) else rows.new_zeros(1)
            self.learn(identity, missing, self._compute[identity](asked, {})[: len(missing)])
        return self._known[identity][0].index_select(0, rows)

    def fed(self, identity: str, rows: Tensor, values: Mapping[str, Tensor]) -> Tensor:
        """Return a member's outputs on rows for which it is fed other values than it was trained with.

        Args:
            identity: Which.
            rows: Rows of the dataset, int64 (R,).
            values: By name the further inputs for these rows (R, F).

        Returns:
            Outputs (R, …, O) on the CPU.
        """
        whole = {}
        for name, own in values.items():
            whole[name] = own.new_zeros((self._rows, own.shape[1]))
            whole[name][rows] = own
        return self._compute[identity](rows, whole)


def wiring_of(combination: Combination) -> Wiring:
    """Return whose outputs go where in a combination."""
    return Wiring(combination.members, combination.fed)


def combined_outputs(
    strategy: Ensemble, task: Task, combination: Combination, outputs: MemberOutputs, rows: Tensor
) -> Tensor:
    """Return what a combination says of rows.

    Args:
        strategy: Whose combiner it is.
        task: How outputs are read.
        combination: Members and how to combine them.
        outputs: Their outputs.
        rows: Rows of the dataset, int64 (R,).

    Returns:
        Outputs (R, …, O) on the CPU.
    """
    wiring = wiring_of(combination)
    found: dict[str, Tensor] = {}
    for identity in wiring.everybody:
        groups_of = wiring.fed.get(identity)
        if groups_of is None:
            found[identity] = outputs(identity, rows)
        else:
            values = {name: answers(groups, found, task) for name, groups in groups_of.items()}
            found[identity] = outputs.fed(identity, rows, values)
    with torch.no_grad():
        combiner = strategy.combine(task, combination.settings, combination.state)
        together = torch.stack([found[identity] for identity in wiring.members])
        result: Tensor = combiner(together)
    check_combined(strategy, together, result)
    return result


def check_combined(strategy: Ensemble, together: Tensor, result: Tensor) -> None:
    """Refuse what a combiner made of members' outputs where no loss could read it as a member's.

    Args:
        strategy: Whose combiner it is.
        together: Members' outputs (M, R, …, O).
        result: What it made of them.

    Raises:
        PluginError: It has another shape, or is not finite where they are.
    """
    wanted = together.shape[1:]
    if result.shape != wanted or not bool(result.isfinite().all() | ~together.isfinite().all()):
        raise PluginError(
            f"the strategy {strategy.name} combines outputs of shape {tuple(together.shape)} into "
            f"{tuple(result.shape)}, expected finite ones of shape {tuple(wanted)}; its package is at fault, "
            "or the model is damaged"
        )
