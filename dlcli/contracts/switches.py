"""Switches of training: how a step is computed and which rows it sees, whatever the network."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

Precision = Literal["float32", "bfloat16", "float16"]
"""What layers compute in while training; parameters, losses and figures are float32 whatever it is."""
Sampling = Literal["shuffled", "class_balanced"]
"""Which rows an epoch has: each once, or as many drawn with replacement, every class with the same probability."""


@dataclass(frozen=True)
class Switches:
    """How a member's steps are computed; the defaults are a plain step on one batch.

    Args:
        accumulate: Batches whose rows make one optimizer step, ≥ 1.
        precision: What layers compute in while training.
        compile: Whether the network's forward and backward pass are compiled for training.
        activation_checkpointing: Whether blocks keep their inputs alone, and compute the rest again going backward.
        sampling: Which rows an epoch has.
        deterministic: Whether only operations are used that give the same bits every time.
    """

    accumulate: int = 1
    precision: Precision = "float32"
    compile: bool = False
    activation_checkpointing: bool = False
    sampling: Sampling = "shuffled"
    deterministic: bool = False

    @property
    def changed(self) -> dict[str, Any]:
        """The switches that are not as they are by default, by name."""
        own, plain = asdict(self), asdict(Switches())
        return {name: value for name, value in own.items() if value != plain[name]}

    @property
    def loop_only(self) -> str | None:
        """Why members with these switches train one by one; None where a stack can follow them."""
        if self.accumulate > 1:
            return f"a stack takes a step on each batch (train.accumulate = {self.accumulate})"
        if self.precision != "float32":
            return f"a stack computes in float32 (train.precision = {self.precision!r})"
        if self.compile:
            return "a stack is captured in its own way (train.compile = true)"
        if self.activation_checkpointing:
            return "a stack keeps all activations (train.activation_checkpointing = true)"
        return None

    def steps(self, batches: int) -> int:
        """Return how many optimizer steps so many batches make; the last may be of fewer than the others."""
        return -(-batches // self.accumulate)
