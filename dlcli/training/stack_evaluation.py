"""Figures of all members of a stack over their rows, together."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from dlcli.contracts.batch import Batch, StackedRows
from dlcli.contracts.member import Member
from dlcli.contracts.metric import Statistics
from dlcli.layers.over_members import over_members
from dlcli.training.capture import capture
from dlcli.training.evaluation import Figures, statistics_of
from dlcli.training.objective import weighted_sum
from dlcli.training.stack_objective import outputs_with, stacked_numbers
from dlcli.training.stacked_network import StackedNetwork, why_not
from dlcli.training.tensor_tables import flatten, unflatten

Numbers = dict[str, Tensor]


class StackEvaluation:
    """Evaluates a stack in eval mode, as `evaluate` does each member.

    Metrics whose `update` vmap can take are computed with the network; the others member by member from its outputs.

    Args:
        key: The members' common structure.
        members: In the order of the stack.
        network: Their networks.
    """

    def __init__(self, key: str, members: Sequence[Member], network: StackedNetwork) -> None:
        self._key, self._network, self._first = key, network, members[0]
        self._together = not members[0].io.per_position
        self.bind(members)

    def bind(self, members: Sequence[Member]) -> None:
        """Go on with these members, whose tensors the network now holds."""
        parameter = next(iter(self._network.parameters.values()))
        self._count = len(members)
        self._loss = stacked_numbers([member.loss for member in members], parameter.device, parameter.dtype)

    def __call__(self, rows: StackedRows) -> list[dict[str, float]]:
        """Evaluate.

        Args:
            rows: The rows of every member.

        Returns:
            For every member `loss` and each metric, by name.
        """
        metrics = self._first.metrics
        figures = [Figures(metrics) for _ in range(self._count)]
        with torch.no_grad():
            for batch, counts in rows.batches:
                names, results = self._run(batch, rows.shared)
                totals, weights, outputs = results[0].tolist(), results[1].tolist(), results[2]
                tables = _tables(names, results[3:])
                for place, own in enumerate(figures):
                    if names:
                        statistics = self._own(tables, place, counts[place])
                    else:
                        own_batch = _member_batch(batch, place, counts[place], rows.shared)
                        output = outputs[place][: counts[place]]
                        statistics = statistics_of(metrics, output, own_batch, self._first.io.task)
                    own.add(totals[place], weights[place], statistics)
        return [own.compute() for own in figures]

    def _own(self, tables: Mapping[str, Mapping[str, Tensor]], place: int, count: int) -> dict[str, Statistics]:
        found: dict[str, Statistics] = {}
        for name, metric in self._first.metrics.items():
            own = {key: tensor[place] for key, tensor in tables[name].items()}
            # Rows are appended, so filler, whose weight of 0 adds nothing elsewhere, is cut off.
            found[name] = {key: tensor[:count] for key, tensor in own.items()} if metric.concatenates else own
        return found

    def _run(self, batch: Batch, shared: bool) -> tuple[list[str], list[Tensor]]:
        network = self._network
        persistent = (network.parameters, network.fixed, network.buffers, self._loss)
        tensors = flatten((persistent, batch))
        key = f"evaluate {self._key} {shared}"

        def function(flat: Sequence[Tensor], names: dict[str, list[str]]) -> list[Tensor]:
            count = len(flatten(persistent))
            dims = (*[0] * count, *[None if shared else 0] * (len(flat) - count))

            def one(*own: Tensor) -> tuple[Tensor, ...]:
                (parameters, fixed, buffers, loss), rows = unflatten((persistent, batch), list(own))
                return self._one({**parameters, **fixed, **buffers}, loss, rows, names)

            return list(over_members(one, *flat, in_dims=dims))

        network.base.eval()
        try:
            try:
                captured = capture(f"{key} {self._together}", function, tensors)
            except Exception as error:
                if not self._together or not self._first.metrics:
                    raise why_not(error) from error
                # A metric that vmap cannot take; if it is the network, the next try says so.
                self._together = False
                return self._run(batch, shared)
        finally:
            network.base.train()
        return captured.names.get("statistics", []), captured.run(*tensors)

    def _one(
        self, tensors: dict[str, Tensor], numbers: Numbers, batch: Batch, names: dict[str, list[str]]
    ) -> tuple[Tensor, ...]:
        """Return one member's Σ w·ℓ, Σ w, predictions, and the statistics of its metrics, whose names it notes."""
        output = outputs_with(self._network.base, tensors, batch, batch.inputs, {})
        loss = self._first.loss.with_per_member(numbers)
        total, weight = weighted_sum(loss, output, batch.target, batch)
        output = loss.prediction(output)
        if not self._together:
            return total, weight, output
        statistics = statistics_of(self._first.metrics, output, batch, self._first.io.task)
        names["statistics"] = [f"{name}/{key}" for name, table in statistics.items() for key in table]
        # Outputs are not wanted then; a member's first is as good as any, and small.
        return total, weight, output[:1], *(t for table in statistics.values() for t in table.values())


def _tables(names: Sequence[str], tensors: Sequence[Tensor]) -> dict[str, dict[str, Tensor]]:
    found: dict[str, dict[str, Tensor]] = {}
    for path, tensor in zip(names, tensors, strict=True):
        name, _, key = path.partition("/")
        found.setdefault(name, {})[key] = tensor
    return found


def _member_batch(batch: Batch, place: int, count: int, shared: bool) -> Batch:
    own: Batch = unflatten(batch, [(t if shared else t[place])[:count] for t in flatten(batch)])
    return own
