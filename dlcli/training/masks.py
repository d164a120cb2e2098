"""Dropout's random bits for a stack: each member's own stream, drawn many steps at once."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from dlcli.contracts.member import Member
from dlcli.contracts.randomness import stream
from dlcli.layers.dropout import Randomized

BLOCK_BYTES = 2**20
"""Bits of one member drawn at once; of one member, so that no companion changes the calls that draw them."""


class MaskPlan:
    """Where in one member's bits of a step each call of a dropout finds its own.

    A network asks for bits in a fixed order; `record` notes the shapes, `replay` hands out slices of the bits that are
    an input of the step.
    """

    def __init__(self) -> None:
        self._shapes: list[torch.Size] = []

    @property
    def words(self) -> int:
        """64-bit words that one member needs in a step."""
        return sum((shape.numel() + 3) // 4 for shape in self._shapes)

    def record(self, shape: torch.Size, device: torch.device) -> Tensor:
        """Note a call; returns bits that drop as little as possible."""
        self._shapes.append(shape)
        return torch.full(shape, 2**15 - 1, dtype=torch.int16, device=device)

    def replay(self, bits: Tensor) -> Callable[[torch.Size, torch.device], Tensor]:
        """Return a source that gives the calls of one forward pass their slices of a member's bits.

        Args:
            bits: (4 · words,), int16.

        Returns:
            What `Dropout.source` takes.
        """
        position = 0
        shapes = iter(self._shapes)

        def source(shape: torch.Size, device: torch.device) -> Tensor:
            nonlocal position
            expected = next(shapes, None)
            if expected != shape:
                raise RuntimeError(f"dropout asks for bits of shape {tuple(shape)}, another time of {expected}")
            start, count = position, shape.numel()
            position += 4 * ((count + 3) // 4)
            return bits[start : start + count].view(shape)

        return source

    def draw(self, members: Sequence[Member], epoch: int, steps: int, device: torch.device) -> Iterator[Tensor]:
        """Yield the bits of every step of an epoch.

        Args:
            members: In the order of the stack; each draws what it would draw alone.
            epoch: Number of the epoch, from 1.
            steps: How many steps.
            device: Where the streams are.

        Yields:
            Tensor: (M, 4 · words), int16.
        """
        generators = [stream(member.seed, "dropout", epoch, device) for member in members]
        at_once = max(1, min(steps, BLOCK_BYTES // (8 * self.words)))
        for first in range(0, steps, at_once):
            count = min(at_once, steps - first)
            words = torch.empty((len(members), count, self.words), dtype=torch.int64, device=device)
            for own, generator in zip(words, generators, strict=True):
                own.random_(-(2**63), None, generator=generator)
            for step in range(count):
                yield words[:, step].view(torch.int16)


def set_sources(dropouts: Sequence[Randomized], source: Callable[[torch.Size, torch.device], Tensor] | None) -> None:
    """Give dropouts their source of bits."""
    for dropout in dropouts:
        dropout.source = source
