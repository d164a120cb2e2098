"""Which rows of a batch, or which of their beginnings, no network can tell apart."""

import hashlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from dlcli.contracts.batch import Batch
from dlcli.training.evaluation import forward
from dlcli.training.objective import position_mask


def same_rows(batch: Batch) -> Tensor:
    """Return a number for each row of a batch (B,): equal ones have the same inputs, conditions and length.

    What is behind a row's length is not looked at.
    """
    return _numbered(digest.digest() for digest in _digests(batch, _comparable(batch)))


def same_beginnings(batch: Batch) -> Tensor:
    """Return a number for each position (B, T): equal ones have the same inputs up to there, and are as far along."""
    inputs = _comparable(batch)
    steps = inputs[0].shape[1]

    def each() -> Iterator[bytes]:
        for row, digest in enumerate(_digests(batch, ())):
            for step in range(steps):
                for values in inputs:
                    digest.update(values[row, step].numpy().tobytes())
                yield digest.digest()

    return _numbered(each()).view(-1, steps)


def is_causal(network: nn.Module, batch: Batch) -> bool:
    """Return whether answers for positions depend on the positions up to them alone.

    Args:
        network: Answers every position; it is left in the mode in which it came.
        batch: Inputs that have the positions in dimension 1.

    Returns:
        Whether the first half of the answers stays as it is where the second half of the inputs is another row's.
    """
    if any(values.ndim < 2 or values.shape[1] != batch.inputs[0].shape[1] for values in batch.inputs):
        return False
    half = batch.inputs[0].shape[1] // 2
    if half == 0 or len(batch.target) < 2:
        return False
    others = tuple(torch.cat([values[:, :half], values.roll(1, 0)[:, half:]], dim=1) for values in batch.inputs)
    was_training = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        with torch.no_grad():
            plain, changed = (forward(network, inputs, batch)[:, :half] for inputs in (batch.inputs, others))
    finally:
        for module, mode in was_training:
            module.training = mode
    return torch.allclose(plain, changed, rtol=1e-4, atol=1e-5)


def contradictions(batch: Batch, rows: Tensor) -> list[list[int]]:
    """Return groups of rows with the same inputs and different targets.

    Args:
        batch: Rows that count 0 are left out, and positions that do not count.
        rows: What `same_rows` returned.

    Returns:
        Places of rows in the batch, in the order of the first of each group.
    """
    target = batch.target.cpu()
    counted = torch.ones(len(target), dtype=torch.bool) if batch.weight is None else batch.weight.cpu() != 0
    mask = position_mask(batch, target.shape[1]) if target.ndim > 1 else None
    if mask is not None:
        target = torch.where(mask.cpu().view(*mask.shape, *[1] * (target.ndim - 2)).bool(), target, 0)
    groups: dict[int, list[int]] = {}
    for place, number in enumerate(rows.tolist()):
        if counted[place]:
            groups.setdefault(number, []).append(place)
    return [
        places for places in groups.values() if any(not torch.equal(target[places[0]], target[p]) for p in places[1:])
    ]


def _comparable(batch: Batch) -> tuple[Tensor, ...]:
    """Return the inputs on the CPU, 0 behind a row's length."""
    found = []
    for values in batch.inputs:
        kept = values.detach().cpu().contiguous()
        if batch.lengths is not None and kept.ndim > 1:
            valid = torch.arange(kept.shape[1]) < batch.lengths.cpu()[:, None]
            kept = torch.where(
                valid.view(*valid.shape, *[1] * (kept.ndim - 2)), kept, torch.zeros((), dtype=kept.dtype)
            )
        found.append(kept)
    return tuple(found)


def _digests(batch: Batch, inputs: tuple[Tensor, ...]) -> Iterator["hashlib._Hash"]:
    """Yield for each row what its conditions, its length and the given inputs come down to."""
    lengths = () if batch.lengths is None else (batch.lengths,)
    fixed = [values.detach().cpu().contiguous() for values in (*batch.conditions, *lengths)]
    for row in range(len(batch.target)):
        digest = hashlib.sha256()
        for values in (*fixed, *inputs):
            digest.update(values[row].numpy().tobytes())
        yield digest


def _numbered(digests: Iterator[bytes]) -> Tensor:
    numbers: dict[bytes, int] = {}
    return torch.tensor([numbers.setdefault(digest, len(numbers)) for digest in digests])
