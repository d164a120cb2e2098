"""The initializer `normal`."""

from typing import ClassVar

from pydantic import Field
from torch import Generator, Tensor

from dlcli import Initializer


class Normal(Initializer):
    """Weights of one size whatever the width: N(0, std²).

    Signals shrink or grow with the width of layers, so it is for networks with normalizations, such as transformers.

    Args:
        std: Standard deviation, > 0; the default is that of GPT-2 and BERT.

    Source: Radford et al. 2019, "Language models are unsupervised multitask learners".
    """

    name: ClassVar[str] = "normal"

    std: float = Field(0.02, gt=0, description="standard deviation")

    def fill(self, parameter: Tensor, generator: Generator) -> None:
        """Fill a weight."""
        parameter.normal_(0.0, self.std, generator=generator)
